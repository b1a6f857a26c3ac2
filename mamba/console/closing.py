"""The end of the console: the run closed, its clean-up done, Ray down, the host told; whatever ended it.

After a hang-up the terminal is gone and every print raises, the clean-up's too: the standard streams are redirected to
the log before anything else happens.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from IPython.terminal.interactiveshell import TerminalInteractiveShell

from mamba.console.session import ConsoleSession

log = logging.getLogger(__name__)

CLEAN_UP_S = 8.0
"""How long a run's clean-up may take when the console ends."""
_LEAVE_S = 2.0
"""How long the main thread may take to leave its cell and the prompt after that."""


class Closing:
    """Ends one console once, on SIGTERM, SIGHUP or when the person leaves.

    Args:
        shell: the IPython that ends.
        session: gives the session of this process; None when there is none yet.
        log_file: where the standard streams go when the terminal is gone.
    """

    def __init__(
        self, shell: TerminalInteractiveShell, *, session: Callable[[], ConsoleSession | None], log_file: Path
    ) -> None:
        if shell.pt_app is None:
            raise RuntimeError("IPython has no prompt_toolkit prompt")
        self._shell, self._session, self._log_file = shell, session, log_file
        self._app = shell.pt_app.app
        self._once = threading.Lock()
        self._done = threading.Event()
        self._signalled = False

    def catch_signals(self) -> None:
        """End on SIGTERM and SIGHUP."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._catch)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            return
        self._signalled = True
        redirect_streams(self._log_file)
        name = signal.Signals(number).name
        # The main thread may be inside the run's own call; it must go on for the run to end.
        threading.Thread(target=self._end_from_signal, args=(name,), name="mamba-closing", daemon=True).start()

    def _end_from_signal(self, name: str) -> None:
        log.warning("%s: the console ends", name)
        self.close(f"the console was ended by {name}")
        self._leave()
        # still here: a cell that cannot be interrupted; the history is written, nothing else waits for it
        log.error("the main thread did not leave within %g s; ended without it", _LEAVE_S)
        faulthandler.dump_traceback(sys.__stderr__)  # where it is; the stream goes to the log by now
        logging.shutdown()
        os._exit(1)

    def _leave(self) -> None:
        app, session = self._app, self._session()
        self._shell.confirm_exit = False
        self._shell.ask_exit()  # type: ignore[no-untyped-call]  # IPython
        deadline = time.monotonic() + _LEAVE_S
        main = threading.main_thread()
        while main.is_alive() and time.monotonic() < deadline:
            loop = app.loop
            if loop is not None and app.is_running and not app.is_done:
                loop.call_soon_threadsafe(self._end_prompt)
            elif session is not None and session.cells is not None and session.cells.running is not None:
                signal.pthread_kill(main.ident or 0, signal.SIGINT)
            main.join(0.2)

    def _end_prompt(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit(exception=EOFError)

    def close(self, reason: str) -> None:
        """End the run, Ray and the link; only once, whoever calls. Returns when that is done."""
        if not self._once.acquire(blocking=False):
            self._done.wait(CLEAN_UP_S + _LEAVE_S)
            return
        session = self._session()
        try:
            if session is not None:
                session.end_run(reason, CLEAN_UP_S)
            _shut_ray_down()
        except Exception:  # the link is closed and the process ends in any case
            log.exception("the console's clean-up raised")
        finally:
            if session is not None:
                session.close()
            self._done.set()


def _shut_ray_down() -> None:
    control = sys.modules.get("mamba.data_worker.control")  # Ray is only there when a graph was armed
    if control is not None:
        control.shutdown_ray()


def redirect_streams(file: Path) -> None:
    """Let everything that is printed from now on, by C code too, go to `file`; nothing is read any more."""
    log_fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in (1, 2):
        os.dup2(log_fd, number)
    os.close(log_fd)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
