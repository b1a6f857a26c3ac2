"""The answering side of requests: a ROUTER socket whose every message gets a reply, whatever it is.

There is no loop in here: the owner polls `socket` and calls `serve`. A client is a plain REQ, or a DEALER that puts
its own frames before the empty one (`[number, b"", body]`) and gets them back before the reply.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import zmq

from mamba.errors import BadRequest, MambaError
from mamba.wire.handlers import PENDING, Handlers
from mamba.wire.messages import Rep, Request, dump_reply, load_json, make_error, make_ok, make_request
from mamba.wire.peers import Peer, find_peer
from mamba.wire.private import bind_privately

log = logging.getLogger(__name__)

# ZeroMQ drops the connection of who sends more, without a word; what lies between this and MAX_FRAME_BYTES is answered.
_DROP_BYTES = 256 * 2**20
_HIGH_WATER_MARK = 10_000


class Call:
    """One request on its way to its answer; the first answer is sent, a second one is a mistake of ours.

    `source` is "client", or "console" for what IPython itself asks of its host; `peer` is the process that asked.
    `on_reply` is called with the answer before it is sent.
    """

    def __init__(
        self, request: Request, send: Callable[[Rep], None], *, source: str = "client", peer: Peer | None = None
    ) -> None:
        self.request, self.source, self.peer = request, source, peer or Peer()
        self.on_reply: Callable[[Rep], None] | None = None
        self._send: Callable[[Rep], None] | None = send

    @property
    def token(self) -> str:
        """The token of the login that asks; "" without one."""
        token = self.request.fields.get("token")
        return token if isinstance(token, str) else ""

    @property
    def origin(self) -> str:
        """Who asks, in the words of the request ("scan window"); "" when it does not say."""
        origin = self.request.fields.get("origin")
        return origin if isinstance(origin, str) else ""

    def reply(self, rep: Rep) -> None:
        """Answer with a reply that is ready; a client that is gone loses it."""
        if self._send is None:
            log.error("%s: answered twice", self.request.typ)
            return
        send, self._send = self._send, None
        if self.on_reply is not None:
            self.on_reply(rep)
        send(rep)

    def succeed(self, value: Any) -> None:
        """Answer with a result, which is ready."""
        self.reply(make_ok(value))

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        self.reply(make_error(error))


def admit_all(call: Call) -> None:
    """Admit every request: where nobody has to log in."""


def answer(handlers: Handlers, call: Call, admit: Callable[[Call], None] = admit_all) -> None:
    """Call the handler of a request and send what it returns or raises, unless it will answer later.

    Args:
        handlers: the verbs.
        call: the request.
        admit: raises what the request is refused with, if it is.
    """
    try:
        admit(call)
        value = handlers.call(call.request, call)
        if value is not PENDING:
            call.succeed(value)
    except MambaError as error:
        call.fail(error)
    except Exception as error:  # a handler's mistake is its client's answer, never the end of the server
        log.exception("%s: its handler raised", call.request.typ)
        call.fail(error)


class RequestServer:
    """Reads requests from `socket`, hands those that `admit` lets pass to `handlers`, sends their replies."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        handlers: Handlers,
        admit: Callable[[Call], None] = admit_all,
    ) -> None:
        self.handlers, self._admit = handlers, admit
        self.count = 0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 500
        self.socket.maxmsgsize = _DROP_BYTES
        self.socket.sndhwm = self.socket.rcvhwm = _HIGH_WATER_MARK
        bind_privately(self.socket, endpoint)

    def serve(self, *, limit: int = 100) -> None:
        """Take up to `limit` requests that are there; more of them wait, so that others get their turn."""
        for _ in range(limit):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self.count += 1
            self._take([frame.bytes for frame in frames], find_peer(frames[-1]))

    def _take(self, frames: list[bytes], peer: Peer) -> None:
        # what stands up to the first empty frame is the way back
        end = frames.index(b"", 1) + 1 if b"" in frames[1:-1] else 1
        envelope, body = frames[:end], frames[end:]
        message: dict[str, Any] = {}
        try:
            if len(body) != 1:
                raise BadRequest(
                    "request: must be one frame", seen=f"{len(body)} frames", remedy="send one JSON object"
                )
            message = load_json(body[0])
            request = make_request(message)
        except BadRequest as error:
            scalar = isinstance(message.get("id", ""), (str, int, float))
            echo = {"id": message["id"]} if "id" in message and scalar else {}
            self.send(envelope, dump_reply(make_error(error), echo))
            return
        call = Call(request, lambda rep: self.send(envelope, dump_reply(rep, request.echo)), peer=peer)
        answer(self.handlers, call, self._admit)

    def send(self, envelope: list[bytes], frame: bytes) -> None:
        """Send a reply; a client that is gone, or never reads, loses it."""
        with contextlib.suppress(zmq.Again):
            self.socket.send_multipart([*envelope, frame], zmq.NOBLOCK)

    def close(self) -> None:
        """Stop; replies already given still leave within the linger time (0.5 s)."""
        self.socket.close()
