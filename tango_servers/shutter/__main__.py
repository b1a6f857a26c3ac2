"""`python -m tango_servers.shutter INSTANCE`: a server of shutters."""

from tango_servers.shutter.server import run

run()
