"""A motorised axis: `model` moves, `server` is its Tango face."""
