"""An ion chamber with its counter: `model` counts, `server` is its Tango face."""
