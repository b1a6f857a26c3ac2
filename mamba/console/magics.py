"""What a person can ask at the prompt: `%mamba` (who is connected, what waits, receipts), `%wa` (motor positions)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from mamba.console.device_tables import WAIT_S, align, describe_devices, show_devices_in
from mamba.console.motion_magics import register_motion_magics
from mamba.devices import iter_devices
from mamba.errors import find_nearest

if TYPE_CHECKING:
    from mamba.console.session import ConsoleSession

_LOG_LINES = 20


def register_magics(shell: InteractiveShell, session: ConsoleSession) -> None:
    """Add the magics to `shell`; they are about `session`."""

    def mamba(line: str) -> None:
        """Say what goes on: `%mamba`, `%mamba who`, `%mamba waiting`, `%mamba log [N]`, `%mamba copy [ORIGIN]`.

        `copy` puts the last command of a window, or of the windows whose origin holds ORIGIN, at the next prompt.
        """
        word, _, rest = line.strip().partition(" ")
        if word == "copy":
            shell.set_next_input(find_last_command(session, rest.strip()))
            return
        describe = _WORDS.get(word)
        if describe is None:
            raise UsageError(f"%mamba {word}: {find_nearest(word, [w for w in (*_WORDS, 'copy') if w])}")
        print(describe(session, rest.strip()))  # noqa: T201  # a magic answers on the screen

    def wa(line: str) -> None:
        """Say where all motors are, with units and limits."""
        print(describe_devices(dict(iter_devices(session.groups["M"], "M")), timeout_s=WAIT_S) or "M is empty")  # noqa: T201  # a magic answers on the screen

    def stop_all(line: str) -> None:
        """Stop all that moves, also what other programs moved."""
        if line.strip():
            raise UsageError("%stop_all stops everything and takes no words; one motor is stopped by M.x.stop()")
        done = session.ask("run/stop_all", reason="at the prompt")
        failed = [f"{name}: {why}" for name, why in done["failed"].items()]
        print("\n".join([f"stopped: {', '.join(done['stopped']) or 'nothing moved'}", *failed]))  # noqa: T201  # as above

    register_motion_magics(shell, session)
    show_devices_in(shell)
    shell.magics_manager.register_function(stop_all, "line", "stop_all")
    shell.magics_manager.register_function(mamba, "line", "mamba")
    shell.magics_manager.register_function(wa, "line", "wa")


def describe_session(session: ConsoleSession, _rest: str = "") -> str:
    """One line each for person, link, control, run and waiting commands."""
    run = session.describe_state()["run"]
    point = f", point {run['point']} of {run['num_points'] or '?'}" if run["state"] != "idle" else ""
    proposal = f", proposal {session.proposal}" if session.proposal else ""
    lines = [
        f"person   {session.person}{proposal}" + ("" if session.logged_in else "   (nobody is logged in)"),
        f"host     {'connected' if session.is_connected else 'not connected'}",
        f"run      {run['state']}" + (f", scan {run['scan_id']}" if run["scan_id"] is not None else "") + point,
    ]
    if not session.is_connected:
        return "\n".join(lines)
    state = session.ask("state")
    control = state["control"]
    if control["enabled"]:
        asked = f"; {control['asked_by']} asks for it" if control["asked_by"] else ""
        lines.append(f"control  {control['person'] or 'nobody'}{asked}")
    lines.append(_describe_queue(state))
    joined = session.ask("session/status")["joined"]
    lines += ["", f"connected, and {joined} terminal{'' if joined == 1 else 's'}:", describe_clients(session)]
    return "\n".join(lines)


def _describe_queue(state: dict[str, Any]) -> str:
    waiting = state["waiting"]
    following = f", next: {waiting[0]['text'][:60]!r}" if waiting else ""
    return f"waiting  {len(waiting)} command{'' if len(waiting) == 1 else 's'}{following}"


def describe_clients(session: ConsoleSession, _rest: str = "") -> str:
    """A table of the processes that are connected: program, process id, origin, person and the last request."""
    clients = session.ask("session/clients")
    if not clients:
        return "nobody is connected"
    rows = [
        (
            c["program"],
            str(c["pid"]),
            c["origin"] or "-",
            c["person"] or "-",
            f"{c['requests']}",
            f"{c['last_s']:.0f} s ago",
        )
        for c in clients
    ]
    return align([("program", "pid", "origin", "person", "requests", "last"), *rows])


def describe_waiting(session: ConsoleSession, _rest: str = "") -> str:
    """A table of the commands that have not begun, the next one first."""
    waiting = session.ask("state")["waiting"]
    if not waiting:
        return "nothing waits"
    rows = [(w["id"], w["why"] or "queued", w["origin"], w["person"], _first_line(w["text"])) for w in waiting]
    return align([("id", "why", "origin", "person", "command"), *rows])


def describe_log(session: ConsoleSession, rest: str = "") -> str:
    """A table of the last receipts, of 20 or as many as `rest` says.

    Raises:
        UsageError: `rest` is no number.
    """
    if rest and not rest.isdigit():
        raise UsageError(f"%mamba log {rest}: write a number of commands")
    receipts = session.ask("cmd/history", limit=min(int(rest or _LOG_LINES), 1000))
    rows = [
        (
            time.strftime("%H:%M:%S", time.localtime(r["time"])),
            "" if r["n"] is None else f"In [{r['n']}]",
            f"{r['origin']} ({r['person']})",
            r["rep"]["err"] or "ok",
            f"{r['duration_s']:.2f} s",
            _first_line(r["text"]),
        )
        for r in receipts
    ]
    return align([("time", "cell", "origin", "result", "took", "command"), *rows]) if rows else "no command yet"


def find_last_command(session: ConsoleSession, origin: str) -> str:
    """The text of the last command that was not typed here; `origin` is a part of where it came from.

    Raises:
        UsageError: there is none.
    """
    for receipt in reversed(session.ask("cmd/history", limit=1000)):
        if receipt["origin"] != "console" and origin.lower() in receipt["origin"].lower():
            return str(receipt["text"])
    raise UsageError(f"%mamba copy: no command came from {origin or 'a window'} yet")


_WORDS = {"": describe_session, "who": describe_clients, "waiting": describe_waiting, "log": describe_log}


def _first_line(text: str) -> str:
    line, _, more = text.strip().partition("\n")
    return line[:70] + ("…" if more or len(line) > 70 else "")
