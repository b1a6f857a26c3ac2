"""The whole beamline, once for all journeys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.facility import Facility, facility_up

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What Taurus does inside itself is not ours to mend."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(r"ignore::DeprecationWarning:taurus\..*"))


@pytest.fixture(scope="module")
def beamline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("data"))  # data goes where the beamline is brought up
    try:
        with facility_up() as facility:
            yield facility
    finally:
        os.chdir(here)


def read_truth(beamline: Facility, server: str, act: str) -> list[dict[str, Any]]:
    """What the simulated hardware of `server` really did."""
    lines = (beamline.runtime.truth / f"{server}.jsonl").read_text().splitlines()
    return [fields for fields in map(json.loads, lines) if fields["act"] == act]
