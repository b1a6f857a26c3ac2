"""The socket by which people join the running console, see what it writes and type into it.

Several may join; the window is as large as the smallest of those who may type. Who does not read loses the connection,
never the session its speed.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from mamba.runtime import read_peer_uid
from mamba.session.join_protocol import END, KEYS, NOTE, OUTPUT, SIZE, TOKEN, WATCH, Splitter, pack, unpack_size
from mamba.session.loop import Loop
from mamba.session.terminal import CTRL_C, Terminal

log = logging.getLogger(__name__)

_MAX_UNREAD_BYTES = 8 * 2**20
_READ_BYTES = 64 * 1024
WATCHES = "you are watching; keys but Ctrl-] are not taken"
"""What who only looks is told at the first key."""


class JoinServer:
    """Listens on `path` (mode 0600), for the same user only.

    Args:
        loop: watches the sockets.
        path: of the Unix socket.
        terminal: what is joined.
        on_keys: gets what people type and the token of who types; what it returns is not looked at.
        may_type: of a token ("" from who has none): "", or why its holder only looks; asked at each key, since control
            passes from one to the other. Everybody may by default.
        may_interrupt: whether who has this token may press Ctrl-C, even where they may not type.
    """

    def __init__(
        self,
        loop: Loop,
        path: Path,
        terminal: Terminal,
        on_keys: Callable[[bytes, str], object],
        *,
        may_type: Callable[[str], str] = lambda token: "",
        may_interrupt: Callable[[str], bool] = lambda token: True,
    ) -> None:
        self._may_type, self._may_interrupt = may_type, may_interrupt
        self._loop, self._path, self._terminal, self._on_keys = loop, path, terminal, on_keys
        self._joined: list[_Joined] = []
        self._farewell = b""
        path.unlink(missing_ok=True)  # ours: the lock says that nobody else runs here
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        previous = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(previous)
        self._socket.listen(8)
        loop.watch_reader(self._socket.fileno(), self._accept)

    @property
    def count(self) -> int:
        """How many have joined."""
        return len(self._joined)

    def _accept(self) -> None:
        try:
            stream, _ = self._socket.accept()
        except OSError as error:
            log.warning("terminal socket: %s", error)
            return
        if (uid := read_peer_uid(stream)) != os.getuid():
            log.warning("terminal socket: uid %d was refused", uid)
            stream.close()
            return
        stream.setblocking(False)
        joined = _Joined(self._loop, stream, on_message=self._take, on_gone=self._leave)
        self._joined.append(joined)
        if self._terminal.backlog:
            joined.send(pack(OUTPUT, self._terminal.backlog))

    def _take(self, joined: _Joined, kind: bytes, data: bytes) -> None:
        if self._terminal.pid is None and self._farewell:  # not before it spoke: its words would meet a closed door
            joined.send(self._farewell)
            joined.close()
        elif kind == KEYS:
            if self._check_typist(joined):
                self._on_keys(data, joined.token)
            elif CTRL_C in data and not joined.watches and self._may_interrupt(joined.token):
                self._on_keys(CTRL_C, joined.token)
        elif kind == SIZE:
            joined.size = unpack_size(data)
            self.fit_window()
        elif kind == WATCH:
            joined.watches = True
        elif kind == TOKEN:
            joined.token = data.decode("utf-8", "replace")
            self._check_typist(joined)

    def _check_typist(self, joined: _Joined) -> bool:
        """Whether this one may type now; if not they are told why, once for each reason."""
        reason = WATCHES if joined.watches else self._may_type(joined.token)
        if reason and reason != joined.told:
            joined.send(pack(NOTE, reason.encode("utf-8", "replace")))
        joined.told = reason
        return not reason

    def fit_window(self) -> None:
        """Make the window as large as the smallest of who may type; to be called when that has changed."""
        typists = [joined for joined in self._joined if not joined.watches and not self._may_type(joined.token)]
        sizes = [joined.size for joined in typists if joined.size is not None and all(joined.size)]
        if sizes:
            self._terminal.resize(min(rows for rows, _ in sizes), min(columns for _, columns in sizes))

    def _leave(self, joined: _Joined) -> None:
        self._joined.remove(joined)
        self.fit_window()

    def show(self, output: bytes) -> None:
        """Send output to everybody."""
        message = pack(OUTPUT, output)
        for joined in tuple(self._joined):
            joined.send(message)

    def dismiss(self, reason: str, *, status: int) -> None:
        """The console has ended: tell everybody why, and who joins before the next one starts.

        Args:
            reason: what they read.
            status: their program exits with it.
        """
        self._farewell = pack(END, bytes([status]) + reason.encode("utf-8", "replace"))
        for joined in tuple(self._joined):
            joined.send(self._farewell)
            joined.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self.dismiss("the session has ended", status=0)
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)


class _Joined:
    """One who joined."""

    def __init__(
        self,
        loop: Loop,
        stream: socket.socket,
        *,
        on_message: Callable[[_Joined, bytes, bytes], None],
        on_gone: Callable[[_Joined], None],
    ) -> None:
        self.size: tuple[int, int] | None = None
        self.watches = False
        self.token = self.told = ""
        self._loop, self._stream = loop, stream
        self._on_message, self._on_gone = on_message, on_gone
        self._splitter = Splitter()
        self._unsent = bytearray()
        loop.watch_reader(stream.fileno(), self._receive)

    def send(self, message: bytes) -> None:
        self._unsent += message
        self._flush()

    def _flush(self) -> None:
        if self._stream.fileno() < 0:
            return
        try:
            while self._unsent:
                del self._unsent[: self._stream.send(self._unsent[:_READ_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._unsent) > _MAX_UNREAD_BYTES:
            log.warning("terminal: somebody who joined does not read; dropped")
            self.close()
            return
        self._loop.watch_writer(self._stream.fileno(), self._flush if self._unsent else None)

    def _receive(self) -> None:
        try:
            data = self._stream.recv(_READ_BYTES)
            for kind, body in self._splitter.feed(data):
                self._on_message(self, kind, body)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            log.warning("terminal: %s", error)
            data = b""
        if not data:
            self.close()

    def close(self) -> None:
        if self._stream.fileno() >= 0:
            self._loop.forget(self._stream.fileno())
            self._stream.close()
            self._on_gone(self)
