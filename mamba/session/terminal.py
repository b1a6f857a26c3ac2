"""The owner of the pseudo-terminal in which IPython runs.

*Keys* go in, in order; *interrupt* (Ctrl-C) overtakes them. *Output* goes to the transcript (a file, everything), to
the *backlog* (the last 64 kB, for who joins later) and to the listener. Ctrl-Z stops nothing, since nobody is there who
could continue it (the kernel drops it in an orphaned process group); nor does the quit key end anything, since SIGQUIT
is ignored.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pexpect

from mamba.session.loop import Loop
from mamba.session.transcript import Transcript

BACKLOG_BYTES = 64 * 1024
"""How much of the output who joins is shown."""
QUEUE_BYTES = 4 * 2**20
"""Keys that may wait until IPython reads them."""
CTRL_C = b"\x03"
"""The key that interrupts."""
_READ_BYTES = 64 * 1024


class Terminal:
    """One child process in a pseudo-terminal.

    Args:
        loop: watches the terminal.
        transcript: file that gets all output.
        on_output: called with each piece of output.
        on_exit: called once, with the exit status (negative: the signal), when the child is gone.
    """

    def __init__(
        self, loop: Loop, transcript: Path, *, on_output: Callable[[bytes], None], on_exit: Callable[[int], None]
    ) -> None:
        self._loop = loop
        self._on_output, self._on_exit = on_output, on_exit
        self._transcript = Transcript(transcript)
        self._backlog = bytearray()
        self._queue = bytearray()
        self._child: pexpect.spawn | None = None
        self._pidfd = -1
        self._rows, self._columns = 40, 120

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when none lives."""
        return None if self._child is None else int(self._child.pid)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._rows, self._columns

    @property
    def backlog(self) -> bytes:
        """The last output, from the start of a line where there is one."""
        cut = self._backlog.find(b"\n") + 1 if len(self._backlog) >= BACKLOG_BYTES else 0
        return bytes(self._backlog[cut:])

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start the child; one at a time."""
        assert self._child is None
        child = pexpect.spawn(
            *(command[0], list(command[1:])),
            env=dict(env),
            dimensions=self.size,
            timeout=None,
            preexec_fn=_ignore_quit,
        )
        child.delaybeforesend = None
        child.delayafterclose = child.delayafterterminate = 0
        os.set_blocking(child.child_fd, False)
        self._child = child
        # a child of the child may keep the terminal open for ever, so the process itself is watched
        self._pidfd = os.pidfd_open(child.pid)
        self._loop.watch_reader(self._pidfd, self._reap)
        self._loop.watch_reader(child.child_fd, self._read)

    def write(self, keys: bytes) -> bool:
        """Queue keys for IPython; False when there is no child or far too much waits already.

        A Ctrl-C among them takes effect at once; what IPython had not read by then is dropped, as a terminal does.
        """
        if self._child is None or len(self._queue) + len(keys) > QUEUE_BYTES:
            return False
        before, interrupted, after = keys.rpartition(CTRL_C)
        if interrupted:
            self._queue += before
            self._flush()
            self.interrupt()
        self._queue += after
        self._flush()
        return True

    def interrupt(self) -> None:
        """Ctrl-C ahead of all keys that wait, which are dropped."""
        if self._child is None:
            return
        self._queue.clear()
        if self._signals_keys():
            # a terminal whose input is full takes no key, not even this one: send what it would have sent
            os.killpg(self._foreground(), signal.SIGINT)
        else:
            self._queue += CTRL_C
            self._flush()

    def _signals_keys(self) -> bool:
        """Whether the terminal itself makes a signal of Ctrl-C (a cell runs), or a program reads it (the prompt)."""
        assert self._child is not None
        return bool(termios.tcgetattr(self._child.child_fd)[3] & termios.ISIG)

    def _foreground(self) -> int:
        assert self._child is not None
        group = os.tcgetpgrp(self._child.child_fd)
        return group if group > 0 else int(self._child.pid)

    def resize(self, rows: int, columns: int) -> None:
        """Set the window size; the child redraws, even when it is the same as before."""
        self._rows, self._columns = rows, columns
        if self._child is not None:
            self._child.setwinsize(rows, columns)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._foreground(), signal.SIGWINCH)

    def send_signal(self, number: int) -> None:
        """Send a signal to the child."""
        if self._child is not None:
            os.kill(self._child.pid, number)

    def kill(self) -> None:
        """End the child and its process groups at once."""
        if self._child is None:
            return
        for group in {self._foreground(), int(self._child.pid)}:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _flush(self) -> None:
        child = self._child
        if child is None:
            return
        try:
            while self._queue:
                del self._queue[: os.write(child.child_fd, bytes(self._queue[:4096]))]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._queue.clear()  # the child closed its terminal
        self._loop.watch_writer(child.child_fd, self._flush if self._queue else None)

    def _read(self) -> None:
        assert self._child is not None
        try:
            output = os.read(self._child.child_fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            output = b""
        if output:
            self.show(output)
        else:
            self._loop.forget(self._child.child_fd)  # nobody has the terminal open; the end of the process follows

    def show(self, output: bytes) -> None:
        """Treat `output` as if the child had written it: for what the host itself has to say."""
        self._backlog += output
        del self._backlog[:-BACKLOG_BYTES]
        self._transcript.write(output)
        self._on_output(output)

    def _reap(self) -> None:
        child = self._child
        if child is None:
            return
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid == 0:
            return
        self._drain()
        self._child = None
        self._loop.forget(self._pidfd)
        self._loop.forget(child.child_fd)
        os.close(self._pidfd)
        child.terminated = True  # pexpect must not wait for it again, nor signal its number
        child.ptyproc.terminated = True
        child.close(force=False)
        self._queue.clear()
        self._on_exit(os.waitstatus_to_exitcode(status))

    def _drain(self) -> None:
        """Read the last words, for a bounded time: another process may still write."""
        assert self._child is not None
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            try:
                output = os.read(self._child.child_fd, _READ_BYTES)
            except OSError:
                return
            if not output:
                return
            self.show(output)

    def close(self) -> None:
        """Close the transcript; the child must be gone."""
        assert self._child is None
        self._transcript.close()


def _ignore_quit() -> None:
    """In the child, before exec, which keeps it so: the quit key would end IPython without the clean-up of its run."""
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
