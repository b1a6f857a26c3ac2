import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mamba import orphans
from mamba.orphans import OwnedFolder, sweep_folders

OWNER = """
import subprocess, sys, signal
from pathlib import Path
from mamba.orphans import OwnedFolder
folder = OwnedFolder("m", Path(sys.argv[1]))
log = (folder.path / "log").open("w")
waits = [sys.executable, "-c", "import signal; signal.pause()"]
writer = subprocess.Popen(waits, stdout=log, start_new_session=True)
reader = subprocess.Popen(waits, stdin=open(folder.path / "log"), start_new_session=True)
print(folder.path, writer.pid, reader.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Others on this machine have folders of Ray of their own."""
    monkeypatch.setattr(orphans, "RAY_PARENT", tmp_path / "none")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "none"))


@pytest.mark.usefixtures("nothing_else")
def test_a_killed_owner_s_folder_goes_with_whoever_writes_in_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        path, *pids = owner.stdout.readline().split()
        folder, (writer, reader) = Path(path), [os.pidfd_open(int(pid)) for pid in pids]
        assert sweep_folders(tmp_path) == []
        assert (folder / "log").exists()
        owner.kill()
    assert sweep_folders(tmp_path) == [folder]
    assert not folder.exists()
    assert select.select([writer, reader], [], [], 0)[0] == [writer], "who reads is left alone"
    signal.pidfd_send_signal(reader, signal.SIGKILL)
    os.close(writer)
    os.close(reader)


@pytest.mark.usefixtures("nothing_else")
def test_a_folder_without_a_lock_is_nobody_s_to_sweep(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert sweep_folders(tmp_path) == []
    folder = OwnedFolder("m", tmp_path)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
    folder.remove()


@pytest.mark.usefixtures("nothing_else")
@pytest.mark.parametrize("moment", ["opened", "locked"])
def test_an_owner_that_is_removing_its_folder_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        path, *pids = owner.stdout.readline().split()
        step, module = {"opened": ("open", os), "locked": ("flock", fcntl)}[moment]
        known = getattr(module, step)

        def remove_first(*arguments: object) -> object:
            monkeypatch.setattr(module, step, known)
            (Path(path) / "owner.lock").unlink()  # as the owner does, at this moment
            return known(*arguments)

        monkeypatch.setattr(module, step, remove_first)
        assert sweep_folders(tmp_path) == []
        assert owner.poll() is None
        assert (Path(path) / "log").exists()
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        owner.kill()
