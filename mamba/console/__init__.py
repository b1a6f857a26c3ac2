"""Where text becomes an executed cell, inside IPython: agent, injector, results, run control, device services."""

from mamba.console.server import User, server_start
from mamba.errors import ZError

__all__ = ["User", "ZError", "server_start"]
