"""A console under test: IPython in a pseudo-terminal, and the session host's end of the link."""

from __future__ import annotations

import array
import codecs
import fcntl
import itertools
import os
import re
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pyte
import zmq

from mamba.runtime import RuntimeDirectory
from mamba.wire.agent_link import dump, load

PROFILE = "name: trial\ntitle: Trial\nconsole: {startup: startup.py}\n"
_LOOK_BACK = 20_000
"""Characters that a terminal was sent: enough for what it shows now."""
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])|\r")


def is_read_by_prompt(terminal: str) -> bool:
    """Whether a prompt reads this terminal, and has read all that was typed."""
    slave = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    try:
        count = array.array("i", [1])
        fcntl.ioctl(slave, termios.FIONREAD, count)
        return count[0] == 0 and not termios.tcgetattr(slave)[3] & termios.ICANON
    finally:
        os.close(slave)


class ConsoleUnderTest:
    """Starts `python -m mamba.console` with a start-up script and talks to its agent as the session host does."""

    def __init__(self, folder: Path, startup: str, *, profile: str = PROFILE) -> None:
        (folder / "startup.py").write_text(startup)
        (folder / "beamline.yaml").write_text(profile)
        self.runtime = RuntimeDirectory.create(folder / "rt")
        self.messages: list[dict[str, Any]] = []
        self.screen = ""
        self._arrived = threading.Condition()
        self._numbers = itertools.count(1)
        self._peer = b""
        self._ending = False
        self._answers: dict[str, list[dict[str, Any]]] = {}
        self._gone: list[int] = []
        self._context = zmq.Context()
        self._bind()
        environment = {**os.environ, "TERM": "xterm-256color", "IPYTHONDIR": str(folder / "ipython"), "COLUMNS": "120"}
        environment.pop("MAMBA_RUNTIME_DIR", None)
        arguments = ["-m", "mamba.console", "--runtime", str(self.runtime.path)]
        arguments += ["--profile", str(folder / "beamline.yaml")]
        self.child = pexpect.spawn(
            sys.executable, arguments, env=environment, encoding="utf-8", dimensions=(40, 120), cwd=str(folder)
        )
        self.child.delaybeforesend = None
        self._terminal = self.child.child_fd
        self._pidfd = os.pidfd_open(self.child.pid)
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read_screen, self._read_link)]
        for thread in self._threads:
            thread.start()

    def _bind(self) -> None:
        self._lock = threading.Lock()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(self.runtime.agent)

    def restart_host(self) -> None:
        """Be gone for a moment, as a host that is started anew."""
        with self._lock:
            self.socket.close()
            self.socket = self._context.socket(zmq.ROUTER)
            self.socket.setsockopt(zmq.LINGER, 0)
            self.socket.bind(self.runtime.agent)

    def _read_screen(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while not self._ending:
            if not select.select([self._terminal], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # the terminal is gone with its last user
                return
            with self._arrived:
                self.screen += decoder.decode(data)
                self._arrived.notify_all()

    def _read_link(self) -> None:
        while not self._ending:
            with self._lock:
                if not self.socket.poll(5):
                    continue
                peer, frame, *lines = self.socket.recv_multipart()
            with self._arrived:
                self._peer = peer
                message = load(frame)
                if lines:
                    self.messages += [{"typ": "notice", "body": load(line)} for line in lines[0].split(b"\n")]
                else:
                    self.messages.append(message)
                self._arrived.notify_all()
            if message["typ"] == "request" and self._answers.get(message["verb"]):
                self.send("reply", id=message["id"], rep=self._answers[message["verb"]].pop(0))

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = 10) -> Any:
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while not (found := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"{what}: not within {timeout_s} s; screen ends {self.text[-400:]!r}"
                self._arrived.wait(min(left, 0.2))
            return found

    def wait_for(self, typ: str, timeout_s: float = 10, *, since: int = 0, **fields: Any) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            for message in self.messages[since:]:
                if message["typ"] == typ and all(message.get(k) == v for k, v in fields.items()):
                    return message
            return None

        return self.wait(find, f"{typ} {fields}", timeout_s)

    def wait_for_notice(self, typ: str, timeout_s: float = 10, *, since: int = 0, **fields: Any) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            for message in self.messages[since:]:
                body = message.get("body", {})
                if body.get("typ") == typ and all(body.get(k) == v for k, v in fields.items()):
                    return body
            return None

        return self.wait(find, f"notice {typ} {fields}", timeout_s)

    @property
    def text(self) -> str:
        """What the terminal showed, without escape sequences."""
        return _ESCAPES.sub("", self.screen)

    @property
    def line(self) -> str:
        """What a person sees in the cursor's line before the cursor; behind it IPython suggests what was typed once."""
        screen = pyte.Screen(120, 40)
        pyte.Stream(screen).feed(self.screen[-_LOOK_BACK:])
        return screen.display[screen.cursor.y][: screen.cursor.x]

    def wait_ready(self) -> ConsoleUnderTest:
        self.wait_for("ready", 30)
        return self

    def send(self, typ: str, **fields: Any) -> str:
        number = fields.setdefault("id", f"t{next(self._numbers)}")
        with self._lock:
            self.socket.send_multipart([self._peer, dump({"typ": typ, **fields})])
        return number

    def deliver(self, text: str, origin: str = "scan window", person: str = "operator") -> str:
        return self.send("cell/deliver", text=text, origin=origin, person=person)

    def run(self, text: str, timeout_s: float = 10, **who: str) -> dict[str, Any]:
        """Execute and return the whole `cell/done`."""
        return self.wait_for("cell/done", timeout_s, id=self.deliver(text, **who))

    def ask(self, typ: str, timeout_s: float = 10, **fields: Any) -> dict[str, Any]:
        return self.wait_for("answer", timeout_s, id=self.send(typ, **fields))["rep"]

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def answer_requests(self, **answers: list[dict[str, Any]]) -> None:
        """Answer the console's requests of a verb (`/` written as `_`) with these replies, one after the other."""
        self._answers = {verb.replace("_", "/"): list(replies) for verb, replies in answers.items()}

    def hang_up(self) -> None:
        """Close the terminal, as a window that is closed or an ssh connection that breaks."""
        self._ending = True
        self._threads[0].join()
        self.child.ptyproc.fileobj.close()

    def wait_gone(self, timeout_s: float = 10) -> int:
        """Wait for the process to end; its exit code, negative for a signal."""
        if not self._gone:
            ready = select.select([self._pidfd], [], [], timeout_s)[0]
            assert ready, f"the console still runs; screen ends {self.text[-400:]!r}"
            self._gone = [os.waitstatus_to_exitcode(os.waitpid(self.child.pid, 0)[1])]
            self.child.ptyproc.terminated = self.child.terminated = True
        return self._gone[0]

    def close(self) -> None:
        if not self._gone:
            os.kill(self.child.pid, signal.SIGTERM)
            try:
                self.wait_gone()
            finally:
                if not self._gone:
                    os.kill(self.child.pid, signal.SIGKILL)
                    self.wait_gone()
        self._ending = True
        for thread in self._threads:
            thread.join()
        os.close(self._pidfd)
        self.child.ptyproc.fileobj.close()
        self.child.closed = self.child.ptyproc.closed = True
        self.socket.close()
        self._context.term()
