"""`U = server_start(M, D, RE)`: the last line of a start-up script, as in the paper's Figure 4.

In a console that `mamba.console` started it opens the session to its host; anywhere else it says that nobody is
connected, and everything that needs no host works all the same.
"""

from __future__ import annotations

import getpass
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Literal

from IPython import get_ipython

from mamba.console.cells import explain_interruption
from mamba.console.magics import register_magics
from mamba.console.session import ConsoleSession
from mamba.console.short_errors import show_short_interruptions
from mamba.devices import graph
from mamba.errors import ZError

log = logging.getLogger(__name__)

ADD_ONS = "mamba.console"
"""Entry point group of functions that are called with `U` when the console starts."""


class _Place:
    """Where this process's console is connected; filled by `mamba.console.__main__` before the start-up script."""

    endpoint: str | None = None
    person: str = ""
    session: ConsoleSession | None = None


def connect_later(endpoint: str, person: str) -> None:
    """Let the next `server_start` connect to the session host at `endpoint`; `person` measures until the host says."""
    _Place.endpoint, _Place.person = endpoint, person


def current_session() -> ConsoleSession | None:
    """The session of this process, None before `server_start`."""
    return _Place.session


def server_start(M: Mapping[str, Any], D: Mapping[str, Any], RE: Any = None) -> User:
    """Offer the motors `M`, the detectors `D` and the run engine `RE` to everyone who is connected.

    Called again, it replaces what was given before. Devices with dotted names (`name="M.m1"`) keep them and are
    recorded without dots (`M_m1`).

    Args:
        M: motors by name: a Group, or any mapping such as the paper's AttrDict of plain ophyd devices.
        D: detectors, likewise.
        RE: bluesky's RunEngine; without one there are devices and commands, but no runs.

    Raises:
        NameClash: two devices would be recorded under one key.
    """
    session = _Place.session
    if session is None:
        shell = get_ipython()
        session = _Place.session = ConsoleSession(shell, endpoint=_Place.endpoint, person=_Place.person)
        if shell is not None:
            register_magics(shell, session)
            shell.user_ns.setdefault("graph", graph)
            show_short_interruptions(shell, lambda: explain_interruption(session.run and session.run.engine))
        if session.agent is None:
            print("Mamba: not connected to a session host; 'mambactl up' starts a beamline with one.")  # noqa: T201  # a script's person reads it
        _load_add_ons(User(session))
    session.use(M, D, RE)
    return User(session)


def _load_add_ons(user: User) -> None:
    """Let every installed add-on add its verbs; one that raises costs its own verbs only."""
    for entry in entry_points(group=ADD_ONS):
        try:
            entry.load()(user)
        except Exception:
            log.exception("add-on %s (%s): could not be loaded", entry.name, entry.value)
            print(f"Mamba: add-on {entry.name} could not be loaded; the console's log says why.")  # noqa: T201  # seen at start-up


class User:
    """`U`: the person at the beamline, and what was done in this session."""

    def __init__(self, session: ConsoleSession) -> None:
        self._session = session

    @property
    def person(self) -> str:
        """Who measures: who is logged in, else whom the profile names."""
        return self._session.person

    def login(self, person: str, proposal: str = "") -> None:
        """Let what is typed from now on be recorded for `person`, and `proposal`; asks for the password if need be.

        Raises:
            ZError: the host refuses it.
        """
        session = self._session
        if session.agent is None:
            session.logged_in, session.proposal = person, proposal
            return
        password = getpass.getpass(f"Password of {person}: ") if self._needs_password() else ""
        answer = session.ask("auth/login", person=person, password=password, proposal=proposal)
        session.logged_in, session.proposal = answer["person"], answer["proposal"]

    def _needs_password(self) -> bool:
        return bool(self._session.ask("auth/whoami")["required"])

    def logout(self) -> None:
        """Let nobody be logged in at the prompt.

        Raises:
            ZError: "not-logged-in", when nobody is.
        """
        if self._session.agent is not None:
            self._session.ask("auth/logout")
        elif not self._session.logged_in:
            raise ZError("not-logged-in", "logout: nobody is logged in")
        self._session.logged_in = self._session.proposal = ""

    def serve(
        self, verb: str, handler: Callable[..., Any], *, role: Literal["observer", "operator", "expert"] = "operator"
    ) -> None:
        """Answer requests with `typ` = `verb` by calling `handler` in a thread of its own.

        Its keyword-only arguments are the fields of the request, typed; what does not fit is refused with the field's
        path. What it returns is the reply's `ret`, what it raises its error. An add-on package names, under the entry
        point group `mamba.console`, a function that is called with `U` and may add its verbs so.

        Args:
            verb: GROUP/WORD, with a group that is not Mamba's own ("sample/next").
            handler: the function.
            role: who may ask, where people log in; an observer's verb must change nothing.

        Raises:
            BadRequest: the verb or the role cannot be used.
        """
        self._session.services.add(verb, handler, role)
        self._session.tell_state()

    def history(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last receipts, oldest first: `n, text, origin, person, duration_s, files, rep` of each command."""
        cells = self._session.cells
        return list(cells.receipts)[-limit:] if cells is not None else []

    def __repr__(self) -> str:
        session = self._session
        who = session.person if session.logged_in else f"{session.person} (nobody is logged in)"
        link = "connected to the session host" if session.is_connected else "not connected to a session host"
        counts = ", ".join(f"{len(found)} in {name}" for name, found in session.services.list_devices().items())
        return f"U: {who}; {link}; devices: {counts}\n   U.history()  U.login('name')  U.logout()   also: %mamba  %wa"
