"""`mambactl console` where people log in: who looks, who types, and that the password stands nowhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pexpect

from mamba.session.audit_chain import read_entries
from tests.session.test_people import PASSWORDS, Person, host
from tests.support.session_host import HostUnderTest, wait_until

__all__ = ["host"]


@contextlib.contextmanager
def console(host: HostUnderTest, *options: str) -> Iterator[pexpect.spawn]:
    """`mambactl console` in a terminal of its own."""
    arguments = ["-m", "mamba.cli", "--runtime", str(host.runtime.path), "console", *options]
    child = pexpect.spawn(sys.executable, arguments, dimensions=(30, 100), timeout=10, encoding="utf-8")
    child.delaybeforesend = None
    try:
        yield child
    finally:
        child.close(force=True)


def log_in(child: pexpect.spawn, password: str) -> None:
    child.expect("Password of .*: ")
    wait_until(lambda: not child.getecho(), what="a terminal that does not echo")
    child.send(f"{password}\r")


def test_who_does_not_log_in_looks(host: HostUnderTest) -> None:
    with console(host) as child:
        child.expect("you are watching; to type, join with 'mambactl console --login YOU'")
        child.send("unseen\r")
        child.send("\x1d")
        child.expect("left; the console runs on")
    assert "unseen" not in host.transcript


def test_an_observer_looks_also_when_logged_in(host: HostUnderTest) -> None:
    with console(host, "--login", "Oda") as child:
        log_in(child, PASSWORDS["Oda"])
        child.expect("you are watching; Oda is an observer")


def test_who_is_in_control_types_and_the_password_stands_nowhere(host: HostUnderTest) -> None:
    ada = Person(host, "Ada")
    ada.log_in()
    with console(host, "--login", "Ada") as child:
        log_in(child, PASSWORDS["Ada"])
        child.expect("you are watching; nobody is in control")
        assert ada.ask("control/take").ok
        child.send("40 + 2\r")
        child.expect(r"In \[\d+\]: 40 \+ 2")
        file = host.runtime.logs / "audit.jsonl"
        typed = wait_until(lambda: [entry for entry in read_entries(file) if entry["text"] == "40 + 2"])
        assert ada.ask("control/release").ok
        child.send("unseen\r")
        child.expect("you are watching; nobody is in control")
    assert (typed[0]["person"], typed[0]["origin"]) == ("Ada", "console")
    assert any((entry["verb"], entry["person"]) == ("auth/login", "Ada") for entry in read_entries(file))
    for path in host.runtime.logs.iterdir():
        assert PASSWORDS["Ada"] not in path.read_text(errors="replace"), path


def test_a_wrong_password_joins_nothing(host: HostUnderTest) -> None:
    with console(host, "--login", "Ada") as child:
        log_in(child, "wrong")
        child.expect("password is wrong")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 1


def test_everybody_may_watch(host: HostUnderTest) -> None:
    with console(host, "--watch") as child:
        child.expect("tiny console")
        child.send("unseen\r")
        child.expect("you are watching; keys but Ctrl-] are not taken")
