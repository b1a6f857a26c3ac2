"""People and the control token, in a loop of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mamba.config import Role
from mamba.errors import LoginRefused, MambaError, NotInControl, NotLoggedIn, ZError
from mamba.session.control import Control
from mamba.session.loop import Loop
from mamba.session.people import People
from mamba.session.roles import Caller

ADA, BOB, EVE = Caller("Ada", "operator"), Caller("Bob", "operator"), Caller("Eve", "expert")


class Bench:
    """A control token whose persons are present as long as the test says."""

    def __init__(self, timeout_s: float = 60.0, *, enabled: bool = True) -> None:
        self.loop = Loop()
        self.present = {"Ada", "Bob", "Eve"}
        self.notices: list[tuple[str, dict[str, Any]]] = []
        self.control = Control(
            self.loop,
            enabled=enabled,
            timeout_s=timeout_s,
            is_present=lambda person: person in self.present,
            publish=lambda typ, fields: self.notices.append((typ, fields)),
        )


def test_without_control_everybody_may_act() -> None:
    control = Bench(enabled=False).control
    control.require(ADA, "cmd")
    with pytest.raises(ZError, match="off"):
        control.take(ADA, force=False)


def test_one_person_is_in_control() -> None:
    bench = Bench()
    control = bench.control
    with pytest.raises(NotInControl, match="nobody is"):
        control.require(ADA, "cmd")
    control.take(ADA, force=False)
    control.require(ADA, "cmd")
    with pytest.raises(NotInControl, match="Ada is, since"):
        control.require(BOB, "cmd")
    with pytest.raises(NotInControl, match="Ada is, since"):
        control.take(BOB, force=True)  # an operator cannot force it
    control.take(EVE, force=True)
    assert control.holder == "Eve"
    assert [fields["person"] for typ, fields in bench.notices if typ == "control/changed"] == ["Ada", "Eve"]


def test_control_is_asked_for_and_given_or_kept() -> None:
    bench = Bench()
    control = bench.control
    control.take(ADA, force=False)
    until = control.ask(BOB)["until"]
    assert control.ask(BOB)["until"] == until
    assert bench.notices[-1] == ("control/asked", {"by": "Bob", "person": "Ada", "until": until})
    with pytest.raises(ZError, match="Bob has asked already"):
        control.ask(EVE)
    assert control.keep(ADA) == {"person": "Ada"}
    assert bench.notices[-1][1]["declined"] == "Bob"
    control.ask(BOB)
    assert control.give(ADA, "") == {"person": "Bob"}
    with pytest.raises(NotInControl):
        control.give(ADA, "Eve")
    with pytest.raises(ZError, match="Zoe is logged in"):
        control.give(BOB, "Zoe")
    assert control.give(BOB, "Eve") == {"person": "Eve"}
    control.release(EVE)
    assert control.holder == ""


def test_an_unanswered_question_passes_control_on() -> None:
    bench = Bench(timeout_s=0.05)
    bench.control.take(ADA, force=False)
    bench.control.ask(BOB)
    assert bench.control.holder == "Ada"
    bench.loop.call_later(0.1, bench.loop.stop)
    bench.loop.run()
    assert bench.control.holder == "Bob"
    assert bench.control.describe()["asked_by"] == ""


def test_a_holder_who_left_is_followed_at_once() -> None:
    bench = Bench()
    bench.control.take(ADA, force=False)
    bench.control.ask(BOB)
    bench.control.leave("Ada")
    assert bench.control.holder == "Bob"
    bench.present.remove("Bob")
    bench.control.take(EVE, force=False)
    assert bench.control.holder == "Eve"
    bench.present.remove("Eve")
    bench.control.ask(ADA)
    assert bench.control.holder == "Ada"


class OnePassword:
    """Knows one password, and one role for everybody."""

    def check(self, person: str, password: str) -> Role:
        if password != "sesame":
            raise LoginRefused("login: refused")
        return "operator"


def log_in(people: People, loop: Loop, person: str, password: str) -> Caller | Exception:
    results: list[Caller | Exception] = []

    def take(result: Caller | Exception) -> None:
        results.append(result)
        loop.stop()

    people.log_in(person, password, "P-17", take)
    loop.run()
    return results[0]


@pytest.fixture
def make_people() -> Any:
    made: list[tuple[People, Loop]] = []

    def make(authenticator: OnePassword | None) -> tuple[People, Loop]:
        loop = Loop()
        made.append((People(loop, authenticator, "Ada"), loop))
        return made[-1]

    yield make
    for people, loop in made:
        people.close()
        loop.close()


def test_without_logins_everybody_is_the_one_person(make_people: Callable[..., tuple[People, Loop]]) -> None:
    people, _ = make_people(None)
    assert people.identify("whatever") == Caller("Ada", "expert")
    people.terminal = Caller("Grace", "expert", "P-1")
    assert people.identify("") == Caller("Grace", "expert", "P-1")


def test_a_token_stands_for_a_login_until_it_ends(make_people: Callable[..., tuple[People, Loop]]) -> None:
    people, loop = make_people(OnePassword())
    assert people.identify("") == Caller("", "observer")
    bob = log_in(people, loop, "Bob", "sesame")
    assert isinstance(bob, Caller)
    assert (bob.person, bob.role, bob.proposal, people.identify(bob.token)) == ("Bob", "operator", "P-17", bob)
    again = log_in(people, loop, "bob", "sesame")
    assert isinstance(again, Caller)
    assert again.person == "Bob", "the same person, however it is spelt"
    people.log_out(bob)
    assert people.is_present("Bob")
    for token in (bob.token, again.token[:-1], again.token + "x", "x"):
        with pytest.raises(NotLoggedIn):
            people.identify(token)
    people.log_out(again)
    assert not people.is_present("Bob")
    with pytest.raises(NotLoggedIn):
        people.log_out(again)


def test_a_wrong_password_is_answered_late(make_people: Callable[..., tuple[People, Loop]]) -> None:
    import time

    people, loop = make_people(OnePassword())
    started = time.monotonic()
    error = log_in(people, loop, "Bob", "wrong")
    assert isinstance(error, MambaError)
    assert error.code == "login-refused"
    assert time.monotonic() - started > 0.9
