"""The supervisor's and `mambactl`'s way to `tango_admin`, which runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from mamba.errors import FacilityError

Event = dict[str, Any]

_LOAD_S = 30.0  # PyTango is loaded in a second on a quiet machine


class AdminLink:
    """One `tango_admin` process; an async context manager, one request at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._ready = False

    async def __aenter__(self) -> AdminLink:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mamba.facility.tango_admin"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.kill()  # it keeps nothing; a Tango call that hangs must not keep us
        await process.wait()

    async def _find_ready(self) -> asyncio.subprocess.Process:
        """Its time to load Tango is not that of the first request."""
        process = self._process
        if process is None or process.stdout is None:
            raise FacilityError("Tango administration: asked outside its 'async with'")
        if not self._ready:
            try:
                async with asyncio.timeout(_LOAD_S):
                    self._ready = bool(await process.stdout.readline())
            except TimeoutError:
                raise FacilityError(
                    "Tango administration: its process does not start",
                    seen=f"nothing for {_LOAD_S:g} s",
                    remedy="look at the machine's load and at facility.log",
                ) from None
        return process

    async def ask(
        self, verb: str, *, timeout_s: float, on_event: Callable[[Event], None] | None = None, **fields: Any
    ) -> Any:
        """The answer to one request; events before it go to `on_event`.

        Raises:
            FacilityError: the request failed, or was not answered within `timeout_s`.
        """
        process = await self._find_ready()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"verb": verb, "timeout_s": timeout_s, **fields}).encode() + b"\n")
        try:
            async with asyncio.timeout(timeout_s + 1.0):  # it keeps to its time itself, unless Tango hangs
                while line := await process.stdout.readline():
                    message = json.loads(line)
                    if "error" in message:
                        what, seen, remedy = message["error"]
                        raise FacilityError(what, seen=seen, remedy=remedy)
                    if "answer" in message:
                        return message["answer"]
                    if on_event is not None:
                        on_event(message)
        except TimeoutError:
            raise FacilityError(
                f"Tango at {fields.get('host')}: {verb!r} was not answered",
                seen=f"nothing for {timeout_s:g} s",
                remedy="'mambactl doctor' tells which part hangs",
            ) from None
        raise FacilityError(
            f"Tango administration: its process ended during {verb!r}", remedy="its last words are in facility.log"
        )
