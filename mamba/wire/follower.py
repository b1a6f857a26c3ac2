"""Following a session from a program: a blocking face and one for asyncio.

::

    with Follower(runtime.rpc, runtime.notify) as follower:
        for item in follower:
            match item:
                case State():  # replaces everything known before
                case dict():  # a notice
                case Gap() | Reached() | Lost():  # told for the log; what must be done about it is done
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType

import zmq

from mamba.wire.following import Following, Item, Lost, Reached, Refused, State
from mamba.wire.subscriber import HIGH_WATER_MARK, Gap

__all__ = ["AsyncFollower", "Follower", "Gap", "Item", "Lost", "Reached", "State"]

_ENOUGH = 10_000
"""Items that wait in memory for who is slow; more of them wait in ZeroMQ, and beyond its mark there is a gap."""


class Follower:
    """Yields what a session does, in order; survives restarts of host and console. Use it from one thread.

    Args:
        rpc: `RuntimeDirectory.rpc`.
        notify: `RuntimeDirectory.notify`; nobody needs to be there yet.
        prefixes: beginnings of the `typ` of the notices that are wanted.
        token: of a login, where the session wants one.
        high_water_mark: how many notices may wait unread here.
    """

    def __init__(
        self,
        rpc: str,
        notify: str,
        *,
        prefixes: Sequence[str] = ("",),
        token: str = "",
        high_water_mark: int = HIGH_WATER_MARK,
    ) -> None:
        self._items: deque[Item] = deque()
        self._following = Following(rpc, notify, self._items.append, prefixes=prefixes, high_water_mark=high_water_mark)
        self._following.token = token

    def receive(self, timeout_s: float | None = None) -> Item | None:
        """The next item, None when none comes in time.

        Raises:
            ZError: the session refuses to tell its state.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._items:
            more = self._following.process()
            left_s = None if deadline is None else deadline - time.monotonic()
            if not (self._items or more):
                if left_s is not None and left_s <= 0:
                    return None
                self._wait(left_s)
        return _check(self._items.popleft())

    def use_token(self, token: str) -> None:
        """After a login: ask for the state again, with its token."""
        self._following.token = token
        self._following.load_state()

    def _wait(self, timeout_s: float | None) -> None:
        poller = zmq.Poller()
        self._following.register(poller)
        poller.poll(None if timeout_s is None else int(timeout_s * 1000) + 1)

    def __iter__(self) -> Iterator[Item]:
        while (item := self.receive()) is not None:
            yield item

    def close(self) -> None:
        """Leave."""
        self._following.close()

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncFollower:
    """As `Follower`, inside an event loop: `async with AsyncFollower(…) as follower: async for item in follower`."""

    def __init__(
        self,
        rpc: str,
        notify: str,
        *,
        prefixes: Sequence[str] = ("",),
        token: str = "",
        high_water_mark: int = HIGH_WATER_MARK,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Item] = asyncio.Queue()
        self._following = Following(
            rpc,
            notify,
            self._items.put_nowait,
            prefixes=prefixes,
            high_water_mark=high_water_mark,
            on_open=lambda descriptor: self._loop.add_reader(descriptor, self._process),
            on_close=self._loop.remove_reader,
        )
        self._following.token = token
        self._loop.call_soon(self._process)

    def _process(self) -> None:
        if self._items.qsize() < _ENOUGH and self._following.process():
            self._loop.call_soon(self._process)

    def use_token(self, token: str) -> None:
        """After a login: ask for the state again, with its token."""
        self._following.token = token
        self._following.load_state()
        self._loop.call_soon(self._process)

    async def receive(self, timeout_s: float | None = None) -> Item | None:
        """The next item, None when none comes in time.

        Raises:
            ZError: the session refuses to tell its state.
        """
        try:
            async with asyncio.timeout(timeout_s):
                item = await self._items.get()
        except TimeoutError:
            return None
        if self._items.qsize() == _ENOUGH - 1:
            self._loop.call_soon(self._process)
        return _check(item)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self.receive()) is not None:
            yield item

    async def close(self) -> None:
        """Leave."""
        self._following.close()

    async def __aenter__(self) -> AsyncFollower:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _check(item: Item) -> Item:
    if isinstance(item, Refused):
        item.reply.unwrap()
    return item
