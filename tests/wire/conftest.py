"""A real server on a real socket, polled in a thread."""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from mamba.errors import ZError
from mamba.wire.handlers import PENDING, Handlers
from mamba.wire.server import Call, RequestServer


class ServerUnderTest:
    """Serves a few verbs at `endpoint` until `stop`."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/rpc"
        self.calls: list[Call] = []
        self.executed: list[Any] = []
        self._answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self.start()

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(5)

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        server = RequestServer(context, self.endpoint, self._make_handlers())
        self._ready.set()
        while not self._stopping.is_set():
            if server.socket.poll(20):
                server.serve()
            while not self._answers.empty():
                number, value = self._answers.get()
                self.calls[number].succeed(value)
        server.close()
        context.term()

    def _make_handlers(self) -> Handlers:
        handlers = Handlers()
        handlers.add("ping", lambda call: "pong")
        handlers.add("dev/keys", self._keys)
        handlers.add("divide", lambda call: 1 / 0)
        handlers.add("fail", self._fail)
        handlers.add("never", self._never)
        handlers.add("cmd", self._command)
        handlers.add("auth/login", self._login)
        handlers.add("auth/logout", self._logout)
        handlers.add("state", self._state)
        return handlers

    def _keys(self, call: Call, *, path: str) -> Any:
        return [f"{path}.m1", f"{path}.m2"]

    def _fail(self, call: Call) -> Any:
        raise ZError("error", "description")

    def _never(self, call: Call) -> Any:
        self.calls.append(call)
        return PENDING

    def _command(self, call: Call, *, cmd: Any, origin: str, wait: bool) -> Any:
        self.executed.append(cmd)
        return cmd

    def _login(self, call: Call, *, person: str, password: str = "", proposal: str = "") -> Any:
        if password != "canary":
            raise ZError("login-refused", "who is this?")
        return {"person": person, "proposal": proposal, "role": "operator", "token": "t-1"}

    def _logout(self, call: Call, *, token: str = "") -> Any:
        self.executed.append(f"logout with {token!r}")

    def _state(self, call: Call, *, token: str = "") -> Any:
        if token != "t-1":
            raise ZError("not-logged-in", "log in first")
        return {"seq": {}}

    def succeed(self, number: int, value: Any) -> None:
        """Answer one of `calls`, in the thread of its socket."""
        self._answers.put((number, value))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mb-wire-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(folder: Path) -> Iterator[ServerUnderTest]:
    server = ServerUnderTest(folder)
    yield server
    server.stop()
