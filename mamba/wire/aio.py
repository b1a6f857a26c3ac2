"""The asking side of requests for asyncio: any number of them at once on one socket, in one event loop.

A request that is cancelled or late leaves nothing behind. One that was still unsent is never executed; one that was
under way may have been, as with every client.
"""

from __future__ import annotations

import asyncio
from functools import partial
from types import TracebackType
from typing import Any

import zmq

from mamba.errors import ConnectionLost, MambaError
from mamba.wire.client import DEFAULT_TIMEOUT_S, make_login
from mamba.wire.connection import Connection, make_frame
from mamba.wire.messages import Reply, load_reply, make_timeout

_BUDGET_S = 0.02


class AsyncClient:
    """Asks the session host behind `endpoint` (`RuntimeDirectory.rpc`); the methods are those of `Client`.

    `token` stands for the login and goes with every request; "" without one. The password is never kept.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.token = endpoint, ""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._closed = False
        self._connection = Connection(self._context, endpoint, on_open=self._watch, on_close=self._forget)

    async def request(self, typ: str, *, timeout_s: float | None = DEFAULT_TIMEOUT_S, **fields: Any) -> Any:
        """Ask and return the value of the reply; `timeout_s=None` waits as long as the host lives.

        Raises:
            ZError: the host answered with an error; has its code and description.
            NotRunning: nobody listens there.
            ReplyTimeout: no reply in time.
            ConnectionLost: the host ended before it answered.
        """
        return (await self._exchange(typ, fields, timeout_s)).unwrap()

    async def ask(self, typ: str, *, timeout_s: float | None = DEFAULT_TIMEOUT_S, **fields: Any) -> Reply:
        """Ask and return the reply, whatever it is; what `request` would raise is a reply with that code here."""
        try:
            return await self._exchange(typ, fields, timeout_s)
        except MambaError as error:
            return Reply(error.code, desc=str(error))

    async def command(
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
        return await self.request("cmd", timeout_s=timeout_s, cmd=text, origin=origin, wait=wait, **more)

    async def login(self, person: str, password: str = "", *, proposal: str = "") -> dict[str, Any]:
        """Say who asks from now on; returns what the host knows of the person.

        Raises:
            ZError: `login-refused`.
        """
        answer: dict[str, Any] = await self.request("auth/login", **make_login(person, password, proposal))
        self.token = answer.get("token", "")
        return answer

    async def logout(self) -> None:
        """Be nobody again.

        Raises:
            ZError: `not-logged-in`.
        """
        try:
            await self.request("auth/logout")
        finally:
            self.token = ""

    async def _exchange(self, typ: str, fields: dict[str, Any], timeout_s: float | None) -> Reply:
        if self._closed:
            raise ConnectionLost(f"{self.endpoint}: this client was closed", remedy="make a new one")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        number = self._connection.ask(make_frame(typ, fields, token=self.token), partial(_settle, answer))
        loop.call_soon(self._process)
        try:
            async with asyncio.timeout(timeout_s):
                return load_reply(await answer)
        except TimeoutError:
            raise make_timeout(typ, timeout_s or 0.0) from None
        finally:
            self._connection.give_up(number)

    def _watch(self, descriptor: int) -> None:
        asyncio.get_running_loop().add_reader(descriptor, self._process)

    def _forget(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)

    def _process(self) -> None:
        if self._connection.process(budget_s=_BUDGET_S):
            asyncio.get_running_loop().call_soon(self._process)

    async def close(self) -> None:
        """Leave; who still waits gets `ConnectionLost`."""
        self._closed = True
        self._connection.close()
        self._context.term()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _settle(answer: asyncio.Future[bytes], outcome: bytes | MambaError) -> None:
    if answer.done():  # cancelled in the same turn of the loop
        return
    if isinstance(outcome, MambaError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
