"""The run engine: numbers, metadata, reasons, consumers that fail, ends from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky import plan_stubs
from bluesky.plans import count, scan
from bluesky.utils import FailedStatus, Msg, RunEngineInterrupted
from ophyd.sim import SynAxis, SynGauss
from ophyd.status import Status

from mamba.errors import DataError, DeviceFault
from mamba.scans import BeamlineRunEngine
from mamba.scans.scan_numbers import ScanNumbers

Documents = list[tuple[str, dict[str, Any]]]


def last_stop(documents: Documents) -> dict[str, Any]:
    return next(doc for name, doc in reversed(documents) if name == "stop")


def make_devices() -> tuple[SynAxis, SynGauss]:
    motor = SynAxis(name="M_m1")
    return motor, SynGauss("D_det", motor, "M_m1", center=0, Imax=1)


def counting_until(engine: BeamlineRunEngine, act: Callable[[], object]) -> Any:
    """A plan that counts one point, then waits; `act` is called from another thread while it waits."""
    _, detector = make_devices()
    started = threading.Event()

    def from_elsewhere() -> None:
        assert started.wait(10)
        act()

    thread = threading.Thread(target=from_elsewhere)
    thread.start()

    def plan() -> Any:
        yield Msg("open_run")
        yield Msg("checkpoint")
        yield from plan_stubs.trigger_and_read([detector])
        started.set()
        yield from plan_stubs.sleep(60)
        yield Msg("close_run")

    return plan, thread


def test_metadata_names_beamline_facility_person_and_versions(engine: BeamlineRunEngine, documents: Documents) -> None:
    engine(count([make_devices()[1]]))
    start = documents[0][1]
    assert start["beamline"] == "Virtual XAFS beamline"
    assert start["facility"] == "Mamba virtual facility"
    assert start["person"] == "Ada Lovelace"
    assert {"mamba-beamline", "bluesky", "ophyd", "h5py"} <= set(start["packages"])


def test_numbers_go_on_in_the_next_session(make_engine: Callable[[], BeamlineRunEngine]) -> None:
    _, detector = make_devices()
    first, second = make_engine(), make_engine()
    files = [engine.files_of(engine(count([detector]))[0])[0].name for engine in (first, second, first)]
    assert files == ["00001_count.nxs", "00002_count.nxs", "00003_count.nxs"]


def test_numbers_never_go_back_to_a_number_with_data(tmp_path: Path) -> None:
    (tmp_path / "00041_scan.nxs").touch()
    numbers = ScanNumbers(tmp_path)
    assert [numbers({}), numbers({})] == [42, 43]
    (tmp_path / ".scan_id").unlink()
    (tmp_path / "00043_scan.nxs").touch()
    assert numbers({}) == 44


def test_a_data_folder_that_cannot_be_is_named_before_a_run_begins(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"data folder .*: cannot be written, so no run can begin\n  seen: Not a dir"):
        ScanNumbers(tmp_path / "file" / "data")({})


def test_numbers_are_given_once_to_many_threads(tmp_path: Path) -> None:
    given: list[int] = []
    threads = [
        threading.Thread(target=lambda: given.extend(ScanNumbers(tmp_path)({}) for _ in range(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 81))


@pytest.mark.error_logged
def test_consumer_that_raises_is_counted_and_the_scan_goes_on(
    engine: BeamlineRunEngine, documents: Documents, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str, doc: dict[str, Any]) -> None:
        raise ZeroDivisionError(name)

    token = engine.subscribe(fail)
    motor, detector = make_devices()
    engine(scan([detector], motor, -1, 1, 5))
    assert last_stop(documents)["exit_status"] == "success"
    assert last_stop(documents)["num_events"] == {"primary": 5}
    assert engine.guards[token].failures == 8
    assert len([r for r in caplog.records if "the run goes on" in r.getMessage()]) == 1
    engine.unsubscribe(token)
    assert token not in engine.guards


@pytest.mark.error_logged
def test_consumer_given_with_the_call_cannot_end_the_run_either(
    engine: BeamlineRunEngine, documents: Documents
) -> None:
    engine(count([make_devices()[1]]), {"event": lambda name, doc: 1 / 0})
    assert last_stop(documents)["exit_status"] == "success"


@pytest.mark.parametrize(
    ("end", "status"), [("abort", "abort"), ("stop", "success"), ("halt", "abort")], ids=["abort", "stop", "halt"]
)
def test_reason_reaches_the_stop_document(
    engine: BeamlineRunEngine, documents: Documents, end: str, status: str
) -> None:
    plan, thread = counting_until(engine, lambda: getattr(engine, end)("the beam is gone"))
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    thread.join()
    stop = last_stop(documents)
    assert (stop["exit_status"], stop["reason"]) == (status, "the beam is gone")


def test_reason_does_not_stick_to_the_next_run(engine: BeamlineRunEngine, documents: Documents) -> None:
    plan, thread = counting_until(engine, lambda: engine.abort("once"))
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    thread.join()
    engine(count([make_devices()[1]]))
    assert last_stop(documents)["reason"] == ""


def test_paused_run_is_aborted_from_another_thread(engine: BeamlineRunEngine, documents: Documents) -> None:
    plan, thread = counting_until(engine, lambda: engine.request_pause())
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    thread.join()
    assert engine.state == "paused"
    ending = threading.Thread(target=lambda: engine.abort("from the window"))
    ending.start()
    ending.join(10)
    assert engine.state == "idle"
    assert last_stop(documents)["reason"] == "from the window"


def test_failure_of_a_plan_is_its_reason(engine: BeamlineRunEngine, documents: Documents) -> None:
    def plan() -> Any:
        raise ValueError("no sample")
        yield Msg("null")

    from bluesky.preprocessors import run_wrapper

    with pytest.raises(ValueError, match="no sample"):
        engine(run_wrapper(plan()))
    assert last_stop(documents)["exit_status"] == "fail"
    assert "no sample" in last_stop(documents)["reason"]
    assert any("no sample" in problem for problem in engine.problems_of(documents[0][1]["uid"]))


def failing_motor() -> SynAxis:
    motor = SynAxis(name="M_m1")

    def fail(value: float) -> Status:
        status = Status(motor)
        status.set_exception(DeviceFault("M.m1: did not reach 3 mm", seen="stopped at 1 mm"))
        return status

    motor.set = fail
    return motor


def test_what_a_device_says_comes_out_and_is_the_reason(engine: BeamlineRunEngine, documents: Documents) -> None:
    with pytest.raises(DeviceFault, match="did not reach 3 mm"):
        engine(scan([], failing_motor(), 1, 3, 3))
    assert last_stop(documents)["exit_status"] == "fail"
    assert "M.m1: did not reach 3 mm" in last_stop(documents)["reason"]


def test_plans_may_still_catch_bluesky_s_own_exception(engine: BeamlineRunEngine) -> None:
    caught: list[BaseException] = []

    def plan() -> Any:
        try:
            yield from plan_stubs.mv(failing_motor(), 3)
        except FailedStatus as failed:
            caught.append(failed)

    engine(plan())
    assert isinstance(caught[0].__cause__, DeviceFault)
    assert "did not reach 3 mm" in str(caught[0])
