"""`python -m tango_servers.ion_chamber INSTANCE`: a server of ion chambers."""

from tango_servers.ion_chamber.server import run

run()
