"""`python -m tango_servers.virtual_beamline INSTANCE`: the virtual beamline."""

from tango_servers.virtual_beamline.server import run

run()
