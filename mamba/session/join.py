"""Join the running console from this terminal (`mambactl console`), and leave it running with Ctrl-].

The terminal is made raw and given back as it was, however this ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from mamba.errors import ConnectionLost, FacilityError, NotRunning
from mamba.session.join_protocol import END, KEYS, NOTE, OUTPUT, TOKEN, WATCH, Splitter, pack, pack_size

LEAVE = b"\x1d"
"""Ctrl-]: leave, and leave the console running."""
_READ_BYTES = 64 * 1024
# what a program may have switched on in the terminal: mouse, bracketed paste, hidden cursor, colours
_RESET = b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m\r\n"


def join(runtime_dir: Path, *, watch: bool = False, token: str = "") -> int:
    """Join the console of this runtime directory; returns the exit status: 0 after leaving or `exit`, 1 if it died.

    Args:
        runtime_dir: of the session.
        watch: only look; no key but Ctrl-] does anything, and the window of this terminal does not count.
        token: of `auth/login`, where the profile asks people to log in.

    Raises:
        NotRunning: no console runs there.
        FacilityError: standard input is no terminal.
        ConnectionLost: the session host ended.
    """
    require_terminal()
    with _connect(runtime_dir) as stream, _resizes() as resized, _raw(sys.stdin.fileno()):
        # in one piece: a console that has ended says so to the first message and closes the door
        stream.sendall((pack(WATCH, b"") if watch else pack(TOKEN, token.encode())) + _pack_size())
        status, farewell = _exchange(stream, resized)
    sys.stdout.write(f"{farewell}\n")
    sys.stdout.flush()
    return status


def require_terminal() -> None:
    """Refuse to join from what is no terminal.

    Raises:
        FacilityError: standard input or output is none.
    """
    if not (os.isatty(sys.stdin.fileno()) and os.isatty(sys.stdout.fileno())):
        raise FacilityError("console: this is no terminal", remedy="send single commands with 'mambactl run TEXT'")


def _connect(runtime_dir: Path) -> socket.socket:
    path = runtime_dir / "terminal"
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(str(path))
    except OSError as error:
        stream.close()
        raise NotRunning(
            f"{runtime_dir}: no console runs here",
            seen=f"{path.name}: {error.strerror or error}",
            remedy="start it with 'mambactl up', or name another folder with MAMBA_RUNTIME_DIR",
        ) from None
    return stream


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is kept
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # the terminal itself may be gone
            _write_all(sys.stdout.fileno(), _RESET)
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def _resizes() -> Iterator[int]:
    """A descriptor that can be read after the window changed; SIGTERM and SIGHUP leave by the front door."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    previous_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, _exit) for number in (signal.SIGTERM, signal.SIGHUP)}
    previous[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
    try:
        yield reader
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(reader)
        os.close(writer)


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _pack_size() -> bytes:
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return pack_size(rows, columns)


def _exchange(stream: socket.socket, resized: int) -> tuple[int, str]:
    """Forward both ways until somebody ends it; returns the exit status and what to say."""
    keyboard, splitter = sys.stdin.fileno(), Splitter()
    while True:
        ready, _, _ = select.select([stream, keyboard, resized], [], [])
        if resized in ready:
            os.read(resized, 1000)
            stream.sendall(_pack_size())
        if stream in ready:
            data = stream.recv(_READ_BYTES)
            if not data:
                raise ConnectionLost("console: the session host ended", remedy="see its log; 'mambactl up' starts anew")
            for kind, body in splitter.feed(data):
                if kind == END:
                    return body[0], f"[mamba] {body[1:].decode('utf-8', 'replace')}"
                if kind == NOTE:
                    body = b"\r\n[mamba] " + body + b"\r\n"
                if kind in (OUTPUT, NOTE):
                    _write_all(sys.stdout.fileno(), body)
        if keyboard in ready:
            keys, leaves, _ = os.read(keyboard, _READ_BYTES).partition(LEAVE)
            if keys:
                stream.sendall(pack(KEYS, keys))
            if leaves:
                return 0, "[mamba] left; the console runs on, 'mambactl console' joins it again"
            if not keys:
                return 0, "[mamba] left: this terminal was closed; the console runs on"


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
