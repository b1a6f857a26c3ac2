"""Raw sockets to a session, and the registry of checks.

*Check*: a function that looks at one promise of the wire and returns what it saw. It passes unless it raises
`Differs`; it is skipped when it raises `Skipped`.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq

from mamba.runtime import RuntimeDirectory
from mamba.wire.messages import dump_request

TIMEOUT_S = 10.0
_REFUSALS = ("not-logged-in", "forbidden", "not-in-control")


class Differs(Exception):
    """The session does something else than the wire promises; the text says what was seen."""


class Skipped(Exception):
    """The check cannot be made here and now; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """One row of the table; `ok` is None for a check that was skipped."""

    check: str
    expected: str
    seen: str
    ok: bool | None


CheckFunction = Callable[["Probe"], str]
CHECKS: list[tuple[str, str, CheckFunction]] = []
"""Title, what is expected, function."""
_ORDER = ("framing", "requests", "commands")


def check(title: str, expected: str) -> Callable[[CheckFunction], CheckFunction]:
    """Enter a function into the table."""

    def enter(function: CheckFunction) -> CheckFunction:
        CHECKS.append((title, expected, function))
        return function

    return enter


class Probe:
    """A client that sends any bytes and looks at every byte that comes back.

    Args:
        runtime: of the session.
        token: of a login, where the session wants one.
    """

    def __init__(self, runtime: RuntimeDirectory, *, token: str = "") -> None:
        self.runtime, self.token = runtime, token
        self._numbers = itertools.count(1)
        self._early: dict[bytes, list[bytes]] = {}
        self._sockets: list[zmq.Socket[bytes]] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.dealer = self.connect(zmq.DEALER, runtime.rpc)

    def connect(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        """A socket that waits at most 10 s."""
        sock = self._context.socket(kind)
        self._sockets.append(sock)
        sock.linger = 0
        sock.rcvtimeo = sock.sndtimeo = int(TIMEOUT_S * 1000)
        if kind == zmq.SUB:
            sock.subscribe(b"")
        sock.connect(endpoint)
        return sock

    def exchange(self, *frames: bytes) -> list[bytes]:
        """What comes back for these frames, without our own number and the empty frame before it."""
        number = str(next(self._numbers)).encode()
        self.dealer.send_multipart([number, b"", *frames])
        return self.receive(number)

    def receive(self, number: bytes) -> list[bytes]:
        """The reply that carries this number; others are kept for who asks for them."""
        try:
            while number not in self._early:
                first, *rest = self.dealer.recv_multipart()
                self._early[first] = rest[1:]
            return self._early.pop(number)
        except zmq.Again:
            raise Differs(f"no reply within {TIMEOUT_S:g} s") from None

    def ask(self, typ: str, **fields: Any) -> dict[str, Any]:
        """The reply to a request, as JSON; its values stay in their typed form.

        Raises:
            Skipped: the role of who asks does not allow it.
        """
        token = {"token": self.token} if self.token else {}
        reply = self.load(self.exchange(dump_request(typ, {**fields, **token})))
        if reply["err"] in _REFUSALS:
            raise Skipped(reply["desc"].split("\n")[0])
        return reply

    def load(self, frames: list[bytes]) -> dict[str, Any]:
        """The object in the one frame of a reply."""
        if len(frames) != 1:
            raise Differs(f"{len(frames)} frames")
        reply: dict[str, Any] = json.loads(frames[0])
        return reply

    def command(self, text: str, **fields: Any) -> dict[str, Any]:
        """The reply to a command.

        Raises:
            Skipped: the console is not idle, so that ours would wait or disturb.
        """
        self.require_idle()
        return self.ask("cmd", cmd=text, origin="conformance", **fields)

    def require_idle(self) -> None:
        """Go on only with an idle prompt and nothing waiting."""
        deadline = time.monotonic() + 2  # the cell of the check before may still be ending
        while True:
            state = self.ask("state")["ret"]
            busy = state["running"] or state["waiting"] or state["run"]["state"] != "idle"
            if state["prompt"] == "idle" and not busy:
                return
            if time.monotonic() > deadline:
                raise Skipped(f"the console is busy: prompt {state['prompt']}, run {state['run']['state']}")

    def close(self) -> None:
        """Leave."""
        for sock in self._sockets:
            sock.close()
        self._context.term()


def expect(right: bool, seen: Any) -> str:  # noqa: FBT001  # reads as a sentence
    """What was seen, as a text, when it is right.

    Raises:
        Differs: it is not.
    """
    text = seen if isinstance(seen, str) else seen.decode(errors="replace") if isinstance(seen, bytes) else f"{seen}"
    text = text if len(text) <= 200 else f"{text[:200]}…"
    if not right:
        raise Differs(text)
    return text


def run_checks(probe: Probe) -> list[Outcome]:
    """Every check, in the order of the table: bytes first, then what they say."""
    ordered = sorted(CHECKS, key=lambda entry: _ORDER.index(entry[2].__module__.rpartition(".")[2]))
    return [run_check(probe, *entry) for entry in ordered]


def run_check(probe: Probe, title: str, expected: str, function: CheckFunction) -> Outcome:
    """One row of the table."""
    try:
        return Outcome(title, expected, function(probe), ok=True)
    except Skipped as skipped:
        return Outcome(title, expected, f"skipped: {skipped}", ok=None)
    except Differs as differs:
        return Outcome(title, expected, str(differs), ok=False)
    except (ValueError, KeyError, TypeError, zmq.Again) as error:  # a reply of another form than was promised
        return Outcome(title, expected, f"{type(error).__name__}: {error}", ok=False)
