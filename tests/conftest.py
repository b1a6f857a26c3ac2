"""What every test must respect: no ERROR in the log, nothing left behind."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.support.shared_memory import await_no_more, list_orphaned_memory

# generated examples must not fail because the machine is busy
settings.register_profile("mamba", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mamba")


_TESTS = Path(__file__).parent
_ORDER = {"system": 0, **dict.fromkeys(("alignment", "cli", "experiments", "scans", "unit", "wire"), 2)}


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with `&`: what the tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # what is collected stays: looking for garbage in it takes a fifth of the time, in each process


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first and short ones last, in whatever order else: no process of several is left alone at the end."""
    items.sort(key=lambda item: _ORDER.get(item.path.relative_to(_TESTS).parts[0], 1))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_error_logged(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A logged ERROR fails the test, unless it is marked `error_logged`."""
    yield
    if request.node.get_closest_marker("error_logged"):
        return
    errors = [r for when in ("setup", "call") for r in caplog.get_records(when) if r.levelno >= logging.ERROR]
    assert not errors, "logged: " + "; ".join(f"{r.name}: {r.getMessage()}" for r in errors)


def _children() -> set[psutil.Process]:
    return {p for p in psutil.Process().children(recursive=True) if p.is_running()}


@pytest.fixture(scope="session", autouse=True)
def nothing_left_by_the_run() -> Iterator[None]:
    """After the last test no process of ours runs and no shared memory stays."""
    shared_before = list_orphaned_memory()
    yield
    _, alive = psutil.wait_procs(list(_children()), timeout=5)
    left = [" ".join(p.cmdline()) for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not left, f"processes left: {left}"
    await_no_more(shared_before)


@pytest.fixture(scope="module", autouse=True)
def no_thread_left_by_the_module() -> Iterator[None]:
    """Every thread that is not a daemon of a library ends with the tests that started it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5) if not thread.daemon else None
    left = [t.name for t in set(threading.enumerate()) - before if not t.daemon]
    assert not left, f"threads left: {left}"
