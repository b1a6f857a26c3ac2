"""The one refusal, in the same words for every reason."""

from __future__ import annotations

from mamba.errors import LoginRefused


def refuse() -> LoginRefused:
    """Whoever guesses learns nothing from its words: not whether the name exists, nor whether it may log in."""
    return LoginRefused(
        "login: name or password is wrong",
        remedy="type both again; who looks after the accounts can give a new password",
    )
