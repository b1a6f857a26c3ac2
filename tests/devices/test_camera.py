"""The camera with its real server, a real graph on Ray and a real file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import protocols
from bluesky.plans import count
from event_model import DocumentNames, schema_validators

from mamba.errors import (
    BadValue,
    DeviceFault,
    GraphInvalid,
    MambaError,
    StreamBroken,
)
from tango_servers.camera.model import render_frame
from tests.devices.support.cameras import GRAPH, SHAPE, take
from tests.support.tango_facility import wait_until


def acquire(camera, frames):
    yield from bps.stage(camera)
    yield from bps.open_run()
    yield from bps.prepare(camera, {"frames": frames}, wait=True)
    yield from bps.declare_stream(camera, name="frames", collect=True)
    yield from bps.kickoff(camera, wait=True)
    yield from bps.complete(camera, wait=True)
    yield from bps.collect(camera, name="frames")
    yield from bps.close_run()
    yield from bps.unstage(camera)


def test_every_frame_is_in_the_file(camera):
    ledger = take(camera, 200)
    assert (ledger.produced, ledger.written, ledger.missing) == (200, 200, ())
    dataset = ledger.datasets["frames"]
    assert dataset.shape == (200, *SHAPE)
    assert Path(dataset.file).parent == camera.directory
    assert Path(dataset.file).name == "camera_00001.h5"
    with h5py.File(dataset.file) as file:
        for number in (0, 17, 199):
            np.testing.assert_array_equal(file[dataset.path][number], render_frame(number, SHAPE))
    values = {key: entry["value"] for key, entry in camera.read().items()}
    assert values["D_camera_frames_written"] == values["D_camera_frames_produced"] == 200
    assert values["D_camera_frames_missing"] == 0
    assert values["D_camera_file"] == str(dataset.file)
    assert set(camera.read()) == set(camera.describe())


def test_a_camera_whose_frames_are_in_the_file_is_waited_for_until_it_takes_the_next_arm(camera):
    usual = camera.overflow_policy.get()
    camera.overflow_policy.put("drop")  # nobody reads
    camera.prepare({"frames": 50, "period_s": 0.01}).wait(10)
    camera.link.call("Arm")
    camera.link.call("Start")
    camera.await_rest()
    assert camera.state == "ON"
    assert camera.link.read("FramesProduced")["FramesProduced"].value == 50
    camera.link.call("Arm")  # is taken
    camera.link.call("Abort")
    camera.overflow_policy.put(usual)


def test_a_camera_that_never_comes_to_rest_is_aborted(camera, caplog):
    camera.link.call("Arm")
    camera.await_rest()
    assert camera.state == "ON"
    assert "D.camera: did not come to rest in 5 s, aborted" in caplog.text.replace(camera.link.name, "D.camera")


def test_progress_is_reported(camera):
    camera.prepare({"frames": 60, "period_s": 0.02}).wait(10)
    camera.kickoff().wait(40)
    status = camera.complete()
    seen = []
    status.watch(lambda **progress: seen.append(progress))
    status.wait(40)
    assert seen
    assert all(progress["target"] == 60 and 0 <= progress["fraction"] <= 1 for progress in seen)


def test_it_follows_bluesky_protocols(camera):
    for protocol in ("Flyable", "Preparable", "Stageable", "Collectable", "WritesStreamAssets", "Readable"):
        assert isinstance(camera, getattr(protocols, protocol)), protocol


def test_a_run_names_the_file_in_stream_documents(camera, run):
    documents = run(acquire(camera, 30))
    by_name = dict(documents)
    assert by_name["descriptor"]["data_keys"]["D_camera"]["shape"] == [1, *SHAPE]
    assert by_name["descriptor"]["data_keys"]["D_camera"]["dtype_numpy"] == "<u2"
    resource, datum = by_name["stream_resource"], by_name["stream_datum"]
    assert resource["mimetype"] == "application/x-hdf5"
    assert resource["data_key"] == "D_camera"
    path = Path(resource["uri"].removeprefix("file://localhost"))
    with h5py.File(path) as file:
        assert file[resource["parameters"]["dataset"]].shape == (30, *SHAPE)
    assert datum["indices"] == {"start": 0, "stop": 30}
    assert by_name["stop"]["exit_status"] == "success"
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)


def test_a_counting_plan_records_the_counts_and_the_file(camera, run):
    camera.prepare({"frames": 4}).wait(10)
    documents = run(count([camera], num=2))
    events = [document["data"] for name, document in documents if name == "event"]
    assert [event["D_camera_frames_written"] for event in events] == [4, 4]
    assert [Path(event["D_camera_file"]).name for event in events] == ["camera_00001.h5", "camera_00002.h5"]


def test_stop_with_success_keeps_the_frames_so_far(camera):
    camera.prepare({"frames": 100_000, "period_s": 0.01}).wait(10)
    camera.kickoff().wait(40)
    status = camera.complete()
    wait_until(lambda: camera.get_index() >= 5, what="frames are written")
    camera.stop(success=True)
    status.wait(20)
    assert 5 <= camera.ledger.written == camera.ledger.produced < 100_000


def test_abort_brings_camera_and_graph_to_rest(camera):
    camera.prepare({"frames": 100_000, "period_s": 0.01}).wait(10)
    camera.kickoff().wait(40)
    status = camera.complete()
    wait_until(lambda: camera.get_index() >= 5, what="frames are written")
    camera.stop()
    with pytest.raises(MambaError):
        status.wait(20)
    assert camera.state == "ON"
    ledger = camera.ledger
    assert ledger.written >= 5
    assert ledger.produced == ledger.written + sum(gap.frames for gap in ledger.missing)


def test_somebody_else_stopping_the_camera_is_told(camera):
    camera.prepare({"frames": 100_000, "period_s": 0.01}).wait(10)
    camera.kickoff().wait(40)
    status = camera.complete()
    wait_until(lambda: camera.get_index() >= 5, what="frames are written")
    camera.link.call("Stop")
    with pytest.raises(StreamBroken, match=r"D\.camera: ended early\n  seen: \d+ of 100000 frames"):
        status.wait(20)
    assert camera.ledger.written > 0


def test_unstaging_while_it_is_armed_starts_nothing(camera):
    camera.prepare({"frames": 100_000, "period_s": 0.01}).wait(10)
    status = camera.kickoff()
    camera.unstage()
    with pytest.raises(MambaError, match=r"D\.camera"):
        status.wait(40)
    assert camera.state == "ON"


@pytest.mark.parametrize("frames", [0, -1, 1.5, True])
def test_a_number_of_frames_that_makes_no_sense_is_refused(camera, frames):
    with pytest.raises(BadValue, match=r"D\.camera: cannot take"):
        camera.prepare({"frames": frames})


def test_nothing_to_complete_is_told(camera):
    with pytest.raises(DeviceFault, match=r"D\.camera: nothing to complete"):
        camera.complete().wait(5)


def test_a_graph_that_cannot_be_used_leaves_the_camera_at_rest(camera):
    camera.graph.write_text(GRAPH.replace("kind: hdf5", "kind: hdf6"))
    camera.prepare({"frames": 3}).wait(10)
    with pytest.raises(GraphInvalid):
        camera.kickoff().wait(40)
    assert camera.state == "ON"
