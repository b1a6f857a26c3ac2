"""What is the same for every way: names, passwords, refusals, and what is never told."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import traceback
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamba.config import PeopleConfig, Role
from mamba.errors import LoginRefused
from mamba.session.logins.account_file import AccountFile
from mamba.session.logins.authenticator import Authenticator, make_authenticator
from mamba.session.logins.pam import PamLogin
from tests.support.directory_server import Directory
from tests.support.people import CANARY, DN, PASSWORDS, directory_people, make_people, refusal_of, write_stack


@pytest.fixture(params=["accounts", "pam", "ldap"])
def door(request: pytest.FixtureRequest, tmp_path: Path, accounts: AccountFile, directory: Directory) -> Authenticator:
    """Each way in turn; all know the same three persons."""
    if request.param == "accounts":
        return make_authenticator(make_people(login="accounts", accounts=accounts.path))
    if request.param == "pam":
        write_stack(tmp_path, PASSWORDS)
        return Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path))
    return make_authenticator(directory_people(directory))


def test_the_right_password_gives_the_role(door: Authenticator) -> None:
    found = {person: door.check(person, password) for person, password in PASSWORDS.items()}
    assert found == {"ada": "expert", "grace": "observer", "eve": "operator"}


def test_every_refusal_reads_the_same(door: Authenticator) -> None:
    told = {
        str(refusal_of(door, person, password))
        for person, password in [("ada", "wrong"), ("nobody", CANARY), ("grace", CANARY), ("a\nb", "x"), ("ada", "")]
    }
    assert len(told) == 1
    assert "name or password is wrong" in told.pop()


@pytest.mark.parametrize(
    "password",
    ["", "\0", CANARY + "\0", "\0" + CANARY, "x" * 1025, "é" * 513, "\ud800", "\xad"],
    ids=range(8),  # not the password: pytest puts the name of a test into the environment
)
def test_a_password_that_others_read_otherwise_is_refused(door: Authenticator, password: str) -> None:
    refusal_of(door, "ada", password)


def test_an_empty_password_reaches_no_directory(directory: Directory) -> None:
    before = directory.asked
    refusal_of(make_authenticator(directory_people(directory)), "ada", "")
    assert directory.asked == before
    make_authenticator(directory_people(directory)).check("ada", CANARY)
    assert directory.asked == [*before, DN.format(person="ada")]


def test_the_password_stands_in_no_error_log_or_repr(
    door: Authenticator, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    assert door.check("ada", CANARY) == "expert"
    errors = [refusal_of(door, person, CANARY) for person in ("nobody", "grace", "\x1b[2J")]
    told = [text for error in errors for text in (str(error), repr(error), *traceback.format_exception(error))]
    told += [repr(door), repr(vars(door)), repr(vars(vars(door)["_login"])), caplog.text, *capfd.readouterr()]
    assert CANARY not in "\n".join(told)


def test_the_password_stands_in_no_process_list_while_it_is_checked(tmp_path: Path) -> None:
    write_stack(tmp_path, PASSWORDS)
    meet = tmp_path / "fifo"
    os.mkfifo(meet)
    (tmp_path / "wait").write_text(f"#!/bin/sh\necho here > {meet}\nread go < {meet}\n")
    (tmp_path / "wait").chmod(0o700)
    stack = (tmp_path / "mamba").read_text()
    (tmp_path / "mamba").write_text(f"{stack}account required pam_exec.so {tmp_path / 'wait'}\n")
    door, roles = Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path)), list[str]()
    thread = threading.Thread(target=lambda: roles.append(door.check("ada", CANARY)))
    thread.start()
    assert meet.read_text() == "here\n"  # the password is with PAM now
    texts = [file.read_bytes() for pid in _list_family() for file in (pid / "cmdline", pid / "environ")]
    meet.write_text("go\n")
    thread.join()
    assert roles == ["expert"]
    assert any(b"mamba.session.logins.pam_check" in text for text in texts)
    assert not any(CANARY.encode() in text for text in texts)


def _list_family() -> list[Path]:
    own = psutil.Process()
    return [Path(f"/proc/{process.pid}") for process in (own, *own.children(recursive=True))]


class Everybody:
    """Lets in whoever gets through the door, having looked at what did."""

    def verify(self, person: str, password: str, *, timeout_s: float) -> Role:
        assert person.isprintable()
        assert not set(person) & set('\\ ,+"<>;=#/:\0')
        assert 0 < len(password.encode()) <= 1024
        assert "\0" not in password
        return "observer"


@given(person=st.text(max_size=70), password=st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_nothing_odd_gets_through_the_door(person: str, password: str) -> None:
    with contextlib.suppress(LoginRefused):
        assert Authenticator(Everybody()).check(person, password) == "observer"


@given(
    person=st.from_regex(r"(?a:\w[\w.@'-]{0,62}\w)", fullmatch=True),
    password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=250),
)
@settings(deadline=None)
def test_every_plain_name_gets_to_the_check(person: str, password: str) -> None:
    assert Authenticator(Everybody()).check(person, password) == "observer"


@pytest.mark.parametrize("person", ["ADA", "Ada", "ａｄａ"])
def test_another_spelling_gives_no_other_role(directory: Directory, person: str) -> None:
    # the directory takes it for the same person; who stands as an expert or observer must not become an operator by it
    assert make_authenticator(directory_people(directory)).check(person, CANARY) == "expert"


@pytest.mark.parametrize(
    "person", ["ada,ou=people", "*", "ada)(uid=*", "ada\\2c", "ada+cn=x", " ada", "ada ", "#ada", "a/da"]
)
def test_a_name_cannot_change_whom_it_names(door: Authenticator, person: str) -> None:
    refusal_of(door, person, CANARY)


def test_without_a_login_there_is_nothing_to_check_with() -> None:
    with pytest.raises(ValueError, match=r"people\.login is none"):
        make_authenticator(PeopleConfig())
