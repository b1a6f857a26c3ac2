"""Whole graphs: a detector process, real Ray actors, a real file."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # reads packed frames
import numpy as np
import psutil
import pytest

from mamba.data_worker import control, replacements
from mamba.data_worker.control import Armed, arm
from mamba.data_worker.feedback import Row
from mamba.data_worker.graph import parse_graph
from mamba.data_worker.ledger import Ledger
from mamba.data_worker.link import RESUME_WITHIN_S
from mamba.data_worker.sinks.preview import make_small
from mamba.data_worker.sinks.verification import verify_file
from mamba.data_worker.supervisor import Supervisor
from mamba.errors import DataError, DiskFull, GraphInvalid, NodeFailed, StreamBroken
from mamba.wire import notices
from tests.data_worker.conftest import REGIONS, Start, make_graph
from tests.support.frame_feeder import Feeder, make_frame


def check_file(ledger: Ledger, shape: tuple[int, int]) -> None:
    """Every written frame is right, and its sums; what is missing is told in the file as in the ledger."""
    with h5py.File(ledger.files[0]) as file:
        data, mdw = file["entry/data"], file["entry/mdw"]
        numbers = data["frame_number"][:]
        gone = {n for gap in ledger.missing for n in range(gap.first, gap.last + 1)}
        assert sorted(numbers.tolist()) == [n for n in range(ledger.produced) if n not in gone]
        assert data["frames"].shape == (ledger.written, *shape)
        for row, number in enumerate(numbers.tolist()):
            frame = make_frame(number, shape)
            np.testing.assert_array_equal(data["frames"][row], frame)
            sums = [frame[r["y"] : r["y"] + r["height"], r["x"] : r["x"] + r["width"]].sum() for r in REGIONS]
            assert data["region_sums"][row].tolist() in (sums, [pytest.approx(np.nan, nan_ok=True)] * 4)
        assert (mdw["produced"][()], mdw["written"][()]) == (ledger.produced, ledger.written)
        assert mdw["missing/first"][:].tolist() == [gap.first for gap in ledger.missing]
        assert [r.decode() for r in mdw["missing/reason"][:]] == [gap.reason for gap in ledger.missing]


@pytest.mark.parametrize("transport", ["ring", "zmq"])
def test_every_frame_and_sum_is_in_the_file(start: Start, transport: str) -> None:
    heard: list[dict[str, Any]] = []
    detach = notices.attach(heard.append)
    feeder, armed = start(frames=402, transport=transport, arm=5)
    assert "opening" not in {node.state for node in armed.progress().nodes}
    ledger = armed.wait(20)
    detach()
    assert (ledger.produced, ledger.written, ledger.missing, ledger.duplicates) == (402, 402, (), 0)
    check_file(ledger, feeder.feed.shape)
    with h5py.File(ledger.files[0]) as file:
        assert not np.isnan(file["entry/data/region_sums"][:]).any()
        assert file["entry/data"].attrs["signal"] == "frames"
        assert file["entry/data/region_sums"].attrs["columns"].tolist() == ["a", "b", "c", "d"]
        assert file["entry/mdw/metadata"][()] == b'{"sample": "copper"}'
    info = ledger.datasets["frames"]
    assert (info.path, info.shape, info.dtype, info.units) == ("/entry/data/frames", (402, 32, 48), "uint16", "counts")
    assert ledger.frames_per_s == pytest.approx(402 / ledger.seconds)
    assert heard[-1]["typ"] == "mdw/done"
    last = next(n for n in reversed(heard) if n["typ"] == "mdw/progress")
    assert (last["device"], last["arm"], last["produced"], last["written"], last["frames"]) == (
        "D.camera",
        5,
        402,
        402,
        402,
    )
    assert armed.progress().state == "done"


def test_frames_the_detector_did_not_send_are_named(start: Start) -> None:
    feeder, armed = start(frames=60, skip=[0, 7, 8, 59])
    ledger = armed.wait(20)
    assert [tuple(gap) for gap in ledger.missing] == [
        (0, 0, "detector", "not sent"),
        (7, 8, "detector", "not sent"),
        (59, 59, "detector", "not sent"),
    ]
    check_file(ledger, feeder.feed.shape)


def test_what_an_edge_drops_is_in_the_ledger(start: Start) -> None:
    feeder, armed = start(make_graph(policy="drop"), frames=3000, shape=[256, 256], block_frames=2, prepared=True)
    ledger = armed.wait(30)
    sent = feeder.read()["sent"]
    assert sent == ledger.written + ledger.missing_frames == 3000
    assert {gap.reason for gap in ledger.missing} <= {"drop: file was behind"}
    with h5py.File(ledger.files[0]) as file:
        assert file["entry/data/frames"].shape[0] == ledger.written


def test_a_dropping_detector_and_the_ledger_agree(start: Start) -> None:
    feeder, armed = start(frames=2000, shape=[512, 512], policy="drop", block_frames=1, slots=2, prepared=True)
    ledger = armed.wait(30)
    told = feeder.read()
    gone = [n for gap in ledger.missing for n in range(gap.first, gap.last + 1)]
    assert gone == told["dropped"]
    assert ledger.written == told["sent"]


def await_written(armed: Armed, frames: int) -> None:
    deadline = time.monotonic() + 20
    while armed.progress().written < frames:
        assert time.monotonic() < deadline, armed.progress()
        time.sleep(0.02)  # between looks at a counter


def test_abort_keeps_what_was_acknowledged(start: Start) -> None:
    feeder, armed = start(frames=100_000, period_s=0.005)
    await_written(armed, 50)
    ledger = armed.abort("beam is gone", produced=100_000)
    assert ledger.reason == "beam is gone"
    assert ledger.produced == 100_000
    assert ledger.written >= 50
    check_file(ledger, feeder.feed.shape)
    assert armed.abort("again") == ledger


def pid_of(group: str) -> int:
    pid: int = control._runner.call(group, "identify")["pid"]
    return pid


@pytest.mark.parametrize(
    ("group", "transport"), [pytest.param("file", "zmq", marks=pytest.mark.soak), ("intake", "ring")]
)
def test_a_killed_actor_is_replaced_and_nothing_is_lost(start: Start, group: str, transport: str) -> None:
    feeder, armed = start(frames=3000, period_s=0.002, transport=transport)
    for safe in (100, 900):
        await_written(armed, safe)
        os.kill(pid_of(group), signal.SIGKILL)
        await_note(armed, "a new actor took over", safe // 100 // 9 + 1)
    ledger = armed.wait(30)
    assert (ledger.produced, ledger.written, ledger.missing, ledger.duplicates) == (3000, 3000, (), 0)
    check_file(ledger, feeder.feed.shape)
    assert sum("took over" in note for note in ledger.notes) == 2
    with h5py.File(ledger.files[0]) as file:
        assert not np.isnan(file["entry/data/region_sums"][:]).any()


def test_packed_split_files_in_a_folder_by_template_survive_a_killed_writer(start: Start, tmp_path: Path) -> None:
    graph = make_graph(path="{sample}/{device}_{arm:03d}", compression="bslz4", frames_per_file=250)
    feeder, armed = start(graph, frames=900, period_s=0.002, arm=7)
    await_written(armed, 300)
    os.kill(pid_of("file"), signal.SIGKILL)
    ledger = armed.wait(30)
    assert (ledger.written, ledger.missing) == (900, ())
    assert ledger.files == (armed.file,) == (tmp_path / "copper" / "camera_007.h5",)
    check_file(ledger, feeder.feed.shape)
    assert [part.name for part in sorted(ledger.files[0].parent.glob("*_frames_*"))] == [
        f"camera_007_frames_0000{number}.h5" for number in range(4)
    ]
    assert not any(checked.bad for checked in verify_file(ledger.files[0]))
    with pytest.raises(DataError, match=r"nothing is known of \{smaple\}"):
        start(make_graph(path="{smaple}/{arm}"))


def await_note(armed: Armed, text: str, times: int = 1) -> None:
    deadline = time.monotonic() + 20
    while sum(text in note for note in armed._supervisor._notes) < times:
        assert time.monotonic() < deadline, armed._supervisor._notes
        time.sleep(0.02)  # between looks


def test_a_stopped_source_is_noticed_without_its_help(start: Start) -> None:
    feeder, armed = start(frames=1000, period_s=0.005)
    await_written(armed, 20)
    psutil.Process(pid_of("intake")).suspend()
    ledger = armed.wait(30)
    assert "node camera, region_sums: its actor's process is stopped" in ledger.notes
    assert any("its actor died" in note for note in ledger.notes)
    assert (ledger.written, ledger.missing) == (1000, ())
    check_file(ledger, feeder.feed.shape)


@pytest.mark.soak
def test_a_new_actor_that_does_not_find_its_arm_ends_the_run_with_its_counts(start: Start) -> None:
    feeder, armed = start(frames=100_000, period_s=0.002)
    await_written(armed, 100)
    for socket in [file for file in armed._folder.iterdir() if file.is_socket()]:
        socket.unlink()  # by a person who clears up
    source = psutil.Process(pid_of("intake"))
    os.kill(pid_of("file"), signal.SIGKILL)
    with pytest.raises(DataError, match="not done within"):
        armed.wait(RESUME_WITHIN_S + 1)
    assert source.cpu_percent(2.0) < 50, "its blocks cannot be passed on, and it waits"
    with pytest.raises(NodeFailed, match="group file: its actor died, and the new one does not come"):
        armed.wait(40)
    assert armed.ledger is not None
    assert armed.ledger.written >= 100
    check_file(armed.ledger, feeder.feed.shape)


def test_a_detector_that_dies_is_told_and_its_frames_are_kept(start: Start) -> None:
    feeder, armed = start(frames=100, stop_after=44)
    with pytest.raises(StreamBroken, match="sender is gone"):
        armed.wait(20)
    assert armed.ledger is not None
    assert (armed.ledger.produced, armed.ledger.written) == (44, 44)
    check_file(armed.ledger, feeder.feed.shape)


def test_a_file_that_exists_is_refused_and_kept(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "raw.h5"
    file.write_text("precious")
    with pytest.raises(DataError, match="exists"):
        start(file=file)
    assert file.read_text() == "precious"


def test_a_folder_that_is_not_there_is_refused(start: Start, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be made"):
        start(file=tmp_path / "none" / "raw.h5")


def test_a_stream_that_is_gone_leaves_no_file(ray_once: None, tmp_path: Path) -> None:
    with Feeder() as feeder:
        endpoint, form = feeder.endpoint, feeder.format
    file = tmp_path / "raw.h5"
    with pytest.raises((StreamBroken, DataError)):
        arm(make_graph(), endpoint=endpoint, data_format=form, arm_id=1, frames=1, file=file)
    assert not file.exists()


def test_a_graph_that_does_not_fit_starts_nothing(start: Start, tmp_path: Path) -> None:
    with pytest.raises(GraphInvalid, match="region 'b' reaches beyond the frame"):
        start(shape=[16, 16])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB; only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.getuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("cannot mount a tmpfs here; test_a_file_size_limit covers the rest")
    yield folder
    subprocess.run(["umount", folder], check=True)


def check_full(armed: Armed, shape: tuple[int, int]) -> None:
    with pytest.raises(DiskFull, match=r"frames are safe") as caught:
        armed.wait(20)
    ledger = armed.ledger
    assert ledger is not None
    assert f"{ledger.written} frames are safe" in str(caught.value)
    assert 0 < ledger.written < 1000
    assert ledger.produced == ledger.written + ledger.missing_frames
    check_file(ledger, shape)


def test_a_full_disk_is_one_clear_error(start: Start, small_disk: Path) -> None:
    feeder, armed = start(frames=1000, shape=[128, 128], file=small_disk / "raw.h5")
    check_full(armed, feeder.feed.shape)


def test_a_file_size_limit_is_a_full_disk(start: Start) -> None:
    feeder, armed = start(frames=20, shape=[128, 128])
    armed.wait(20)
    psutil.Process(pid_of("file")).rlimit(psutil.RLIMIT_FSIZE, (12 * 2**20, 12 * 2**20))
    armed.job.file.unlink()
    feeder, armed = start(frames=1000, shape=[128, 128])
    check_full(armed, feeder.feed.shape)
    control._runner.kill("file")  # it would keep the limit


@pytest.mark.soak
def test_a_full_file_gets_its_account_from_a_console_that_takes_its_time(
    start: Start, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Supervisor._settle

    def settle_late(supervisor: Supervisor) -> None:
        time.sleep(0.5)  # a busy machine: meanwhile the writer has nothing to do, and would flush
        settle(supervisor)

    monkeypatch.setattr(Supervisor, "_settle", settle_late)
    feeder, armed = start(frames=1000, shape=[128, 128], file=small_disk / "raw.h5")
    check_full(armed, feeder.feed.shape)


def test_frames_that_no_node_ever_saw_are_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacements, "_STRIKES", 0)  # nobody is replaced
    produced = 90_000  # as a camera says that is asked when everything has failed
    feeder, armed = start(frames=100_000, period_s=0.005, end_detector=lambda: produced)
    await_written(armed, 20)
    os.kill(pid_of("intake"), signal.SIGKILL)
    with pytest.raises(NodeFailed, match="its actor died"):
        armed.wait(10)
    ledger = armed.ledger
    assert ledger is not None
    assert (ledger.produced, ledger.missing[-1].last) == (produced, produced - 1)
    check_file(ledger, feeder.feed.shape)


def test_a_graph_shows_feeds_back_and_tells(start: Start) -> None:
    graph = make_graph().dump()
    graph["nodes"] += [
        {"name": "steer", "kind": "feedback", "group": "console"},
        {"name": "look", "kind": "preview", "group": "console", "parameters": {"pixels": 384}},
        {"name": "tell", "kind": "documents", "group": "console"},
    ]
    graph["edges"] += [
        {"from": "region_sums", "to": "steer"},
        {"from": "camera", "to": "look", "policy": "latest"},
        {"from": "region_sums", "to": "tell"},
    ]
    rows: list[Row] = []
    heard: list[dict[str, Any]] = []
    leave, detach = control.feedback["steer"].subscribe(rows.append), notices.attach(heard.append)
    never = control.feedback["steer"].at(1000)
    try:
        feeder, armed = start(parse_graph(graph), frames=60)
        ledger = armed.wait(20)
    finally:
        leave()
        detach()
    assert ledger.written == 60
    assert [row.number for row in rows] == list(range(60))
    assert [row.values.tolist() for row in rows] == [
        [
            int(make_frame(n, feeder.feed.shape)[: r["height"] + r["y"]][r["y"] :, r["x"] : r["x"] + r["width"]].sum())
            for r in REGIONS
        ]
        for n in range(60)
    ]
    shown = [notice for notice in heard if notice["typ"] == "mdw/preview"]
    assert shown[-1]["number"] == 59
    assert np.array_equal(
        control.previews.find("look", "D.camera").image, make_small(make_frame(59, (32, 48)), 384, "max")[0]
    )
    documents = [(notice["name"], notice["doc"]) for notice in heard if notice["typ"] == "mdw/document"]
    assert [documents[0][0], documents[1][0], documents[-1][0]] == ["start", "descriptor", "stop"]
    assert [n for name, doc in documents if name == "event_page" for n in doc["seq_num"]] == list(range(1, 61))
    assert documents[-1][1]["exit_status"] == "success"
    assert heard[-1]["typ"] == "mdw/done"
    assert isinstance(never.exception(0), NodeFailed)
