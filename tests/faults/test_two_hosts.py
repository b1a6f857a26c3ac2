"""Two hosts on one runtime directory: exactly one runs, the other says who, and the first is not disturbed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mamba.runtime import RuntimeDirectory
from mamba.wire.client import Client
from tests.session.conftest import TINY
from tests.support.session_host import PROFILE, wait_until

HELD = re.compile(r"process (\d+) holds session\.lock")

# Takes and frees the lock as fast as it can; the file that only the holder may make shows a second one.
RACER = """
import os, sys, time
from pathlib import Path
from mamba.errors import AlreadyRunning
from mamba.runtime import RuntimeDirectory
runtime, until, taken = RuntimeDirectory(Path(sys.argv[1])), time.monotonic() + float(sys.argv[2]), 0
mark = runtime.path / "held"
while time.monotonic() < until:
    try:
        lock = runtime.lock("session")
    except AlreadyRunning as error:
        assert "unknown" not in str(error)
        continue
    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    taken += 1
    mark.unlink()
    lock.release()
print(taken)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mb-two-", dir="/tmp"))
    (folder / "beamline.yaml").write_text(PROFILE)
    (folder / "startup.py").touch()
    RuntimeDirectory.create(folder / "rt")
    yield folder
    shutil.rmtree(folder)


def start_host(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mamba.session", "--runtime", str(folder / "rt")]
    command += ["--profile", str(folder / "beamline.yaml"), "--", *TINY]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def start_both(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Two hosts at the same instant: the one that runs, and what the other said."""
    hosts = [start_host(folder) for _ in range(2)]
    loser = wait_until(lambda: next((host for host in hosts if host.poll() is not None), None), what="one gives way")
    (winner,) = (host for host in hosts if host is not loser)
    assert loser.returncode == 1
    return winner, loser.communicate()[1]


def check_running(folder: Path, host: subprocess.Popen[str]) -> None:
    with Client(RuntimeDirectory(folder / "rt").rpc) as client:
        wait_until(lambda: client.ask("ping").ok, what="the one that runs answers")
        assert client.request("session/status")["pid"] == host.pid
        assert client.command("1 + 1", timeout_s=20) == 2


def check_refusal(said: str, owner: int) -> None:
    assert HELD.findall(said) == [str(owner)], said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 5


def start_twice_many_times(folder: Path, times: int) -> None:
    for number in range(times):
        first, said = start_both(folder)
        try:
            check_refusal(said, first.pid)
            if number % 5 == 0:
                check_running(folder, first)
            second = start_host(folder)  # and one that comes late
            check_refusal(second.communicate(timeout=20)[1], first.pid)
            assert second.returncode == 1
            if number % 5 == 0:
                check_running(folder, first)
        finally:
            # every other one is killed: its lock file stays, and stands for nobody
            first.kill() if number % 2 else first.terminate()
            first.communicate(timeout=20)
        assert RuntimeDirectory(folder / "rt").owner("session") is None


def test_one_of_two_hosts_runs_and_the_other_says_who(folder: Path) -> None:
    start_twice_many_times(folder, 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_double_starts(folder: Path) -> None:
    start_twice_many_times(folder, 100)
    print("soak: 100 double starts, one host each time, the other named it")


def race(folder: Path, seconds: float) -> int:
    command = [sys.executable, "-c", RACER, str(folder / "rt"), str(seconds)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [racer.communicate(timeout=seconds + 20)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], "two held the lock at once"
    return sum(map(int, said))


def test_a_lock_that_is_freed_while_another_takes_it_is_never_held_twice(folder: Path) -> None:
    assert race(folder, 1.5) > 50


@pytest.mark.soak
def test_the_lock_is_never_held_twice_for_long(folder: Path) -> None:
    print(f"soak: the lock changed hands {race(folder, 30)} times, never held twice")


def test_what_stands_in_the_lock_of_a_killed_owner_is_not_believed(folder: Path) -> None:
    """The number of a process that is gone stays in the file until the next owner has written its own."""
    runtime = RuntimeDirectory(folder / "rt")
    (runtime.path / "session.lock").write_text("1")
    assert runtime.owner("session") is None
    lock = runtime.lock("session")
    (runtime.path / "session.lock").write_text("1")
    assert runtime.owner("session") == os.getpid()
    second = start_host(folder)
    check_refusal(second.communicate(timeout=20)[1], os.getpid())
    lock.release()
