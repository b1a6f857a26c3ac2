"""`mambactl user` as an administrator runs it, the password prompt in a real pseudo-terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from mamba.config import load_profile
from mamba.session.logins.authenticator import make_authenticator
from tests.support.facility import make_environment
from tests.support.people import CANARY

Run = Callable[..., subprocess.CompletedProcess[str]]
PROFILE = "name: trial\nconsole: {startup: startup.py}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "startup.py").touch()
    (tmp_path / "beamline.yaml").write_text(PROFILE + "people: {login: accounts}\n")
    return tmp_path


def make_command(folder: Path, *arguments: str) -> list[str]:
    options = ["--runtime", str(folder / "rt"), "--profile", str(folder / "beamline.yaml")]
    return [sys.executable, "-m", "mamba.cli", *options, "user", *arguments]


@pytest.fixture
def user(folder: Path) -> Run:
    def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        command = make_command(folder, *arguments)
        return subprocess.run(
            command,
            input=said,
            env=make_environment(),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def log_in(folder: Path, person: str, password: str) -> str:
    return make_authenticator(load_profile(folder / "beamline.yaml").people).check(person, password)


def test_an_account_from_the_first_day_to_the_last(user: Run, folder: Path) -> None:
    added = user("add", "ada", "--role", "expert", "--stdin", said=f"{CANARY}\n")
    assert (added.returncode, added.stdout) == (0, f"ada: expert, in {folder / 'accounts.json'}\n"), added.stderr
    assert user("add", "grace", "--stdin", said="Mark-I computer").stdout.startswith("grace: operator")
    assert (folder / "accounts.json").stat().st_mode & 0o777 == 0o600
    assert log_in(folder, "ada", CANARY) == "expert"
    assert user("role", "ada", "observer").stdout == "ada: observer\n"
    assert user("disable", "grace").returncode == 0
    assert user("list").stdout.splitlines() == [
        "person  role      state",
        "ada     observer  enabled",
        "grace   operator  disabled",
    ]
    assert log_in(folder, "ada", CANARY) == "observer"
    assert user("enable", "grace").returncode == 0
    assert user("password", "grace", "--stdin", said="another one\n").returncode == 0
    assert log_in(folder, "grace", "another one") == "operator"
    assert user("remove", "grace").stdout == "grace: removed\n"
    assert "grace" not in user("list").stdout


def test_a_password_is_asked_twice_and_never_shown(folder: Path) -> None:
    command = make_command(folder, "add", "ada")
    child = pexpect.spawn(command[0], command[1:], env=make_environment(), timeout=20, encoding="utf-8")
    child.delaybeforesend = None
    shown = []

    def answer(question: str, password: str) -> None:
        child.expect(question)
        child.waitnoecho()
        shown.append(child.before)
        child.sendline(password)

    try:
        answer("New password of ada: ", CANARY)
        answer("Repeat for confirmation: ", "a typing error")
        child.expect("do not match")
        answer("New password of ada: ", CANARY)
        answer("Repeat for confirmation: ", CANARY)
        child.expect("ada: operator")
        shown.append(child.before)
        child.expect(pexpect.EOF)
        shown.append(child.before)
        child.wait()
        assert child.exitstatus == 0
    finally:
        child.close(force=True)
    assert CANARY not in "".join(shown)
    assert log_in(folder, "ada", CANARY) == "operator"
    left = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert not any(CANARY.encode() in content for content in left)


def test_ctrl_c_at_the_question_changes_nothing(folder: Path) -> None:
    command = make_command(folder, "add", "ada")
    child = pexpect.spawn(command[0], command[1:], env=make_environment(), timeout=20, encoding="utf-8")
    try:
        child.expect("New password of ada: ")
        child.waitnoecho()
        child.sendintr()
        child.expect("interrupted")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 130
    finally:
        child.close(force=True)
    assert not (folder / "accounts.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        (
            ["add", "ada", "--stdin"],
            "long enough\n",
            "ada: has an account already\n  do:   'mambactl user password ada'",
        ),
        (["add", "ADA", "--stdin"], "long enough\n", "ada: has an account already"),
        (["add", "a b", "--stdin"], "long enough\n", "'a b': cannot be a person's name\n  do:   a person's name has"),
        (["add", "eve", "--stdin"], "short\n", "eve: that password cannot be used\n  do:   take 8 or more"),
        (["add", "eve", "--stdin"], "", "that password cannot be used"),
        (["add", "eve", "--stdin"], "x" * 1025, "that password cannot be used"),
        (["add", "eve", "--stdin"], "tab\tand more\n", "that password cannot be used"),
        (["remove", "adda"], "", "adda: has no account\n  do:   did you mean 'ada'?"),
        (["password", "Ada", "--stdin"], "long enough", "Ada: has no account\n  do:   did you mean 'ada'?"),
        (["role", "zoë", "expert"], "", "zoë: has no account\n  do:   known: ada"),
        (["disable", "zoë"], "", "zoë: has no account"),
    ],
)
def test_what_cannot_be_done_is_said(user: Run, folder: Path, arguments: list[str], said: str, expected: str) -> None:
    assert user("add", "ada", "--stdin", said=CANARY).returncode == 0
    before = (folder / "accounts.json").read_bytes()
    result = user(*arguments, said=said)
    assert result.returncode == 1
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) <= 5
    assert (folder / "accounts.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["add", "ada"], "add --stdin"),
        (["add", "ada", "--password", "secret-secret"], "No such option"),
        (["role", "ada", "king"], "'king' is not one of 'observer', 'operator', 'expert'"),
    ],
)
def test_wrong_usage_is_said(user: Run, arguments: list[str], expected: str) -> None:
    result = user(*arguments)
    assert result.returncode == 2
    assert expected in result.stderr
    assert "secret-secret" not in result.stderr


def test_a_profile_without_accounts_is_named(user: Run, folder: Path) -> None:
    (folder / "beamline.yaml").write_text(PROFILE)
    result = user("list")
    assert result.returncode == 1
    assert "its logins are not kept in accounts\n  seen: people.login: none" in result.stderr


def test_before_the_first_account_the_list_says_how(user: Run) -> None:
    result = user("list")
    assert result.returncode == 1
    assert "there are none yet\n  do:   make the first with 'mambactl user add PERSON'" in result.stderr


def test_a_folder_that_is_not_there_is_named(user: Run, folder: Path) -> None:
    (folder / "beamline.yaml").write_text(PROFILE + "people: {login: accounts, accounts: gone/accounts.json}\n")
    result = user("add", "ada", "--stdin", said=CANARY)
    assert result.returncode == 1
    assert "gone/accounts.json: cannot be written\n  seen: No such file or directory" in result.stderr
