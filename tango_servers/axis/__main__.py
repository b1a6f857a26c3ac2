"""`python -m tango_servers.axis INSTANCE`: a server of axes."""

from tango_servers.axis.server import run

run()
