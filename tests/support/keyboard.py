"""A person at the keyboard of a session: keys through the `keys` socket, and the cells they typed."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import zmq

from mamba.session.audit_chain import read_entries
from tests.support.console_link import is_read_by_prompt
from tests.support.session_host import HostUnderTest, wait_until

PER_KEY_S = 0.03
"""A fast typist."""


class Keyboard:
    """Types into the terminal of a host; use it from one thread."""

    def __init__(self, host: HostUnderTest) -> None:
        self._host = host
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger, self._socket.rcvtimeo = 0, 10_000
        self._socket.connect(host.runtime.keys)

    def press(self, keys: str) -> None:
        self._socket.send(keys.encode())
        assert self._socket.recv() == b""

    def wait_read(self) -> None:
        """Until the prompt has read every key."""
        wait_until(lambda: is_read_by_prompt(f"/proc/{self._host.console_pid}/fd/0"), what="every key read")

    def type(self, text: str) -> None:
        """One key after the other, as a typist does."""
        for key in text:
            self.press(key)
            time.sleep(PER_KEY_S)

    def type_lines(self, typed: list[str], over: threading.Event) -> None:
        """Type numbered lines until it is over; they are added to `typed`."""
        while not over.is_set():
            line = f"'the quick brown fox {len(typed)}'"
            self.type(f"{line}\r")
            typed.append(line)

    def __enter__(self) -> Keyboard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._context.term()


def find_typed(host: HostUnderTest) -> list[str]:
    """The cells that were typed at the terminal, as the audit log has them."""
    entries = read_entries(host.runtime.logs / "audit.jsonl")
    return [entry["text"] for entry in entries if entry["origin"] == "console"]
