"""`python -m tango_servers.template INSTANCE`: a server of heaters."""

from tango_servers.launch import run_server
from tango_servers.template.server import Heater

run_server("Heater", [Heater])
