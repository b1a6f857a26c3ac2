"""Which process is at the other end of a message that came over a Unix socket, as the kernel knows it."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

import zmq


class Peer(NamedTuple):
    """Process and user at the other end; None where the kernel does not say (a connection that is gone, or TCP)."""

    pid: int | None = None
    uid: int | None = None


_UCRED = struct.Struct("3i")


def find_peer(frame: zmq.Frame) -> Peer:
    """The sender of a frame that was received without copying."""
    try:
        descriptor = os.dup(int(frame.get(zmq.SRCFD)))
    except (zmq.ZMQError, OSError):
        return Peer()
    try:
        with socket.socket(fileno=descriptor) as connection:
            pid, uid, _gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except OSError:
        return Peer()
    return Peer(pid, uid)
