"""Ray outlives the thread that happened to arm the first graph, and says why it does not start."""

import stat
import threading
from types import SimpleNamespace

import psutil
import pytest

from mamba.data_worker.runner import Runner
from mamba.errors import DataError


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    runner.shutdown()


def test_ray_outlives_the_thread_that_started_it(runner):
    before = set(psutil.Process().children(recursive=True))
    passing = threading.Thread(target=runner.start_groups, args=(["one"],))
    passing.start()
    passing.join()
    started = set(psutil.Process().children(recursive=True)) - before
    gone, _ = psutil.wait_procs(started, timeout=1)
    assert not [p for p in gone if "gcs_server" in str(p) or "raylet" in str(p)]
    servers = [p for p in started if p.name() in ("gcs_server", "raylet")]
    assert len(servers) == 2
    assert all(p.status() != psutil.STATUS_ZOMBIE for p in servers)
    assert runner.call("one", "identify")["pid"] in {p.pid for p in psutil.Process().children(recursive=True)}
    folder = runner._folder.path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # Ray opens its own to everybody
    assert list(folder.glob("r/session_*/sockets/raylet"))


def test_a_ray_that_is_not_installed_is_told(runner, tmp_path, monkeypatch):
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError(\"No module named 'ray'\")")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="Ray is not installed\n  seen: ModuleNotFoundError: No module named 'ray'"):
        runner.start_groups(["one"])
    assert not runner.running


def test_what_ray_says_when_it_does_not_start_is_told(runner, tmp_path, monkeypatch, caplog):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("mamba.data_worker.runner.RAY_PARENT", deep)
    with pytest.raises(
        DataError, match=r"Ray does not start\n  seen: OSError: .*AF_UNIX path length.*\n.*log has what it said"
    ):
        runner.start_groups(["one"])
    assert "validate_socket_filepath" in caplog.text
    assert not list(deep.iterdir())
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=12 << 20))
    with pytest.raises(DataError, match=r"/dev/shm \(12 MiB\): at least 80 MiB each"):
        runner.start_groups(["one"])
