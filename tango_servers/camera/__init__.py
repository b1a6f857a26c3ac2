"""An area detector: `model` draws exact frames, `stream` sends them, `server` is its Tango face."""
