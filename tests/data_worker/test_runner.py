"""Ray outlives the thread that happened to arm the first graph."""

import stat
import threading

import psutil
import pytest

from mamba.data_worker.runner import Runner


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
