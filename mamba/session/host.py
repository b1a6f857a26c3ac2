"""The session host: one process that owns the terminal and the sockets, and outlives IPython.

Here the parts are put together; each part knows only what it is given.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import zmq

from mamba import orphans
from mamba.errors import Cancelled, ConsoleDied, ZError
from mamba.runtime import RuntimeDirectory
from mamba.session.agent import Agent
from mamba.session.audit import AuditLog
from mamba.session.commands import CommandQueue
from mamba.session.console_life import GRACE_S, ConsoleLife
from mamba.session.control import Control
from mamba.session.gate import Gate
from mamba.session.join_server import JoinServer
from mamba.session.keyboard import Keyboard
from mamba.session.keys import KeysServer
from mamba.session.loop import Loop
from mamba.session.making_safe import MakingSafe
from mamba.session.output_notices import OutputNotices
from mamba.session.people import PasswordCheck, People
from mamba.session.receipts import Receipts
from mamba.session.roles import Caller
from mamba.session.state import SessionState
from mamba.session.terminal import Terminal
from mamba.session.verbs import make_handlers
from mamba.session.verbs.added import AddedVerbs
from mamba.session.verbs.base import make_died_error
from mamba.session.verbs.devices import DeviceVerbs
from mamba.wire.agent_link import LinkMessage
from mamba.wire.messages import make_request
from mamba.wire.publisher import Publisher
from mamba.wire.server import Call, RequestServer, answer

log = logging.getLogger(__name__)

_LAST_WORDS_S = 0.2
"""So long those who were answered last have to read it, before the sockets close."""


class SessionHost:
    """One session; `run` returns when it has ended.

    Args:
        runtime: the folder whose lock "session" the caller holds.
        command: starts the console.
        env: environment of the console.
        profile: path of the profile, for who asks.
        person: who measures, until somebody logs in.
        audit_file: of the audit log.
        authenticator: checks passwords; None where nobody has to log in.
        control_timeout_s: how long the person in control has to answer who asks for it; None where there is no control.
        grace_s: how long IPython may take to end.
    """

    def __init__(
        self,
        runtime: RuntimeDirectory,
        *,
        command: Sequence[str],
        env: Mapping[str, str],
        profile: str,
        person: str,
        audit_file: Path,
        authenticator: PasswordCheck | None = None,
        control_timeout_s: float | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self._runtime, self._profile = runtime, profile
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._ending = False
        self.started = time.monotonic()
        self.loop = Loop()
        self.state = SessionState()
        self.people = People(self.loop, authenticator, person)
        self.publisher = Publisher(self._context, runtime.notify)
        self.audit = AuditLog(audit_file, self.loop)
        self.receipts = Receipts(self.audit)
        self.terminal = Terminal(self.loop, runtime.transcript, on_output=self._show, on_exit=self._on_exit)
        self.life = ConsoleLife(self.loop, self.terminal, command=command, env=env, grace_s=grace_s)
        self.making_safe = MakingSafe(self.loop, Path(profile), publish=self._publish, show=self._say)
        self._make_links()
        self._make_requests(control_timeout_s)

    def _make_links(self) -> None:
        """What leads to IPython: its agent, the queue of commands, and the ways to its keyboard and screen."""
        loop, runtime = self.loop, self._runtime
        self.agent = Agent(
            loop,
            self._context,
            runtime.agent,
            accepts=lambda pid: pid == self.terminal.pid,
            on_message=self._take_message,
            on_notice=self._take_notice,
        )
        self.commands = CommandQueue(
            loop, self.receipts, deliver=self.agent.send, publish=self._publish, typist=self.people.find_typist
        )
        self.keyboard = Keyboard(self.terminal, self.commands, self.people, self.set_terminal)
        self.output = OutputNotices(loop, self.publisher.publish)
        self.join_server = JoinServer(
            loop,
            runtime.terminal,
            self.terminal,
            self.keyboard.type_joined,
            may_type=lambda token: self.gate.explain_watching(token),
            may_interrupt=lambda token: self.gate.may_interrupt(token),
        )
        self._keys = KeysServer(loop, self._context, runtime.keys, self.keyboard.type_raw)

    def _make_requests(self, control_timeout_s: float | None) -> None:
        """What answers: control, the verbs, the gate before them, and the socket they come by."""
        self.control = Control(
            self.loop,
            enabled=control_timeout_s is not None,
            timeout_s=control_timeout_s or 0.0,
            is_present=self.people.is_present,
            publish=self._publish_control,
        )
        self.handlers = make_handlers(self)
        self._added = AddedVerbs(self.handlers, DeviceVerbs(self).forward)
        self.gate = Gate(self.people, self.control, added=self._added.rules, audit=self.audit.add)
        self.server = RequestServer(self._context, self._runtime.rpc, self.handlers, self.gate.admit)
        self.loop.watch_reader(self.server.socket, self.server.serve)

    def run(self) -> None:
        """Start the console and serve until SIGTERM, SIGINT or SIGHUP."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.on_signal(number, self.end)
        self._start_console()
        try:
            self.loop.run()
        finally:
            self._close()

    def describe(self) -> dict[str, Any]:
        """Process ids, sockets and profile."""
        runtime = self._runtime
        return {
            "pid": os.getpid(),
            "console_pid": self.terminal.pid,
            "sockets": {
                "rpc": runtime.rpc,
                "notify": runtime.notify,
                "keys": runtime.keys,
                "terminal": str(runtime.terminal),
            },
            "profile": self._profile,
            "transcript": str(runtime.transcript),
        }

    # the console's life

    def _start_console(self) -> None:
        self.state.begin_console()
        self.life.start()
        self._runtime.write_state("session", self.describe())
        self._publish("session/started", {"pid": self.terminal.pid})

    def _end_console(self, after: Callable[[], None]) -> None:
        if not self.life.end(after):
            self.making_safe.when_done(self.life.go_on)

    def _on_exit(self, status: int) -> None:
        self.life.note_exit(status)
        died_of = self.life.died_of
        was_running = self.state.run.get("state") != "idle"
        self.state.end_console(died_of)
        error = self.make_died()
        self.commands.end(error)
        self.agent.end(error)
        if was_running:
            run = self.state.run
            fields = {key: run.get(key) for key in ("state", "uid", "reason")}
            self._publish("run/state", {**fields, "id": run.get("scan_id")})
        self._publish("session/died", {"reason": died_of})
        self._say(f"console: {died_of}")
        if was_running or not self.life.left_on_purpose:
            self.making_safe.begin(run_open=was_running)
        mdw = self._runtime.path / "mdw"
        threading.Thread(target=orphans.sweep, args=(mdw,), name="sweep", daemon=True).start()  # it waits for the dying
        self._runtime.write_state("session", self.describe())
        self.making_safe.when_done(lambda: self._farewell(died_of, int(status != 0)))

    def _farewell(self, died_of: str, status: int) -> None:
        self.join_server.dismiss(f"the console has ended: {died_of}", status=status)
        self.life.go_on()

    def make_died(self) -> ConsoleDied:
        """The error of who needs the console now that it is gone."""
        return make_died_error(self.life.died_of)

    def restart_console(self, on_started: Callable[[], None]) -> None:
        """End IPython if it lives, start a new one, then call `on_started`.

        Raises:
            ZError: `busy`, when it is ending already.
        """
        if self.life.is_ending or self._ending:
            raise ZError("busy", "session/restart: the console is ending already; ask again in a few seconds")

        def start() -> None:
            if not self._ending:
                self._start_console()
                on_started()

        self._end_console(start)

    def end(self) -> None:
        """End the session; asked a second time, at once."""
        if self._ending:
            self.terminal.kill()
            return
        self._ending = True
        self.commands.cancel_waiting(Cancelled("command: withdrawn, since the session is ending"))
        self._end_console(self._stop_soon)

    def _stop_soon(self) -> None:
        """A client loses what it has not read when its connection ends (see `mamba.wire.connection`)."""
        self.loop.call_later(_LAST_WORDS_S, self.loop.stop)

    def _close(self) -> None:
        (self._runtime.path / "session.json").unlink(missing_ok=True)
        self.loop.forget(self.server.socket)
        closable = (self.server, self._keys, self.agent, self.join_server, self.publisher, self.terminal, self.audit)
        for part in (self.making_safe, *closable, self.people, self.loop):
            part.close()
        self._context.term()
        for endpoint in (self._runtime.rpc, self._runtime.notify, self._runtime.keys, self._runtime.agent):
            Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)  # ZeroMQ leaves its files behind

    # what comes in

    def _show(self, output: bytes) -> None:
        self.join_server.show(output)
        self.output.take(output)

    def _say(self, text: str) -> None:
        """A line of the host's own in the terminal."""
        self.terminal.show(f"\r\n[mamba] {text}\r\n".encode())

    def tell_stopped(self, text: str, fields: dict[str, Any]) -> None:
        """Everything was stopped: `text` in the terminal, the notice `session/stopped-all` to all."""
        self._say(text)
        self._publish("session/stopped-all", fields)

    def set_terminal(self, caller: Caller) -> None:
        """Somebody logged in at the prompt, or (person "") out."""
        self.people.terminal = caller
        if self.agent.connected:
            self._tell_person()
        self._publish("session/person", {"person": self.people.person, "proposal": caller.proposal})

    def _tell_person(self) -> None:
        caller = self.people.terminal
        fields = {"person": caller.person, "proposal": caller.proposal, "role": caller.role}
        self.agent.send({"typ": "session/person", **fields})

    def _publish(self, typ: str, fields: dict[str, Any]) -> None:
        self.publisher.publish(typ, fields)

    def _publish_control(self, typ: str, fields: dict[str, Any]) -> None:
        self._publish(typ, fields)
        self.join_server.fit_window()  # other people may type now

    def _take_message(self, message: LinkMessage) -> None:
        typ = message["typ"]
        if typ.startswith("cell/"):
            self.commands.take(message)
        elif typ == "state":
            self._take_state(message)
        elif typ == "ready":
            self.state.startup_error = str(message.get("startup_error") or "")
            self.commands.begin()
        elif typ == "hello":
            self._take_hello(message)
        elif typ == "request":
            self._take_request(message)
        elif typ == "bye":
            self.life.left_on_purpose = True
        else:
            log.warning("agent: %r is no message of the link", typ)

    def _take_hello(self, message: LinkMessage) -> None:
        log.info("agent: hello from process %s", message.get("pid"))
        self._tell_person()

    def _take_state(self, message: LinkMessage) -> None:
        self.state.update(message)
        self.making_safe.note(message.get("reach"))
        verbs = message.get("verbs")
        if isinstance(verbs, dict):
            self._added.replace({str(verb): str(role) for verb, role in verbs.items()})

    def _take_notice(self, typ: str, line: bytes) -> None:
        if typ in ("run/state", "run/suspended", "run/resumed"):
            self.state.note_run(json.loads(line))
        elif typ == "session/notices-dropped":
            for lost, count in json.loads(line)["lost"].items():
                self.publisher.skip(lost, count)
        frame = self.publisher.pass_on(typ, line)
        if typ.startswith("scan/"):
            self.state.last_run.take(typ, frame)

    def _take_request(self, message: LinkMessage) -> None:
        number = message["id"]
        request = make_request({**(message.get("args") or {}), "typ": message["verb"]})
        call = Call(request, lambda rep: self.agent.send({"typ": "reply", "id": number, "rep": rep}), source="console")
        answer(self.handlers, call, self.gate.admit)
