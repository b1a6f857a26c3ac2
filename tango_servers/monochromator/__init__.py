"""A crystal monochromator: `model` turns the Bragg angle, `server` is its Tango face."""
