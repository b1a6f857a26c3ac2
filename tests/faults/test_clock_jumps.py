"""The clock of the machine jumps by an hour, forwards and backwards: nothing ends early, nothing late.

The processes under test have a clock that the test sets (see `shifted_clock/sitecustomize.py`); nobody sets the
machine's. That no code of ours measures with that clock is seen in the source.
"""

from __future__ import annotations

import ast
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import plan_stubs

from mamba.errors import ReplyTimeout, ZError
from mamba.scans.upstream_clock import measure_delays_monotonically
from tests.session.conftest import TINY
from tests.support.session_host import HostUnderTest, wait_until

ROOT = Path(__file__).parents[2]
HOUR_S = 3600
# The kernel stamps files by the clock of the day and by no other: their age cannot be had otherwise. What a jump may do
# there is remove shared memory that no process has mapped. Control's `until` is for people to read, its timer counts.
EXCUSED = {
    *("mamba/facility/sweep.py", "mamba/session/control.py", "taurus_gui/widgets/control_strip.py"),
    "mamba/data_worker/loops.py",  # the lag is shown only; a block's time is that of the day, of another process
}
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.utcnow"}
QT_CLOCKS = {"QTime", "currentDateTime", "currentSecsSinceEpoch", "currentMSecsSinceEpoch"}

Jump = Callable[[float], None]
STARTUP = """
from bluesky.plans import count
from ophyd.sim import SynAxis, SynSignal
from mamba.config import load_profile
from mamba.console import server_start
from mamba.scans import make_run_engine
import os
import time
from pathlib import Path
class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self
def read():
    time.sleep(0.07)  # the clock jumps within a reading
    return 1.5
M, D = AttrDict(m1=SynAxis(name="M_m1")), AttrDict(i0=SynSignal(func=read, name="D_i0"))
RE = make_run_engine(load_profile(Path(os.environ["MAMBA_PROFILE"])))
U = server_start(M, D, RE)
"""


@pytest.fixture
def jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Sets the clock of every process that is started after this by so many seconds."""
    file = tmp_path / "clock"

    def set_offset(seconds: float) -> None:
        part = file.with_suffix(".part")
        part.write_text(str(seconds))
        part.replace(file)

    set_offset(0)
    monkeypatch.setenv("MAMBA_TEST_CLOCK", str(file))
    path = os.pathsep.join([str(ROOT / "tests/faults/shifted_clock"), str(ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    return set_offset


def jump_to_and_fro(jump: Jump, over: threading.Event) -> None:
    """An hour forwards, an hour back, every 50 ms."""
    sign = 1
    while not over.wait(0.05):
        jump(sign * HOUR_S)
        sign = -sign


@pytest.fixture
def jumping(jump: Jump) -> Iterator[None]:
    """The clock jumps as long as the test runs, from the start of its processes on."""
    over = threading.Event()
    jumper = threading.Thread(target=jump_to_and_fro, args=(jump, over))
    jumper.start()
    yield
    over.set()
    jumper.join()


@pytest.fixture
def host(jumping: None) -> Iterator[HostUnderTest]:
    host = HostUnderTest(console=TINY, options=("--grace", "1"))
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


def measure(act: Callable[[], Any]) -> tuple[Any, float]:
    started = time.monotonic()
    try:
        result = act()
    except (ZError, ReplyTimeout) as error:
        result = error.code
    return result, time.monotonic() - started


def check_deadlines(host: HostUnderTest) -> None:
    """Each time-out there is between client, host and console: not early, and late by no more than a busy machine."""
    client = host.client
    offset = client.request("state")["time"] - time.time()
    assert abs(abs(offset) - HOUR_S) < 60, "the clock under test has jumped"
    busy = client.command("import time; t = time.monotonic(); time.sleep(2); 5", wait=False)
    wait_until(lambda: client.request("cmd/status", id=busy["id"])["state"] == "running")
    code, took_s = measure(lambda: client.command("1", deadline_s=0.5, timeout_s=20))
    assert (code, 0.5 <= took_s < 1.5) == ("deadline-passed", True), took_s
    code, took_s = measure(lambda: host.make_client().command("1", timeout_s=0.5))
    assert (code, 0.5 <= took_s < 1.5) == ("reply-timeout", True), took_s
    assert client.command("5", deadline_s=20, timeout_s=20) == 5
    receipt = client.request("cmd/status", id=busy["id"])
    assert receipt["state"] == "done"
    client.command("silent.set()")
    code, took_s = measure(lambda: client.request("dev/read", path="M.m1", deadline_s=0.5, timeout_s=20))
    assert (code, 0.5 <= took_s < 1.5) == ("console-silent", True), took_s


def test_no_deadline_of_host_or_client_moves(host: HostUnderTest) -> None:
    check_deadlines(host)
    _, took_s = measure(lambda: host.client.request("session/restart", timeout_s=20))
    assert took_s < 5
    host.wait_prompt()
    assert host.client.command("1 + 1", timeout_s=10) == 2


@pytest.mark.soak
def test_a_console_that_will_not_end_is_given_its_grace(host: HostUnderTest) -> None:
    host.client.command("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    status, took_s = measure(host.stop)
    assert (status, 1.0 <= took_s < 3.0) == (0, True), took_s


def test_order_is_by_number_and_never_by_time(host: HostUnderTest) -> None:
    texts = [f"__import__('time').sleep(0.02) or {number}" for number in range(20)]  # 0.4 s, for some jumps
    assert [host.client.command(text, timeout_s=10) for text in texts] == list(range(20))
    history = host.client.request("cmd/history")
    assert [receipt["text"] for receipt in history] == texts
    times = [receipt["time"] for receipt in history]
    assert times != sorted(times), "the clock has jumped between them"


@pytest.mark.usefixtures("jumping")
def test_plans_with_delays_in_a_real_console_take_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where its data go
    host = HostUnderTest(startup=STARTUP)
    try:
        host.wait_prompt()
        assert host.client.request("state")["startup_error"] == ""
        # ten readings, 0.2 s apart
        done, took_s = measure(lambda: host.client.command("RE(count([D.i0], 10, delay=0.2)); None", timeout_s=60))
        assert (done, 1.7 <= took_s < 6) == (None, True), host.client.request("cmd/history", limit=1)[0]["rep"]
        receipt = host.client.request("cmd/history", limit=1)[0]
        assert receipt["rep"]["err"] == ""
        assert abs(receipt["duration_s"] - took_s) < 1
        for _ in range(3):
            text = "import time; time.sleep(1); 'in time'"
            busy = host.client.command(text, wait=False)
            wait_until(lambda: host.client.request("state")["running"], what="running")
            code, took_s = measure(lambda: host.client.command("1", deadline_s=0.3, timeout_s=20))
            assert (code, 0.3 <= took_s < 1.3) == ("deadline-passed", True), took_s
            wait_until(lambda: host.client.request("cmd/status", id=busy["id"])["state"] == "done")  # noqa: B023
    finally:
        host.close()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_deadlines_twenty_times(jumping: None) -> None:
    for _ in range(20):
        host = HostUnderTest(console=TINY)
        try:
            host.wait_prompt()
            check_deadlines(host)
        finally:
            host.close()
    print("soak: 60 time-outs while the clock jumped by ± 1 h 20 times a second: 0 early, 0 late")


def test_bluesky_still_measures_delays_with_the_clock() -> None:
    """When this fails, `mamba.scans.upstream_clock` may have become needless."""
    source = inspect.getsource(plan_stubs)
    assert source.count("time.time()") == 2
    assert "d = d - (time.time() - now)" in source
    measure_delays_monotonically()
    assert abs(plan_stubs.time.time() - time.monotonic()) < 1


def list_sources() -> list[Path]:
    files = [file for room in ("mamba", "taurus_gui", "tango_servers") for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 150
    return files


def find_measurements(tree: ast.AST) -> Iterator[int]:
    """Lines that add, subtract or compare the clock of the day, or a name that it was given to in the same function."""
    for function in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
        own = list(ast.walk(function))
        named = {
            target.id
            for node in own
            if isinstance(node, ast.Assign) and _is_clock(node.value)
            for target in node.targets
            if isinstance(target, ast.Name) and function is not tree
        }
        for node in own:
            if isinstance(node, (ast.BinOp, ast.Compare, ast.AugAssign)):
                parts = [*ast.iter_child_nodes(node)]
                if any(_is_clock(part) or (isinstance(part, ast.Name) and part.id in named) for part in parts):
                    yield node.lineno


def _is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS


def test_nothing_is_measured_with_the_clock_of_the_day() -> None:
    found = []
    for file in list_sources():
        name = str(file.relative_to(ROOT))
        tree = ast.parse(file.read_text())
        found += [f"{name}:{line}" for line in find_measurements(tree) if name not in EXCUSED]
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        words |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        found += [f"{name}: {word}" for word in words & QT_CLOCKS]
    assert sorted(set(found)) == []


def test_the_search_finds_what_it_looks_for() -> None:
    bad = "def f():\n now = time.time()\n while True:\n  if now > 5: pass\n x = time.time() + 3\n"
    bad += " y = time.monotonic() + 1"
    assert sorted(find_measurements(ast.parse(bad))) == [4, 5, 5]
