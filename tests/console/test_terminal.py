"""Without a terminal that can show a full prompt, the console says so and does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

COMMAND = ["-m", "mamba.console", "--runtime", "rt", "--profile", "beamline.yaml"]


def environment(**changed: str) -> dict[str, str]:
    return {**os.environ, "TERM": "xterm-256color", **changed}


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *COMMAND],
        cwd=tmp_path,
        env=environment(),
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )
    check(done.returncode, done.stderr, "standard input or output is not a terminal")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ({"TERM": "dumb"}, "TERM='dumb'"),
        pytest.param({"TERM": ""}, "TERM=''", marks=pytest.mark.soak),
        pytest.param(
            {"IPY_TEST_SIMPLE_PROMPT": "1"}, "IPY_TEST_SIMPLE_PROMPT asks for a simple prompt", marks=pytest.mark.soak
        ),
    ],
)
def test_a_terminal_without_a_full_prompt_is_refused(tmp_path: Path, changed: dict[str, str], seen: str) -> None:
    child = pexpect.spawn(
        sys.executable, COMMAND, cwd=str(tmp_path), env=environment(**changed), encoding="utf-8", timeout=60
    )
    said = child.read()
    child.close()
    check(child.exitstatus, said, seen)


def check(status: int | None, said: str, seen: str) -> None:
    assert status == 2
    lines = said.removesuffix("\x1b[0m").splitlines()  # colorama, at exit
    assert lines[0] == "console: needs a terminal with a full prompt, for commands to be delivered to it"
    assert seen in lines[1]
    assert "mambactl up" in lines[2]
    assert len(lines) == 3
