"""A graph that changes while it runs: branches that only show may come and go, what a file depends on stays."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mamba.data_worker.control import Armed
from mamba.errors import DataError, GraphInvalid, MambaError
from tests.data_worker.conftest import Start
from tests.data_worker.test_run import await_written
from tests.data_worker.test_whole_graphs import build, check_frames


def screen(log: Path, *, seconds: float = 0.0, name: str = "screen", **more: Any) -> dict[str, Any]:
    """A screen that writes down what it sees."""
    return {"name": name, "kind": "test_screen", "parameters": {"seconds": seconds, "log": str(log)}, **more}


def await_lines(log: Path, count: int) -> list[str]:
    """Wait until a screen has seen so many blocks."""
    deadline = time.monotonic() + 20
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # between looks
    return log.read_text().splitlines()


def test_screens_come_change_and_go_while_every_frame_is_written(start: Start, tmp_path: Path) -> None:
    feeder, armed = start(build(edges=["camera file"]), frames=100_000, period_s=0.004)
    await_written(armed, 40)
    armed.change(build(screen(tmp_path / "one"), edges=["camera file", "camera screen latest"]))
    await_lines(tmp_path / "one", 3)
    armed.change(build(screen(tmp_path / "two"), edges=["camera file", "camera screen latest"]))
    await_lines(tmp_path / "two", 3)
    armed.change(build(edges=["camera file"]))
    seen = len((tmp_path / "two").read_text().splitlines())
    await_written(armed, armed.progress().written + 100)
    assert len((tmp_path / "two").read_text().splitlines()) == seen
    assert [node.name for node in armed.progress().nodes] == ["camera", "file"]
    ledger = armed.abort("seen enough")
    assert (ledger.written, ledger.missing) == (ledger.produced, ())
    check_frames(ledger, feeder.feed.shape)
    changes = [note.partition(",")[0] for note in ledger.notes if "graph changed" in note]
    assert changes == ["graph changed: + screen", "graph changed: - screen + screen", "graph changed: - screen"]


def check_refused(armed: Armed, graph: Any, says: str, kind: type[MambaError] = GraphInvalid) -> None:
    """Nothing changes."""
    with pytest.raises(kind, match=says):
        armed.change(graph)


def test_what_a_file_depends_on_stays(start: Start, tmp_path: Path) -> None:
    shared = {"group": "file"}
    graph = build(screen(tmp_path / "one"), edges=["camera file", "camera screen"])
    _feeder, armed = start(graph, frames=500, period_s=0.004)
    await_written(armed, 20)
    check_refused(armed, build(edges=["camera file latest"]), "the edges into 'file' would be others")
    more = {"name": "more", "kind": "hdf5"}
    check_refused(armed, build(more, edges=["camera file", "camera more"]), "node 'more' would be new")
    check_refused(
        armed,
        build(screen(tmp_path / "x", **shared), edges=["camera file", "camera screen"]),
        "shares the actor 'file'",
    )
    bad = {"name": "bad", "kind": "python", "parameters": {"file": str(tmp_path / "none.py"), "name": "f"}}
    check_refused(
        armed, build(bad, screen(tmp_path / "x"), edges=["camera file", "camera bad", "bad screen"]), "bad", MambaError
    )
    ledger = armed.wait(60)
    assert (ledger.written, ledger.missing) == (500, ())
    assert ledger.edges["camera → screen"]["sent"] == 500
    check_refused(armed, graph, "has ended", DataError)
