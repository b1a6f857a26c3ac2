"""mambactl user: the accounts of `login: accounts`."""

from __future__ import annotations

import sys

import click

from mamba.cli.settings import Settings
from mamba.config import ROLES, Role
from mamba.config.people import read_person
from mamba.errors import AccountError, ProfileError
from mamba.session.logins.account_file import Account, AccountFile, find_account, refuse_second
from mamba.session.logins.accounts import hash_password
from mamba.session.logins.authenticator import MAX_PASSWORD_BYTES

MIN_PASSWORD_LENGTH = 8
_FROM_STDIN = click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from the standard input.")
_ROLE = click.Choice(ROLES)


@click.group()
def user() -> None:
    """Who may log in at this beamline, with which role.

    Works on the accounts file that the profile names in people.accounts. What is changed counts from the next login;
    who is logged in stays so until logging out.
    """


@user.command()
@click.argument("person")
@click.option("--role", type=_ROLE, default="operator", show_default=True, help="What the person may do.")
@_FROM_STDIN
@click.pass_obj
def add(settings: Settings, *, person: str, role: Role, from_stdin: bool) -> None:
    """Give PERSON an account; the password is asked twice."""
    file = _find_file(settings)
    person = _read_person(person)
    if file.path.exists():  # before the person thinks of a password
        refuse_second(file.read(), person)
    kept = hash_password(_ask_password(person, from_stdin=from_stdin))
    with file.change() as accounts:
        refuse_second(accounts, person)
        accounts[person] = Account(hash=kept, role=role)
    click.echo(f"{person}: {role}, in {file.path}")


@user.command()
@click.argument("person")
@click.pass_obj
def remove(settings: Settings, *, person: str) -> None:
    """Take the account of PERSON away."""
    with _find_file(settings).change() as accounts:
        find_account(accounts, person)
        del accounts[person]
    click.echo(f"{person}: removed")


@user.command(name="list")
@click.pass_obj
def list_accounts(settings: Settings) -> None:
    """Print every account: person, role, state."""
    file = _find_file(settings)
    rows = [
        (person, account.role, "disabled" if account.disabled else "enabled")
        for person, account in sorted(file.read().items())
    ]
    widths = [max(map(len, column)) for column in zip(("person", "role", "state"), *rows, strict=True)]
    for number, row in enumerate([("person", "role", "state"), *rows]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.secho(line.rstrip(), bold=number == 0)


@user.command()
@click.argument("person")
@_FROM_STDIN
@click.pass_obj
def password(settings: Settings, *, person: str, from_stdin: bool) -> None:
    """Give PERSON a new password; it is asked twice."""
    file = _find_file(settings)
    find_account(file.read(), person)
    _change(file, person, hash=hash_password(_ask_password(person, from_stdin=from_stdin)))
    click.echo(f"{person}: new password")


@user.command()
@click.argument("person")
@click.argument("role", type=_ROLE)
@click.pass_obj
def role(settings: Settings, *, person: str, role: Role) -> None:
    """Let PERSON do what ROLE may."""
    _change(_find_file(settings), person, role=role)
    click.echo(f"{person}: {role}")


@user.command()
@click.argument("person")
@click.pass_obj
def disable(settings: Settings, *, person: str) -> None:
    """Refuse PERSON from the next login on; the password is kept."""
    _change(_find_file(settings), person, disabled=True)
    click.echo(f"{person}: disabled")


@user.command()
@click.argument("person")
@click.pass_obj
def enable(settings: Settings, *, person: str) -> None:
    """Let PERSON log in again, with the password as it was."""
    _change(_find_file(settings), person, disabled=False)
    click.echo(f"{person}: enabled")


def _find_file(settings: Settings) -> AccountFile:
    profile = settings.profile
    if profile.people.login != "accounts":
        raise ProfileError(
            f"profile {profile.path}: its logins are not kept in accounts",
            seen=f"people.login: {profile.people.login}",
            remedy="write 'people: {login: accounts}' into it, or name another profile with --profile",
        )
    return AccountFile(profile.people.accounts)


def _read_person(person: str) -> str:
    try:
        return read_person(person)
    except ValueError as error:
        raise AccountError(f"{person!r}: cannot be a person's name", remedy=str(error)) from None


def _ask_password(person: str, *, from_stdin: bool) -> str:
    """The new password, from the terminal (twice, without echo) or the standard input (one line)."""
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        text = click.prompt(f"New password of {person}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise click.UsageError("the standard input is no terminal: add --stdin to read the password from it")
    size = len(text.encode("utf-8", errors="replace"))
    if len(text) < MIN_PASSWORD_LENGTH or size > MAX_PASSWORD_BYTES or not text.isprintable():
        raise AccountError(
            f"{person}: that password cannot be used",
            remedy=f"take {MIN_PASSWORD_LENGTH} or more printable characters, at most {MAX_PASSWORD_BYTES} bytes",
        )
    return text


def _change(file: AccountFile, person: str, **fields: object) -> None:
    with file.change() as accounts:
        accounts[person] = find_account(accounts, person).model_copy(update=fields)
