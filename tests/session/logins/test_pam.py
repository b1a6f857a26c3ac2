"""Against a real libpam, with a stack of our own and modules that every Debian has."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import psutil
import pytest

from mamba.errors import LoginUnavailable
from mamba.session.logins.authenticator import Authenticator
from mamba.session.logins.pam import PamLogin
from tests.support.people import CANARY, PASSWORDS, make_people, refusal_of, write_stack
from tests.support.session_host import wait_until


def test_an_account_that_may_not_be_used_is_refused_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_stack(tmp_path, PASSWORDS, account="pam_deny.so")
    refusal_of(Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path)), "ada", CANARY)
    assert "refused by PAM: pam_acct_mgmt" in caplog.text


def test_the_role_is_of_who_pam_says_it_is(tmp_path: Path) -> None:
    # pam_ftp makes 'ftp' of 'anonymous', as modules of a directory make 'ada' of 'ada@EXAMPLE.ORG'
    (tmp_path / "mamba").write_text("auth required pam_ftp.so ignore\naccount required pam_permit.so\n")
    people = make_people(login="pam", roles={"observer": ["ftp"], "expert": ["anonymous"]})
    assert Authenticator(PamLogin(people, stacks=tmp_path)).check("anonymous", "a@example.org") == "observer"


def test_a_service_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoginUnavailable, match=r"no service 'mamba'(.|\n)*people\.pam\.service"):
        Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path)).check("ada", CANARY)


def test_a_stack_with_a_missing_module_is_no_wrong_password(tmp_path: Path) -> None:
    (tmp_path / "mamba").write_text("auth required pam_that_is_not_there.so\naccount required pam_permit.so\n")
    with pytest.raises(LoginUnavailable, match="could not be checked"):
        Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path)).check("ada", CANARY)


def test_the_machines_own_pam_answers() -> None:
    door = Authenticator(PamLogin(make_people(login="pam", pam={"service": "other"})))
    refusal_of(door, "nobody-of-that-name", "wrong")


def write_hanging_stack(folder: Path) -> None:
    """A stack whose program hangs, and says in `hung` which processes did."""
    (folder / "hang").write_text(f"#!/bin/sh\necho $$ >> {folder / 'hung'}\nexec sleep 60\n")
    (folder / "hang").chmod(0o700)
    (folder / "mamba").write_text(f"auth required pam_exec.so {folder / 'hang'}\n")


def has_left_nothing(folder: Path) -> bool:
    """Whether every program that hung has ended."""
    pids = [int(line) for line in (folder / "hung").read_text().split()]
    assert pids
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def test_a_module_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    write_hanging_stack(tmp_path)
    door = Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path), timeout_s=1)
    started = time.monotonic()
    with pytest.raises(LoginUnavailable, match="no answer within 1 s"):
        door.check("ada", CANARY)
    assert time.monotonic() - started < 5
    wait_until(lambda: has_left_nothing(tmp_path), what="the module's program to be ended, too")


def test_logins_at_once_take_turns_and_end_in_time(tmp_path: Path) -> None:
    write_hanging_stack(tmp_path)
    door = Authenticator(PamLogin(make_people(login="pam"), stacks=tmp_path), timeout_s=2)
    errors: list[str] = []

    def log_in() -> None:
        try:
            door.check("ada", CANARY)
        except LoginUnavailable as error:
            errors.append(str(error))

    started = time.monotonic()
    threads = [threading.Thread(target=log_in) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 6
    assert sum("too many persons" in error for error in errors) == 2
    assert len(errors) == 6
    wait_until(lambda: has_left_nothing(tmp_path), what="the module's programs to be ended, too")
