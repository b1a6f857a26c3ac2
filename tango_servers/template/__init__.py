"""A heater, to be copied for a server of your own: `model` is the simulation, `server` its Tango face."""
