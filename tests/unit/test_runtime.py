import os
import stat
import subprocess
import sys

import pytest

from mamba.errors import AlreadyRunning, FacilityError
from mamba.runtime import RuntimeDirectory


def test_nobody_else_may_enter(tmp_path):
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    assert stat.S_IMODE(runtime.path.stat().st_mode) == 0o700
    runtime.path.chmod(0o755)
    with pytest.raises(FacilityError, match="others could reach the sockets"):
        RuntimeDirectory.create(runtime.path)


def test_a_path_too_long_for_a_socket_is_refused(tmp_path):
    with pytest.raises(FacilityError, match="too long for a socket"):
        RuntimeDirectory.create(tmp_path / ("x" * 90))


def test_the_second_owner_is_told_who_is_first(tmp_path):
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    lock = runtime.lock("session")
    code = f"""
import sys
from pathlib import Path
from mamba.errors import AlreadyRunning
from mamba.runtime import RuntimeDirectory
try:
    RuntimeDirectory(Path({str(runtime.path)!r})).lock("session")
except AlreadyRunning as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"process {os.getpid()} holds session.lock" in said
    assert runtime.owner("session") == os.getpid()
    lock.release()
    assert runtime.owner("session") is None
    runtime.lock("session").release()


def test_the_lock_of_a_killed_owner_is_free(tmp_path):
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    code = f"""
import os, signal
from pathlib import Path
from mamba.runtime import RuntimeDirectory
lock = RuntimeDirectory(Path({str(runtime.path)!r})).lock("session")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert runtime.owner("session") is None
    runtime.lock("session").release()


def test_one_process_cannot_take_it_twice(tmp_path):
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    lock = runtime.lock("facility")
    with pytest.raises(AlreadyRunning):
        runtime.lock("facility")
    lock.release()


def test_state_is_replaced_whole(tmp_path):
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    assert runtime.read_state("facility") is None
    runtime.write_state("facility", {"pid": 1})
    runtime.write_state("facility", {"pid": 2})
    assert runtime.read_state("facility") == {"pid": 2}
    assert sorted(f.name for f in runtime.path.iterdir()) == ["facility.json", "logs", "mdw", "truth"]


def test_a_state_cut_short_by_a_power_failure_is_none(tmp_path):
    runtime = RuntimeDirectory.create(tmp_path / "run")
    (runtime.path / "facility.json").write_text('{"pid": 1')
    assert runtime.read_state("facility") is None
