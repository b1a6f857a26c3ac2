"""The console as one thing: cells, prompt, run, devices, and the link to the session host they are told through.

There is one per process, made by the first `server_start`; a later call (the start-up script mended and run again)
gives it other groups and another run engine.
"""

from __future__ import annotations

import getpass
import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from mamba.console.agent import Agent
from mamba.console.cells import CellRecorder
from mamba.console.dispatch import HostMessages
from mamba.console.documents import DocumentRelay
from mamba.console.injector import Injector
from mamba.console.keyboard import Keyboard
from mamba.console.run_control import RunControl
from mamba.console.services import Groups, Services
from mamba.console.shell import BeamlineShell
from mamba.devices import iter_devices, reach_of, record_without_dots
from mamba.errors import NoRun, ZError
from mamba.wire import notices
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import Reply

log = logging.getLogger(__name__)

_NO_RUN: dict[str, Any] = {
    "state": "idle",
    "uid": None,
    "scan_id": None,
    "point": 0,
    "num_points": None,
    "reason": "",
    "waits_for": [],
}


class ConsoleSession:
    """Everything the console does around IPython.

    Args:
        shell: the IPython of this process; None in a plain Python program, where nothing is injected.
        endpoint: where the session host listens; None for a console that nobody is connected to.
        person: who measures while nobody is logged in; the login name if empty.

    Attributes:
        logged_in: who is logged in; "" for nobody.
        role: of who types at the prompt; "expert" where nobody has to log in.
        proposal: what they measure for; "" for none.
        run: pause and abort of the run engine; None before there is one.
        startup_error: why the start-up script failed; "" if it did not.
    """

    def __init__(self, shell: InteractiveShell | None, *, endpoint: str | None = None, person: str = "") -> None:
        self.shell = shell
        self._nobody = person or getpass.getuser()
        self.logged_in = self.proposal = ""
        self.role = "expert"
        self.startup_error = ""
        self.run: RunControl | None = None
        self.cells: CellRecorder | None = None
        self.injector: Injector | None = None
        self.agent: Agent | None = None
        self.services = Services(lambda: self._groups)
        self._groups: Groups = {"M": {}, "D": {}}
        self._documents: DocumentRelay | None = None
        self._keyboard: Keyboard | None = None
        self._devices: dict[str, list[str]] = {"M": [], "D": []}
        self._reach: dict[str, dict[str, str]] = {}
        self._told: LinkMessage = {}
        self._telling = threading.Lock()
        self._greeted = False
        self._id = str(uuid.uuid4())
        self._detach: Callable[[], None] = lambda: None
        if shell is not None:
            self.cells = CellRecorder(shell, report=self.report, person=lambda: (self.person, self.proposal, self.role))
            self.cells.after_cell.append(self._after_cell)
        if endpoint is not None and isinstance(shell, BeamlineShell) and self.cells is not None:
            self._connect(endpoint, shell, self.cells)

    def _connect(self, endpoint: str, shell: BeamlineShell, cells: CellRecorder) -> None:
        keyboard = self._keyboard = Keyboard()
        cells.before_command.append(keyboard.keep)
        cells.after_cell.insert(0, keyboard.give_back)
        self.injector = Injector(
            shell,
            cells,
            report=self.report,
            is_held=lambda: self.run is not None and self.run.is_ending(),
            has_keyboard=keyboard.is_occupied,
        )
        self.injector.on_first_idle = self._tell_ready
        messages = HostMessages(self, self.injector)
        agent = Agent(endpoint, handle=messages.take, greet=self._greet, on_tick=self._tick)
        self.agent = agent
        self._detach = notices.attach(agent.relay)
        agent.start()

    @property
    def person(self) -> str:
        """Who measures: who is logged in, else whom the profile names, else the login name."""
        return self.logged_in or self._nobody

    @property
    def is_connected(self) -> bool:
        """Whether a session host is there."""
        return self.agent is not None and self.agent.wait_connected(0)

    @property
    def groups(self) -> Groups:
        """`{"M": M, "D": D}` as `server_start` was given them."""
        return self._groups

    def use(self, motors: Mapping[str, Any], detectors: Mapping[str, Any], engine: Any) -> None:
        """Take `M`, `D` and `RE`; devices with dotted names are made to record dot-free keys.

        Raises:
            NameClash: two devices would be recorded under one key.
        """
        self._groups = {"M": motors, "D": detectors}
        for name, group in self._groups.items():
            for expression, device in iter_devices(group, name):
                if getattr(device, "name", "") == expression:
                    record_without_dots(device)
        if engine is not None and (self.run is None or self.run.engine is not engine):
            self._use_engine(engine)
        self._look_at_devices()
        self.tell_state()

    def _use_engine(self, engine: Any) -> None:
        if self.run is not None and self._documents is not None:
            self.run.close()
            self._documents.close()
        self._documents = DocumentRelay(engine)
        self.run = RunControl(engine, on_change=self._run_changed)
        if self.cells is not None:
            self.cells.engine = engine

    def _run_changed(self) -> None:
        if self.injector is not None and self.run is not None and self.injector.waiting and not self.run.is_ending():
            self.injector.nudge()

    def _after_cell(self) -> None:
        self._look_at_devices()
        self.tell_state()

    def _look_at_devices(self) -> None:
        devices = self.services.list_devices()
        if devices != self._devices:
            self._devices = devices
            notices.publish("devices/changed", devices=devices)
        self._reach = {
            expression: reach
            for name, group in self._groups.items()
            for expression, device in iter_devices(group, name)
            if (reach := reach_of(device, in_m=name == "M")) is not None
        }

    def report(self, message: LinkMessage) -> None:
        """Send a message to the host, if there is one."""
        if self.agent is not None:
            self.agent.send(message)

    def tell_state(self) -> None:
        """Send the state copy when it is not what the host was told last."""
        with self._telling:  # two threads must not send their copies in the wrong order
            state = self.describe_state()
            if state != self._told:
                self._told = state
                self.report({"typ": "state", **state})

    def describe_state(self) -> LinkMessage:
        """`devices`, `reach`, `run`, `prompt` and `verbs` as in the link's `state`."""
        return {
            "devices": self._devices,
            "reach": self._reach,
            "run": self.run.describe() if self.run is not None else dict(_NO_RUN),
            "prompt": self._describe_prompt(),
            "verbs": dict(self.services.added),
        }

    def _describe_prompt(self) -> str:
        if self.cells is not None and self.cells.running is not None:
            return "occupied" if self._keyboard is not None and self._keyboard.is_occupied() else "running"
        if self.injector is None or not self.injector.is_at_prompt():
            return "running"
        return "occupied" if self.injector.is_occupied() else "idle"

    def _greet(self) -> list[LinkMessage]:
        """Who we are; what waits to be sent follows, and then, with the next tick, the state."""
        count = self.shell.execution_count if self.shell is not None else 0
        greeting = [{"typ": "hello", "pid": os.getpid(), "session": self._id, "execution_count": count}]
        if self._greeted and self.injector is not None and self.injector.was_idle:
            greeting.append(self._make_ready())  # the former host was told; this one was not
        self._greeted = True
        with self._telling:
            self._told = {}
        return greeting

    def _make_ready(self) -> LinkMessage:
        return {"typ": "ready", "startup_error": self.startup_error}

    def _tick(self) -> None:
        self.tell_state()
        if self.injector is not None:
            self.injector.tell_waiting()

    def _tell_ready(self) -> None:
        self.report(self._make_ready())
        self.tell_state()

    def ask(self, verb: str, **args: Any) -> Any:
        """Ask the host and return its answer.

        Raises:
            ZError: with the code and description of its error.
            WireError: there is no answer.
        """
        if self.agent is None:
            raise ZError("not-connected", f"{verb}: this console has no session host; start it with 'mambactl up'")
        rep = self.agent.request(verb, args)
        return Reply(rep["err"], rep.get("ret"), rep.get("desc", "")).unwrap()

    def end_run(self, reason: str, timeout_s: float) -> None:
        """Abort what runs or is paused and wait for its clean-up."""
        if self.run is None:
            return
        try:
            self.run.abort(reason)
        except NoRun:
            return
        if not self.run.wait_until_idle(timeout_s):
            log.error("run: its clean-up goes on after %g s; the engine is %s", timeout_s, self.run.state)

    def close(self) -> None:
        """Deliver no more and end the link; the run is ended before by `end_run`."""
        if self.injector is not None:
            self.injector.close()
        if self._keyboard is not None:
            self._keyboard.close()
        self.services.close()
        self._detach()
        if self.agent is not None:
            self.agent.close()
