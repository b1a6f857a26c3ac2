"""Who is logged in, and who asks: a *token* stands for one login of one person.

Without logins (the profile's `people.login` is none) there is one person, named by the profile, the system or
`auth/login` without a password, who may do everything. With logins a request without a token may look and no more, and
a token that was never given, or whose person logged out, is refused. Tokens live in memory: a new host knows none.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from mamba.config import Role
from mamba.config.people import fold_person
from mamba.errors import NotLoggedIn, ZError
from mamba.session.loop import Loop
from mamba.session.roles import Caller

REFUSAL_DELAY_S = 1.0
"""How long the answer to a wrong password is kept back: guessing takes time, and nobody else waits meanwhile."""
_AT_ONCE, _QUEUED = 2, 16

OnLogin = Callable[[Caller | Exception], None]
"""Called in the loop with who logged in, or with why not."""


class PasswordCheck(Protocol):
    """Checks a password; may take seconds."""

    def check(self, person: str, password: str) -> Role:
        """The role of the person whose password this is; raises LoginRefused, LoginUnavailable."""


class People:
    """The logins of one session host.

    Args:
        loop: brings the answers of authentication back.
        authenticator: checks passwords; None where nobody has to log in.
        default_person: who measures while nobody is logged in.

    Attributes:
        terminal: who types at the console's prompt.
    """

    def __init__(self, loop: Loop, authenticator: PasswordCheck | None, default_person: str) -> None:
        self._loop, self._authenticator = loop, authenticator
        self.default_person = default_person
        self.terminal = Caller("", "expert" if authenticator is None else "observer")
        self._logins: dict[str, Caller] = {}
        self._pending = 0
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mamba-login")

    @property
    def is_required(self) -> bool:
        """Whether people have to log in."""
        return self._authenticator is not None

    @property
    def person(self) -> str:
        """Who measures at the prompt: who logged in there, else whom the profile or the system names."""
        return self.terminal.person or self.default_person

    def find_typist(self) -> Caller:
        """Who types at the prompt."""
        return replace(self.terminal, person=self.person)

    def is_present(self, person: str) -> bool:
        """Whether a person is logged in anywhere."""
        return any(caller.person == person for caller in self._logins.values())

    def identify(self, token: str) -> Caller:
        """Who asks with this token.

        Raises:
            NotLoggedIn: no login has it.
        """
        if self._authenticator is None:
            return self.find_typist()
        if not token:
            return Caller("", "observer")
        try:
            return self._logins[token]
        except KeyError:
            raise NotLoggedIn(
                "token: no login has it", seen="wrong, or its person logged out", remedy="auth/login again"
            ) from None

    def log_in(self, person: str, password: str, proposal: str, on_login: OnLogin) -> None:
        """Check the password without holding anybody up; `on_login` gets the caller with the new token.

        Raises:
            ZError: `busy`, when far too many are being checked.
        """
        authenticator = self._authenticator
        if authenticator is None:
            on_login(Caller(person, "expert", proposal))
            return
        if self._pending >= _QUEUED:
            raise ZError("busy", "auth/login: too many logins at once; try again in some seconds")
        self._pending += 1

        def take(checked: Future[Role]) -> None:
            self._loop.call_from_thread(lambda: self._take(checked, person, proposal, on_login))

        self._threads.submit(authenticator.check, person, password).add_done_callback(take)

    def _take(self, checked: Future[Role], person: str, proposal: str, on_login: OnLogin) -> None:
        self._pending -= 1
        error = checked.exception()
        if error is None:
            token = secrets.token_urlsafe(24)
            # "ada" at one window and "Ada" at another are one person
            same = (c.person for c in self._logins.values() if fold_person(c.person) == fold_person(person))
            self._logins[token] = caller = Caller(next(same, person), checked.result(), proposal, token)
            on_login(caller)
        elif isinstance(error, Exception):
            self._loop.call_later(REFUSAL_DELAY_S, lambda: on_login(error))

    def log_out(self, caller: Caller) -> None:
        """Forget a login; its token is worth nothing from now on.

        Raises:
            NotLoggedIn: there is none.
        """
        if self._logins.pop(caller.token, None) is None:
            raise NotLoggedIn("nobody is logged in")

    def close(self) -> None:
        """Check no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
