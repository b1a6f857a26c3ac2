"""What a graph of the data worker does, for Jive: `model` keeps the last notices, `server` is its Tango face."""
