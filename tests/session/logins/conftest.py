"""One directory and one accounts file for all that only ask them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mamba.session.logins.account_file import Account, AccountFile
from mamba.session.logins.accounts import hash_password
from tests.support.directory_server import Directory, directory_up
from tests.support.people import CANARY, PASSWORDS


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    with directory_up(tmp_path_factory.mktemp("ldap"), PASSWORDS) as directory:
        yield directory


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> AccountFile:
    file = AccountFile(tmp_path_factory.mktemp("accounts") / "accounts.json")
    roles = {"ada": "expert", "grace": "observer", "eve": "operator"}
    with file.change() as kept:
        for person, password in PASSWORDS.items():
            kept[person] = Account(hash=hash_password(password), role=roles[person])  # type: ignore[arg-type]
        kept["mallory"] = Account(hash=hash_password(CANARY), role="expert", disabled=True)
    return file
