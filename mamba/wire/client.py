"""The asking side of requests: blocking, for programs, tests and threads of windows.

Each thread that uses a `Client` gets a connection of its own, so that one may abort a run while another waits for its
command. A request that was given up (time-out, lost connection) is never delivered later.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

import zmq

from mamba.errors import ConnectionLost, MambaError
from mamba.wire.connection import Connection, make_frame
from mamba.wire.messages import Reply, load_reply, make_timeout

DEFAULT_TIMEOUT_S = 10.0
"""How long a request that is no command waits for its reply."""


class Client:
    """Asks the session host behind `endpoint` (`RuntimeDirectory.rpc`).

    `token` stands for the login and goes with every request; "" without one. The password is never kept.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.token = endpoint, ""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._own = threading.local()
        self._connections: list[Connection] = []
        self._closed = False

    def request(self, typ: str, *, timeout_s: float | None = DEFAULT_TIMEOUT_S, **fields: Any) -> Any:
        """Ask and return the value of the reply; `timeout_s=None` waits as long as the host lives.

        Raises:
            ZError: the host answered with an error; has its code and description.
            NotRunning: nobody listens there.
            ReplyTimeout: no reply in time.
            ConnectionLost: the host ended before it answered.
        """
        return self._exchange(typ, fields, timeout_s).unwrap()

    def ask(self, typ: str, *, timeout_s: float | None = DEFAULT_TIMEOUT_S, **fields: Any) -> Reply:
        """Ask and return the reply, whatever it is; what `request` would raise is a reply with that code here."""
        try:
            return self._exchange(typ, fields, timeout_s)
        except MambaError as error:
            return Reply(error.code, desc=str(error))

    def command(
        self,
        text: str,
        *,
        origin: str = "client",
        wait: bool = True,
        timeout_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Any:
        """Have `text` executed in the console; return its result, or `{"id": …}` at once without `wait`.

        Args:
            text: one cell.
            origin: who asks, as the console shows it ("scan builder").
            wait: for the end of the cell.
            timeout_s: how long to wait for the reply; None: as long as the host lives.
            deadline_s: the command is dropped if it has not begun by then.

        Raises:
            ZError: what the cell raised (code "exc"), or why it did not run.
        """
        more = {} if deadline_s is None else {"deadline_s": deadline_s}
        return self.request("cmd", timeout_s=timeout_s, cmd=text, origin=origin, wait=wait, **more)

    def login(self, person: str, password: str = "", *, proposal: str = "") -> dict[str, Any]:
        """Say who asks from now on; returns what the host knows of the person.

        Raises:
            ZError: `login-refused`.
        """
        answer: dict[str, Any] = self.request("auth/login", **make_login(person, password, proposal))
        self.token = answer.get("token", "")
        return answer

    def logout(self) -> None:
        """Be nobody again.

        Raises:
            ZError: `not-logged-in`.
        """
        try:
            self.request("auth/logout")
        finally:
            self.token = ""

    def _exchange(self, typ: str, fields: dict[str, Any], timeout_s: float | None) -> Reply:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        connection = self._connect()
        answers: list[bytes | MambaError] = []
        number = connection.ask(make_frame(typ, fields, token=self.token), answers.append)
        try:
            while not answers:
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise make_timeout(typ, timeout_s or 0.0)
                connection.wait(left_s)
                connection.process()
        finally:
            connection.give_up(number)
        if isinstance(answers[0], MambaError):
            raise answers[0]
        return load_reply(answers[0])

    def _connect(self) -> Connection:
        if self._closed:
            raise ConnectionLost(f"{self.endpoint}: this client was closed", remedy="make a new one")
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = Connection(self._context, self.endpoint)
            self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Leave; not while another thread waits."""
        self._closed = True
        for connection in self._connections:
            connection.close()
        self._context.term()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_login(person: str, password: str, proposal: str) -> dict[str, Any]:
    """The fields of `auth/login`: those that say something."""
    fields = {"person": person, "password": password, "proposal": proposal}
    return {name: text for name, text in fields.items() if text or name == "person"}
