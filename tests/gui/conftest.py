from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

with warnings.catch_warnings():
    # Taurus asks pint and numpy in ways they will drop; warnings of its import are not ours to answer for.
    warnings.simplefilter("ignore")
    from taurus_gui.application import close_window, open_window
    from taurus_gui.operator import Operator

from mamba.config import BUILT_IN_PROFILE, Profile, ServerConfig, load_profile
from mamba.runtime import RuntimeDirectory
from tests.gui.support import PracticeHost
from tests.support.tango_facility import TangoFacility, running_facility


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What Taurus does inside itself (notifyAll, pint.default_format) is not ours to mend; ours stays an error."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(r"ignore::DeprecationWarning:taurus\..*"))


@pytest.fixture(scope="session")
def profile() -> Profile:
    return load_profile(BUILT_IN_PROFILE)


@pytest.fixture(scope="module")
def tango_facility(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TangoFacility]:
    """The devices of the built-in profile, as real servers."""
    with running_facility(tmp_path_factory.mktemp("tango")) as facility:
        for name, server in profile.servers.items():
            start_server(facility, name, server)
        yield facility


def start_server(facility: TangoFacility, name: str, server: ServerConfig) -> None:
    facility.register(name, {n: (d.class_name, dict(d.properties)) for n, d in server.devices.items()})  # type: ignore[arg-type]  # the profile's properties here are plain
    facility.start(name, server.module)


@pytest.fixture
def runtime() -> Iterator[RuntimeDirectory]:
    """A short path: a socket's name has little room."""
    folder = Path(tempfile.mkdtemp(prefix="mb-gui-", dir="/tmp"))
    yield RuntimeDirectory.create(folder)
    shutil.rmtree(folder)


@pytest.fixture
def host(runtime: RuntimeDirectory) -> Iterator[PracticeHost]:
    with PracticeHost(runtime) as practice_host:
        yield practice_host


@pytest.fixture
def operator(
    runtime: RuntimeDirectory, profile: Profile, host: PracticeHost, tango_facility: TangoFacility
) -> Iterator[Operator]:
    """A robot at a window on the practice host and the real device servers."""
    with opened_window(runtime, profile, tango_facility) as robot:
        robot.wait_ready()
        yield robot


@contextmanager
def opened_window(runtime: RuntimeDirectory, profile: Profile, facility: TangoFacility) -> Iterator[Operator]:
    runtime.write_state("facility", {"tango_host": facility.host})
    app, window = open_window(runtime, profile)
    try:
        yield Operator(window)
    finally:
        close_window(app, window)
