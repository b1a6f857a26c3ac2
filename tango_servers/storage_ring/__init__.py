"""The storage ring that feeds the beamline: `model` holds the current, `server` is its Tango face."""
