"""The virtual beamline: `model` is the world that its devices share, `server` runs them all in one process."""
