"""`login: accounts`: passwords as Argon2id hashes in a file that `mambactl user` keeps."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from mamba.config import Role
from mamba.errors import LoginUnavailable
from mamba.session.logins.account_file import AccountFile
from mamba.session.logins.refusal import refuse

log = logging.getLogger(__name__)

_HASHER = PasswordHasher()  # the parameters of RFC 9106 for little memory: 64 MiB, some 50 ms


def hash_password(password: str) -> str:
    """The text that is kept of a password: Argon2id with parameters and a new salt."""
    return _HASHER.hash(password)


class AccountsLogin:
    """Checks against the accounts file, which is read anew each time: what `mambactl user` did counts at once."""

    def __init__(self, path: Path) -> None:
        self._file = AccountFile(path)
        # an unknown person costs as much time as a known one
        self._nobody = hash_password(secrets.token_hex())

    def verify(self, person: str, password: str, *, timeout_s: float) -> Role:
        """See `Login`; takes as long as the hash, whatever `timeout_s` says: some 50 ms."""
        account = self._file.read().get(person)
        right = self._matches(account.hash if account else self._nobody, password)
        if account is None or not right:
            raise refuse()
        if account.disabled:
            log.info("login of %s refused: the account is disabled", person)
            raise refuse()
        return account.role

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return _HASHER.verify(kept, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError) as error:
            raise LoginUnavailable(
                f"accounts {self._file.path}: a hash cannot be read",
                seen=type(error).__name__,
                remedy="give that person a new password with 'mambactl user password PERSON'",
            ) from None
