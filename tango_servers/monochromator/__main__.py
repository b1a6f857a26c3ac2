"""`python -m tango_servers.monochromator INSTANCE`: a server of monochromators."""

from tango_servers.monochromator.server import run

run()
