"""Raw terminal input as in the paper's Figure 3(d): bytes in, empty bytes back once they are on their way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import zmq

from mamba.session.loop import Loop
from mamba.wire.private import bind_privately

MAX_KEYS = 2**20
"""Bytes of one request."""


class KeysServer:
    """Answers REQ sockets; a refused request gets the reason, which `type_keys` returns, instead of empty bytes.

    A ROUTER: one message without the empty frame that REQ puts first, and ZeroMQ's REP hears nobody any more.
    """

    def __init__(
        self,
        loop: Loop,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        type_keys: Callable[[bytes], str],
    ) -> None:
        self._loop, self._type_keys = loop, type_keys
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 200
        self._socket.maxmsgsize = 64 * MAX_KEYS
        bind_privately(self._socket, endpoint)
        loop.watch_reader(self._socket, self._serve)

    def _serve(self) -> None:
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        if b"" not in frames[1:-1]:
            return  # no REQ sent this: nobody there could read an answer
        start = frames.index(b"", 1) + 1
        with contextlib.suppress(zmq.Again):  # who never reads loses the answer
            self._socket.send_multipart([*frames[:start], self._take(frames[start:])], zmq.NOBLOCK)

    def _take(self, frames: list[bytes]) -> bytes:
        if len(frames) != 1:
            return b"bad-request: send the keys in one frame"
        if len(frames[0]) > MAX_KEYS:
            return b"bad-request: at most 1 MiB at once"
        return self._type_keys(frames[0]).encode()

    def close(self) -> None:
        """Stop listening."""
        self._loop.forget(self._socket)
        self._socket.close()
