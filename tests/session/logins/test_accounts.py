"""The accounts file: who may read it, who writes it, what it says."""

from __future__ import annotations

import json
import logging
import os
import statistics
import threading
import time
from pathlib import Path

import pytest

from mamba.errors import LoginUnavailable, MambaError
from mamba.session.logins.account_file import Account, AccountFile
from mamba.session.logins.accounts import hash_password
from mamba.session.logins.authenticator import make_authenticator
from tests.support.people import CANARY, make_people, refusal_of


def test_what_the_accounts_say_counts_at_once(accounts: AccountFile, tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts.json")
    door = make_authenticator(make_people(login="accounts", accounts=file.path))
    with pytest.raises(LoginUnavailable, match="mambactl user add"):
        door.check("ada", CANARY)
    with file.change() as kept:
        kept["ada"] = Account(hash=hash_password(CANARY), role="operator")
    assert door.check("ada", CANARY) == "operator"
    with file.change() as kept:
        kept["ada"] = kept["ada"].model_copy(update={"disabled": True})
    refusal_of(door, "ada", CANARY)


def test_a_disabled_account_is_refused_and_the_log_says_why(
    accounts: AccountFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    door = make_authenticator(make_people(login="accounts", accounts=accounts.path))
    refusal_of(door, "mallory", "wrong")
    assert "disabled" not in caplog.text
    refusal_of(door, "mallory", CANARY)
    assert "mallory refused: the account is disabled" in caplog.text


def test_an_unknown_person_costs_as_much_time_as_a_known_one(accounts: AccountFile) -> None:
    door = make_authenticator(make_people(login="accounts", accounts=accounts.path))

    def time_s(person: str) -> float:
        started = time.process_time()
        refusal_of(door, person, "wrong")
        return time.process_time() - started

    time_s("ada")
    known, unknown = ([time_s(person) for _ in range(5)] for person in ("ada", "nobody"))
    assert 0.5 < statistics.median(unknown) / statistics.median(known) < 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_accounts_that_others_could_read_or_change_are_not_used(
    accounts: AccountFile, tmp_path: Path, mode: int
) -> None:
    copy = tmp_path / "accounts.json"
    copy.write_bytes(accounts.path.read_bytes())
    copy.chmod(mode)
    with pytest.raises(LoginUnavailable, match=f"mode 0{mode:o}\n.*chmod 600"):
        make_authenticator(make_people(login="accounts", accounts=copy)).check("ada", CANARY)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_accounts_of_another_user_are_not_used(accounts: AccountFile, tmp_path: Path) -> None:
    copy = tmp_path / "accounts.json"
    copy.write_bytes(accounts.path.read_bytes())
    copy.chmod(0o600)
    os.chown(copy, 12345, -1)
    with pytest.raises(LoginUnavailable, match="owner uid 12345"):
        AccountFile(copy).read()


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("{", "as a whole: Invalid JSON"),
        ("[]", "as a whole: "),
        ('{"ada": {"hash": "plain-text", "role": "expert"}}', "ada.hash: String should match"),
        ('{"ada": {"hash": "$argon2id$x", "role": "king"}}', "ada.role: "),
        ('{"a b": {"hash": "$argon2id$x", "role": "expert"}}', "a b: a person's name has"),
    ],
)
def test_accounts_that_are_something_else_are_named(tmp_path: Path, content: str, seen: str) -> None:
    file = tmp_path / "accounts.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(LoginUnavailable) as caught:
        AccountFile(file).read()
    assert seen in str(caught.value)
    assert "plain-text" not in str(caught.value)


def test_a_hash_that_is_cut_off_is_named(tmp_path: Path) -> None:
    file = AccountFile(tmp_path / "accounts.json")
    with file.change() as kept:
        kept["ada"] = Account(hash=hash_password(CANARY)[:40], role="expert")
    with pytest.raises(LoginUnavailable, match="a hash cannot be read"):
        make_authenticator(make_people(login="accounts", accounts=file.path)).check("ada", CANARY)


def test_writers_take_turns_and_readers_see_whole_files(tmp_path: Path) -> None:
    file, kept_hash = AccountFile(tmp_path / "accounts.json"), hash_password(CANARY)
    file._write({})
    problems: list[BaseException] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(20):
            with file.change() as kept:
                kept[f"person-{writer}-{number}"] = Account(hash=kept_hash, role="operator")

    def read() -> None:
        while not done.is_set():
            try:
                file.read()
            except MambaError as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not problems
    assert len(file.read()) == 80
    assert sorted(path.name for path in tmp_path.iterdir()) == [".accounts.json.lock", "accounts.json"]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_change_that_raises_changes_nothing(accounts: AccountFile) -> None:
    before = accounts.path.read_bytes()

    def clear_and_fail() -> None:
        with accounts.change() as kept:
            kept.clear()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        clear_and_fail()
    assert accounts.path.read_bytes() == before
    assert json.loads(before)["ada"]["hash"].startswith("$argon2id$v=19$")
