"""The accounts: one JSON file, person → hash, role, disabled; written by `mambactl user`, read at every login.

It is replaced in one step, so that a reader sees the old or the new, and one writer at a time changes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from mamba.config import Role
from mamba.config.model import Model
from mamba.config.people import fold_person, read_person
from mamba.errors import AccountError, LoginUnavailable, find_nearest

MAX_FILE_BYTES = 4 * 2**20


class Account(Model):
    """One person's account."""

    hash: str = Field(pattern=r"^\$argon2id\$", repr=False, description="Argon2id with its parameters and salt")
    role: Role
    disabled: bool = False


Accounts = dict[Annotated[str, AfterValidator(read_person)], Account]
_ACCOUNTS: TypeAdapter[Accounts] = TypeAdapter(Accounts)


class AccountFile:
    """The accounts in one file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Accounts:
        """All accounts, by the person's name.

        Raises:
            LoginUnavailable: there is no such file, others could read or own it, or it holds something else.
        """
        try:
            return self._parse(self._read_private())
        except FileNotFoundError:
            raise LoginUnavailable(
                f"accounts {self.path}: there are none yet", remedy="make the first with 'mambactl user add PERSON'"
            ) from None
        except OSError as error:
            raise LoginUnavailable(
                f"accounts {self.path}: cannot be read",
                seen=error.strerror or type(error).__name__,
                remedy="see its rights and those of the folders above it",
            ) from None

    def _read_private(self) -> bytes:
        # the file that was opened is looked at: one looked at by its name could be another by then
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            info = os.fstat(descriptor)
            mode = stat.S_IMODE(info.st_mode)
            if not stat.S_ISREG(info.st_mode) or info.st_uid != os.getuid() or mode & 0o077:
                raise LoginUnavailable(
                    f"accounts {self.path}: others could read or change it",
                    seen=f"owner uid {info.st_uid}, mode {mode:04o}",
                    remedy=f"let uid {os.getuid()} own it: chmod 600 {self.path}",
                )
            return stream.read(MAX_FILE_BYTES)

    def _parse(self, content: bytes) -> Accounts:
        try:
            return _ACCOUNTS.validate_json(content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            # no word of the content: it holds hashes
            where = ".".join(str(step) for step in first["loc"] if step != "[key]") or "as a whole"
            raise LoginUnavailable(
                f"accounts {self.path}: is not what 'mambactl user' writes",
                seen=f"{where}: {first['msg'].removeprefix('Value error, ')}",
                remedy="mend it, or bring back a copy",
            ) from None

    @contextmanager
    def change(self) -> Iterator[Accounts]:
        """The accounts to change in place; written at the end of the block unless it raises.

        Raises:
            LoginUnavailable: as `read`; a file that is not there yet is made.
            AccountError: it cannot be written; it is as it was.
        """
        try:
            with self._locked():
                accounts = self.read() if self.path.exists() else {}
                yield accounts
                self._write(accounts)
        except OSError as error:
            raise AccountError(
                f"accounts {self.path}: cannot be written",
                seen=error.strerror or type(error).__name__,
                remedy="see the rights of its folder, or name another file in people.accounts of the profile",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # a file beside it is locked, since the accounts themselves are another file after each change
        beside = self.path.with_name(f".{self.path.name}.lock")
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, accounts: Accounts) -> None:
        content = json.dumps({person: account.model_dump() for person, account in accounts.items()}, indent=1)
        descriptor, part = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(content + "\n")
                stream.flush()
                os.fsync(descriptor)
            os.replace(part, self.path)
        except BaseException:
            os.unlink(part)
            raise


def refuse_second(accounts: Accounts, person: str) -> None:
    """Refuse another account for a person.

    Raises:
        AccountError: the person has one, perhaps in another spelling.
    """
    for other in accounts:
        if fold_person(other) == fold_person(person):
            raise AccountError(
                f"{other}: has an account already", remedy=f"'mambactl user password {other}' gives a new password"
            )


def find_account(accounts: Accounts, person: str) -> Account:
    """The account of a person.

    Raises:
        AccountError: there is none; names the nearest one.
    """
    try:
        return accounts[person]
    except KeyError:
        raise AccountError(f"{person}: has no account", remedy=find_nearest(person, list(accounts))) from None
