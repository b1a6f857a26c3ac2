"""Profiles of the facility's own tests: small servers, so that each test is about the facility alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.facility import Facility, facility_up, runtime_folder

WriteProfile = Callable[..., Path]

TINY = """\
name: tiny
title: Tiny beamline
tango: {{port: {port}}}
servers:
  Tiny/a:
    module: tests.facility.support.{module}
    devices:
      t/a/1: {{class: Tiny, alias: tiny1, properties: {{Start: {start}}}}}
      t/a/2: {{class: Tiny}}
  Tiny/b:
    module: tests.facility.support.tiny_server
    devices:
      t/b/1: {{class: Tiny}}
devices:
  M:
    one: {{tango: t/a/1, type: signal, attribute: Value}}
console:
  startup: startup.py
"""


def write_profile(folder: Path, *, port: int | str = "auto", module: str = "tiny_server", start: float = 1.5) -> Path:
    """A profile of three small devices in two servers."""
    (folder / "startup.py").touch()
    file = folder / "beamline.yaml"
    file.write_text(TINY.format(port=port, module=module, start=start))
    return file


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Facility]:
    """A runtime directory in which nothing runs yet."""
    with runtime_folder() as runtime:
        yield Facility(runtime, write_profile(tmp_path))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    """Database and servers, up for the tests of one module; they leave it as they found it."""
    profile = write_profile(tmp_path_factory.mktemp("profile"))
    with facility_up(profile, with_console=False) as facility:
        yield facility
