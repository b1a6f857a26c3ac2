"""`python -m tango_servers.data_worker INSTANCE`: a server that shows what graphs do."""

from tango_servers.data_worker.server import DataWorker
from tango_servers.launch import run_server

run_server("DataWorker", [DataWorker])
