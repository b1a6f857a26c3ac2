"""The end of the console: the run closed, its clean-up done, Ray down, the host told; whatever ended it.

After a hang-up the terminal is gone and every print raises, the clean-up's too: the standard streams are redirected to
the log before anything else happens.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from IPython.terminal.interactiveshell import TerminalInteractiveShell

from mamba.console.session import ConsoleSession

log = logging.getLogger(__name__)

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
CLEAN_UP_S = 8.0
"""How long a run's clean-up may take when the console ends."""
_CELL_S = 0.5
"""How long a cell may take to end by itself once its run was ended; then it is interrupted."""
_NOTICE_S = 0.02
"""How long the main thread may take to notice a Ctrl-C before it is woken up to look."""
_LEAVE_S = 2.5
"""How long the main thread may take to leave its cell and the prompt in all."""


class Closing:
    """Ends one console, on SIGTERM, SIGHUP or when the person leaves.

    Args:
        shell: the IPython that ends; `close` is to be called before it clears its namespace.
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
        self._one_at_a_time = threading.Lock()
        self._closing = threading.Event()
        self._reason = "the person left the console"
        self._caught = threading.Lock()
        self._told, self._telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def catch_signals(self) -> None:
        """End on SIGTERM and SIGHUP, also while the main thread sits in C code or in a debugger."""
        for number in _ENDING_SIGNALS:
            signal.signal(number, lambda number, frame: self._catch(number))
        signal.signal(signal.SIGURG, lambda number, frame: None)
        # The prompt's event loop takes the wake-up descriptor for itself and gives it up: it is set for each cell.
        self._shell.events.register("pre_run_cell", self._watch_signals)
        self._watch_signals(None)
        threading.Thread(target=self._wait_for_signals, name="mamba-signals", daemon=True).start()

    def _watch_signals(self, info: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._telling, warn_on_full_buffer=False)

    def _wait_for_signals(self) -> None:
        while select.select([self._told], [], []):
            for number in os.read(self._told, 64):
                if number in _ENDING_SIGNALS:
                    self._catch(number)
                elif number == signal.SIGINT:
                    self._wake_main_thread()

    def _wake_main_thread(self) -> None:
        """Python loses a Ctrl-C that comes while the main thread hands on its lock and is about to sleep in C code."""
        if not self._closing.wait(_NOTICE_S):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)

    def _catch(self, number: int) -> None:
        if not self._caught.acquire(blocking=False):
            return
        self._reason = f"the console was ended by {signal.Signals(number).name}"
        redirect_streams(self._log_file)
        # The main thread may be inside the run's own call; it must go on for the run to end.
        threading.Thread(target=self._end_from_signal, name="mamba-closing", daemon=True).start()

    def _end_from_signal(self) -> None:
        log.warning("%s", self._reason)
        self._end_run()
        if self._leave():
            return  # the main thread calls close() on its way out
        self.close()
        log.error("the main thread did not leave within %g s; ended without it", _LEAVE_S)
        faulthandler.dump_traceback(2)  # where it is; standard error goes to the log by now
        logging.shutdown()
        os._exit(1)

    def _leave(self) -> bool:
        """Bring the main thread out of its cell and the prompt; False if it does not come."""
        self._shell.confirm_exit = False
        self._shell.ask_exit()  # type: ignore[no-untyped-call]  # IPython
        deadline = time.monotonic() + _LEAVE_S
        while time.monotonic() < deadline:
            loop = self._app.loop
            if loop is not None and self._app.is_running:
                with contextlib.suppress(RuntimeError):  # the prompt ended by itself
                    loop.call_soon_threadsafe(self._end_prompt)
            if self._closing.wait(_CELL_S):
                return True
            session = self._session()
            if session is not None and session.cells is not None and session.cells.running is not None:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return False

    def _end_prompt(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit(exception=EOFError)

    def _end_run(self) -> None:
        """Close the run; who comes second waits until the first is through."""
        session = self._session()
        with self._one_at_a_time:
            try:
                if session is not None:
                    session.end_run(self._reason, CLEAN_UP_S)
            except Exception:  # the process ends in any case
                log.exception("the run could not be ended")

    def close(self) -> None:
        """End the run, Ray and the link."""
        self._closing.set()
        self._end_run()
        try:
            _shut_ray_down()
        except Exception:  # the link is closed and the process ends in any case
            log.exception("Ray could not be ended")
        session = self._session()
        if session is not None:
            session.close()


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
