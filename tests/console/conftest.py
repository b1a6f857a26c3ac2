"""A console to work with: one shared by a module's tests, or a new one where a test ends or disturbs it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.console_link import PROFILE, ConsoleUnderTest

SIMULATED = """
from bluesky import RunEngine
from bluesky.plan_stubs import sleep, mv, trigger_and_read, checkpoint, open_run, close_run
from bluesky.plans import count, scan
from bluesky.preprocessors import finalize_wrapper
from ophyd.sim import SynAxis, SynSignal
from mamba.console import ZError, server_start

class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self

M = AttrDict(m1=SynAxis(name="M.m1", delay=0.05), m2=SynAxis(name="M.m2"))
D = AttrDict(det=SynSignal(name="D.det", func=lambda: M.m2.position + 1))
RE = RunEngine()
stops = []
RE.subscribe(lambda name, doc: stops.append(doc), "stop")
cleaned = []

def clean():
    cleaned.append(1)
    yield from sleep(0.05)

def long_scan(points=400):
    return finalize_wrapper(scan([D.det], M.m1, -1, 1, points), clean())

U = server_start(M, D, RE)
"""


@contextmanager
def started(startup: str = SIMULATED, profile: str = PROFILE) -> Iterator[ConsoleUnderTest]:
    """A console that is ready, and leaves nothing."""
    # pytest's own folders are too long for a socket's name
    folder = Path(tempfile.mkdtemp(prefix="mb-console-"))
    console = ConsoleUnderTest(folder, startup, profile=profile)
    try:
        yield console.wait_ready()
    finally:
        console.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def console() -> Iterator[ConsoleUnderTest]:
    with started() as console:
        yield console


@pytest.fixture
def start_console() -> Iterator[Callable[..., ConsoleUnderTest]]:
    with ExitStack() as stack:
        yield lambda *args: stack.enter_context(started(*args))
