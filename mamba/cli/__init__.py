"""mambactl: one file per group of commands."""
