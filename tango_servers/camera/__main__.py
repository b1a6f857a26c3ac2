"""`python -m tango_servers.camera INSTANCE`: a server of cameras."""

from tango_servers.camera.server import run

run()
