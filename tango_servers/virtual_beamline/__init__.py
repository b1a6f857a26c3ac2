"""The virtual beamline: `model` is the world that ring, shutter, monochromator and ion chambers share, `server` runs it."""
