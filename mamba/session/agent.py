"""The host's side of the agent link (`mamba.wire.agent_link`).

Values stay in their typed form: the host passes them on unopened.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

import zmq

from mamba.errors import MambaError, ZError
from mamba.session.loop import Loop, Timer
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import Rep, dump_json, make_error
from mamba.wire.peers import find_peer
from mamba.wire.private import bind_privately

log = logging.getLogger(__name__)

_TURN_S = 0.002
_TYP_FIRST = b'{"typ": "'

OnAnswer = Callable[[Rep], None]
"""Gets the agent's answer, or the error that stands for it."""


class Agent:
    """One ROUTER socket, the agent that said hello, and the questions it has not answered yet.

    Args:
        loop: polls the socket.
        context: makes it.
        endpoint: `RuntimeDirectory.agent`.
        accepts: whether a process id is the console's; others are not listened to.
        on_message: called with every message but answers and notices.
        on_notice: called with the `typ` of each notice and its line.
    """

    def __init__(
        self,
        loop: Loop,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        *,
        accepts: Callable[[int], bool],
        on_message: Callable[[LinkMessage], None],
        on_notice: Callable[[str, bytes], None],
    ) -> None:
        self._loop, self._accepts = loop, accepts
        self._on_message, self._on_notice = on_message, on_notice
        self._identity: bytes | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[str, tuple[OnAnswer, Timer]] = {}
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 200
        self._socket.sndhwm = self._socket.rcvhwm = 0
        self._socket.router_mandatory = True
        bind_privately(self._socket, endpoint)
        loop.watch_reader(self._socket, self._receive)

    @property
    def connected(self) -> bool:
        """Whether an agent said hello."""
        return self._identity is not None

    def send(self, message: LinkMessage) -> None:
        """Send a message, whose values are ready; without an agent it is lost, and said so."""
        if self._identity is None:
            log.warning("%s: no agent is connected", message["typ"])
            return
        try:
            self._socket.send_multipart([self._identity, dump_json(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:  # the process is going; its end is reported by the terminal
            log.warning("%s: cannot reach the agent: %s", message["typ"], error)

    def ask(self, typ: str, fields: dict[str, Any], *, timeout_s: float, on_answer: OnAnswer) -> None:
        """Ask the agent; `on_answer` is called once, with code `console-silent` when nothing comes in time."""
        number = f"q{next(self._numbers)}"

        def give_up() -> None:
            self._pending.pop(number, None)
            desc = f"{fields.get('verb', typ)}: the console did not answer within {timeout_s:g} s"
            on_answer(make_error(ZError("console-silent", f"{desc}; 'mambactl console' shows what it does")))

        self._pending[number] = (on_answer, self._loop.call_later(timeout_s, give_up))
        self.send({"typ": typ, "id": number, **fields})

    def end(self, error: MambaError) -> None:
        """The agent is gone: every open question is answered with `error`."""
        self._identity = None
        pending, self._pending = self._pending, {}
        for on_answer, timer in pending.values():
            timer.cancel()
            on_answer(make_error(error))

    def _receive(self) -> None:
        # bounded: 10,000 documents in a row must not keep a ping waiting
        until = time.monotonic() + _TURN_S
        while time.monotonic() < until:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                self._take(frames[0].bytes, find_peer(frames[-1]).pid, [frame.bytes for frame in frames[1:]])
            except (ValueError, RecursionError) as error:
                log.error("agent: a message that cannot be read: %s", error)

    def _take(self, identity: bytes, pid: int | None, frames: list[bytes]) -> None:
        message = _load(frames)
        typ = message["typ"]
        if typ == "hello":
            # the kernel's word, not the message's: the number of the console's process is no secret
            if pid is None or not self._accepts(pid):
                log.warning("agent: process %s is not the console of this session", pid)
                return
            self._identity = identity
        if identity != self._identity:
            log.warning("agent: %s from somebody who is not the console", typ)
        elif typ == "answer":
            self._answer(str(message.get("id")), message.get("rep"))
        elif typ == "notices":
            for line in frames[1].split(b"\n"):
                self._on_notice(_read_typ(line), line)
        else:
            self._on_message(message)

    def _answer(self, number: str, rep: Any) -> None:
        if not isinstance(rep, dict) or "err" not in rep:
            raise ValueError(f"answer {number} without a reply")
        on_answer, timer = self._pending.pop(number, (None, None))
        if on_answer is None or timer is None:
            log.warning("agent: answer %s came too late", number)
            return
        timer.cancel()
        on_answer(rep)

    def close(self) -> None:
        """Stop listening."""
        self._loop.forget(self._socket)
        self._socket.close()


def _load(frames: list[bytes]) -> LinkMessage:
    message = json.loads(frames[0].decode("utf-8", "surrogatepass"), parse_constant=_refuse)
    if not isinstance(message, dict) or not isinstance(message.get("typ"), str):
        raise ValueError("no object with a typ")
    if len(frames) != (2 if message["typ"] == "notices" else 1):
        raise ValueError(f"{message['typ']}: {len(frames)} frames")
    return message


def _read_typ(line: bytes) -> str:
    """The `typ` a line begins with; its end is another field, or the end of the line."""
    if not (line.startswith(_TYP_FIRST) and line.endswith(b"}")):
        raise ValueError(f"a notice that begins with {line[:40]!r}")
    return line[len(_TYP_FIRST) : line.index(b'"', len(_TYP_FIRST))].decode()


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
