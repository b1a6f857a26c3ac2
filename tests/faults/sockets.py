"""Bare sockets that misbehave towards a session host."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from mamba.wire.client import Client


@contextmanager
def raw_request_socket(
    endpoint: str, kind: int = zmq.DEALER, *, timeout_ms: int = 20_000
) -> Iterator[zmq.Socket[bytes]]:
    """A ZeroMQ socket without any of our own code around it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    connection = context.socket(kind)
    connection.linger, connection.rcvtimeo = 0, timeout_ms
    connection.connect(endpoint)
    try:
        yield connection
    finally:
        connection.close()
        context.term()


def connect_bare(path: str | Path) -> socket.socket:
    """A Unix stream socket that is connected and speaks nothing."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(path).removeprefix("ipc://"))  # waits while as many others do
    connection.settimeout(5)
    return connection


def wait_closed(connection: socket.socket) -> None:
    """Until the other side has closed, whatever it says before."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass


def time_ping(client: Client) -> float:
    """How long a ping takes, s."""
    started = time.monotonic()
    assert client.request("ping", timeout_s=5) == "pong"
    return time.monotonic() - started
