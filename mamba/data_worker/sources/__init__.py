"""Where blocks enter a graph."""
