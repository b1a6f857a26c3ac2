"""mambactl console, run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mamba.cli.settings import Settings
from mamba.errors import FacilityError, ReplyTimeout, ZError

if TYPE_CHECKING:
    from mamba.wire.client import Client

login_option = click.option("--login", "person", metavar="PERSON", help="Log in first; asks for the password.")


@click.command()
@click.option("--watch", is_flag=True, help="Only look: no key but Ctrl-] does anything.")
@login_option
@click.pass_obj
def console(settings: Settings, *, watch: bool, person: str | None) -> int:
    """Join the running console from this terminal.

    Ctrl-] leaves it, and it goes on running; so does closing the terminal. Several people may join at once. The window
    is as large as the smallest of theirs; those who watch do not count.
    """
    from mamba.session.join import join, require_terminal

    require_terminal()
    token = "" if person is None else _log_in(settings, person)
    return join(settings.runtime_path, watch=watch, token=token)


def _log_in(settings: Settings, person: str) -> str:
    with connect(settings, person) as client:
        return client.token


@contextmanager
def connect(settings: Settings, person: str | None) -> Iterator[Client]:
    """A client, logged in if `person` is given."""
    from mamba.wire.client import Client

    with Client(settings.find_runtime().rpc) as client:
        if person is not None:
            client.request("ping")  # nobody is asked for a password that nobody takes
            password = click.prompt(f"Password of {person}", hide_input=True, default="", show_default=False)
            client.login(person, password)
        yield client


@click.command()
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), default=60.0, help="For the start-up.  [60 s]")
@login_option
@click.pass_obj
def restart(settings: Settings, *, timeout_s: float, person: str | None) -> int:
    """End IPython, also one that hangs, start a new one, wait until it takes commands and print its process id.

    Everything in its memory is lost, and a run that is open ends as an abort. The session goes on: windows stay
    connected, and who has joined may join again.
    """
    with connect(settings, person) as client:
        deadline_s = time.monotonic() + timeout_s
        pid = client.request("session/restart", timeout_s=timeout_s)["console_pid"]
        while (state := client.request("state"))["prompt"] in ("starting", "running"):
            if time.monotonic() > deadline_s:
                raise FacilityError(
                    f"console {pid}: takes no commands {timeout_s:g} s after its start",
                    seen=f"prompt {state['prompt']!r}",
                    remedy="'mambactl console' shows what its start-up script does, or why it failed",
                )
            time.sleep(0.05)  # between two looks at a condition with a deadline
    if state["startup_error"] or state["prompt"] == "dead":
        raise FacilityError(
            f"console {pid}: has not started",
            seen=state["startup_error"] or "IPython has ended",
            remedy="'mambactl console' shows its last words; mend the start-up script, then 'mambactl restart'",
        )
    click.echo(pid)
    return 0


@click.command()
@click.argument("text")
@click.option("--no-wait", is_flag=True, help="Return as soon as the command is in the queue; prints its id.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Give up waiting for the result after S.")
@click.option("--deadline", "deadline_s", type=click.FloatRange(min=0), help="Drop the command if not begun within S.")
@login_option
@click.pass_obj
def run(
    settings: Settings,
    *,
    text: str,
    no_wait: bool,
    timeout_s: float | None,
    deadline_s: float | None,
    person: str | None,
) -> int:
    """Execute TEXT in the running console, as a visible cell, and print its result.

    A busy console finishes what it does first. TEXT '-' is read from the standard input. An error goes to the standard
    error with exit code 1. Ctrl-C stops waiting, not the command.
    """
    if text == "-":
        text = sys.stdin.read()
    with connect(settings, person) as client:
        try:
            value = client.command(
                text, origin="mambactl", wait=not no_wait, timeout_s=timeout_s, deadline_s=deadline_s
            )
        except ZError as error:
            click.echo(error.desc if error.code == "exc" else f"{error.code}: {error.desc}", err=True)
            return 1
        except ReplyTimeout:
            click.echo(f"no result within {timeout_s:g} s; the command is left to the console", err=True)
            return 1
        except KeyboardInterrupt:
            click.echo("\nthe command is left to the console; 'mambactl console' shows what it does", err=True)
            return 130
    if no_wait:
        click.echo(value["id"])
    elif value is not None:
        click.echo(value if isinstance(value, str) else repr(value))
    return 0
