"""A check in a process of its own: it can be ended in time, and may crash, without harm to the session.

PAM modules are foreign code, name servers and directories may hang where no time-out reaches; a process is ended
whatever it hangs in. Question and answer are one JSON object each on its standard input and output, so that the
password stands in no command line and no environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal, NotRequired, TypedDict

import psutil

from mamba.errors import LoginUnavailable


class Answer(TypedDict):
    """What the process found."""

    verdict: Literal["right", "wrong", "unavailable"]
    why: str
    person: NotRequired[str]  # when right: who it is, where that can be another spelling than the one that was typed


def ask_outside(module: str, question: dict[str, Any], *, timeout_s: float, remedy: str) -> Answer:
    """Run `python -m MODULE`, which calls `answer_once`.

    Raises:
        LoginUnavailable: no answer within `timeout_s`, or the process ended without one; with `remedy`.
    """
    try:
        with subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            try:
                said, _ = process.communicate(json.dumps(question).encode(), timeout=timeout_s)
            except BaseException:
                _end_all(process.pid)
                raise
    except subprocess.TimeoutExpired:
        raise not_checked(f"no answer within {timeout_s:.0f} s", remedy) from None
    except OSError as error:  # no room for another process
        raise not_checked(error.strerror or type(error).__name__, remedy) from None
    if not said:
        raise not_checked(f"the check ended with status {process.returncode}", remedy)
    answer: Answer = json.loads(said)
    return answer


def _end_all(pid: int) -> None:
    """End a process and what it started: modules (pam_exec) put their programs into sessions of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        started = process.children(recursive=True)
        os.killpg(pid, signal.SIGKILL)
        for child in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def not_checked(seen: str, remedy: str) -> LoginUnavailable:
    """The error of a password that nobody could check."""
    return LoginUnavailable("login: the password could not be checked", seen=seen, remedy=remedy)


def answer_once(check: Callable[[dict[str, Any]], Answer]) -> None:
    """The other side: read the question, write what `check` says."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the password
    # What a module prints must not get between, nor may a process that it leaves behind keep the answer's pipe open.
    to_asker = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    question = json.loads(sys.stdin.buffer.read())
    try:
        answer = check(question)
    except Exception as error:  # noqa: BLE001  # whatever it is, its text may hold the password: only the kind is told
        answer = {"verdict": "unavailable", "why": f"the check failed with {type(error).__name__}"}
    with open(to_asker, "w") as stream:
        json.dump(answer, stream)
