"""A relay on TCP that lets through what a server sends in pieces, each when it is told: as a slow network may."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

_CHUNK_BYTES = 65536


class Trickle:
    """Relays one connection to `endpoint` (tcp://host:port); free until `hold`, then a piece for each `give`."""

    def __init__(self, endpoint: str, *, piece_bytes: int) -> None:
        address = urlsplit(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = socket.create_connection((str(address.hostname), int(address.port or 0)))
        self._piece_bytes, self._held = piece_bytes, threading.Event()
        self._allowed = threading.Semaphore(0)
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._relay, name="trickle")]
        self._threads[0].start()

    def _relay(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._answer, args=(client,), name="trickle back")
        self._threads.append(back)
        back.start()
        while chunk := self._server.recv(_CHUNK_BYTES):
            for at in range(0, len(chunk), self._piece_bytes):
                if self._held.is_set():
                    self._allowed.acquire()
                client.sendall(chunk[at : at + self._piece_bytes])

    def _answer(self, client: socket.socket) -> None:
        with client:
            while chunk := client.recv(_CHUNK_BYTES):
                self._server.sendall(chunk)
        self._server.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """From now on only what is given."""
        self._held.set()

    def give(self) -> None:
        """Let a piece through."""
        self._allowed.release()

    def __enter__(self) -> Trickle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        self._server.close()
