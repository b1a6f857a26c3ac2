"""The verdict is honest: whatever lacks is named."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mamba.scans.verdict import RunRecord, Verdict, judge_run

HERE = Path(__file__)


def judge(*, start: dict[str, object], stop: dict[str, object], ledgers: dict[str, tuple[int, int]] | None = None,
          files: tuple[Path, ...] = (HERE,)) -> Verdict:  # fmt: skip
    return judge_run(RunRecord({"uid": "u", **start}, ledgers or {}), stop, files)


def test_run_with_everything_is_good() -> None:
    verdict = judge(start={"num_points": 3}, stop={"exit_status": "success", "num_events": {"primary": 3}})
    assert verdict.ok
    assert verdict.uid == "u"


def test_each_lack_is_named() -> None:
    verdict = judge(
        start={"num_points": 3, "num_frames": 10},
        stop={"exit_status": "abort", "reason": "smoke", "num_events": {"primary": 2}},
        ledgers={"D_camera": (9, 8)},
        files=(HERE.with_name("gone.nxs"),),
    )
    assert verdict.problems == (
        "ended with abort: smoke",
        "2 of 3 points were measured",
        "D_camera: 1 of 9 frames were not written",
        "D_camera: 9 of 10 frames were produced",
        f"{HERE.with_name('gone.nxs')}: the file is missing",
    )


def test_run_without_a_file_is_not_good() -> None:
    assert judge(start={}, stop={"exit_status": "success"}, files=()).problems == ("no file was written",)


@given(planned=st.integers(0, 50), measured=st.integers(0, 50))
def test_good_exactly_when_all_points_are_there(planned: int, measured: int) -> None:
    verdict = judge(start={"num_points": planned}, stop={"exit_status": "success", "num_events": {"primary": measured}})
    assert verdict.ok == (planned == measured)


@given(produced=st.integers(0, 9), written=st.integers(0, 9), asked=st.integers(0, 9))
def test_good_exactly_when_all_frames_are_there(produced: int, written: int, asked: int) -> None:
    verdict = judge(start={"num_frames": asked}, stop={"exit_status": "success"}, ledgers={"c": (produced, written)})
    assert verdict.ok == (produced == written == asked)
