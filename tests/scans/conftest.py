"""A run engine whose files go to a temporary folder, and the spectrometer in software."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mamba.config import BUILT_IN_PROFILE, DataConfig, Profile, load_profile
from mamba.scans import BeamlineRunEngine, make_run_engine
from tests.support.engines import ending


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    profile = load_profile(BUILT_IN_PROFILE)
    return profile.model_copy(update={"data": DataConfig(directory=tmp_path / "data"), "person": "Ada Lovelace"})


@pytest.fixture
def make_engine(profile: Profile) -> Iterator[Callable[[], BeamlineRunEngine]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(ending(make_run_engine(profile)))


@pytest.fixture
def engine(make_engine: Callable[[], BeamlineRunEngine]) -> BeamlineRunEngine:
    return make_engine()


@pytest.fixture
def documents(engine: BeamlineRunEngine) -> list[tuple[str, dict[str, Any]]]:
    kept: list[tuple[str, dict[str, Any]]] = []
    engine.subscribe(lambda name, doc: kept.append((name, doc)))
    return kept
