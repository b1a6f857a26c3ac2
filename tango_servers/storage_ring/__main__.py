"""`python -m tango_servers.storage_ring INSTANCE`: a server of storage rings."""

from tango_servers.storage_ring.server import run

run()
