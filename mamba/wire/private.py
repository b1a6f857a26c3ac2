"""Sockets that no other local user can reach, should somebody widen the mode of the folder they lie in.

Three walls: the 0700 folder; the socket file's own mode, 0600 from the moment it is there; and the kernel's word on who
connects: ZeroMQ closes the connection of every other uid, before it reads a byte of it.
"""

from __future__ import annotations

import os
from typing import Any

import zmq


def bind_privately(socket: zmq.Socket[Any], endpoint: str) -> None:
    """Bind an `ipc://` endpoint for this process's user only; to be called where no other thread makes files."""
    socket.set(zmq.IPC_FILTER_UID, os.getuid())
    previous = os.umask(0o177)
    try:
        socket.bind(endpoint)
    finally:
        os.umask(previous)
