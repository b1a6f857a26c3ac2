"""A photon shutter: `model` opens and closes, `server` is its Tango face."""
