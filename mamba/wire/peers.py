"""Which process is at the other end of a message that came over a Unix socket, as the kernel knows it."""

from __future__ import annotations

from typing import NamedTuple

import zmq


class Peer(NamedTuple):
    """Process and user at the other end; None where the kernel does not say (TCP)."""

    pid: int | None = None
    uid: int | None = None


def find_peer(frame: zmq.Frame) -> Peer:
    """The sender of a frame that was received without copying.

    ZeroMQ asked the kernel when the connection was made ("localhost:uid:gid:pid"). Its descriptor could be asked now,
    but may be another connection's by the time a message of one that is gone is read.
    """
    try:
        _host, uid, _gid, pid = str(frame.get("Peer-Address")).split(":")
        return Peer(int(pid), int(uid))
    except (zmq.ZMQError, ValueError):
        return Peer()
