"""The camera with its real server, a real graph on Ray and a real file."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml
from bluesky import plan_stubs as bps
from bluesky import protocols
from bluesky.plans import count
from event_model import DocumentNames, schema_validators

from mamba.console.services import Services
from mamba.data_worker.building import node
from mamba.data_worker.control import load_graph, shutdown_ray
from mamba.data_worker.graph import parse_graph
from mamba.data_worker.python_text import write_python
from mamba.data_worker.status_table import GraphStatus
from mamba.devices import Camera, FrameSettings, graph
from mamba.errors import (
    BadValue,
    DataError,
    DeviceFault,
    GraphInvalid,
    MambaError,
    NodeFailed,
    StreamBroken,
    UnknownDevice,
)
from mamba.scans import next_row
from tango_servers.camera.model import render_frame
from tests.support.tango_facility import TangoFacility, running_facility, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "data-worker.md"
SHAPE = (64, 96)
NAME, SECOND = "test/camera/1", "test/camera/2"
GRAPH = """
name: small
nodes:
  - {name: camera, kind: stream, group: all}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: camera, to: file}
"""


@pytest.fixture(scope="module")
def camera_facility() -> Iterator[TangoFacility]:
    with tempfile.TemporaryDirectory(prefix="mb-dev-", dir="/tmp") as folder:
        Path(folder).chmod(0o700)
        with pytest.MonkeyPatch.context() as patch, running_facility(Path(folder)) as facility:
            patch.setenv("MAMBA_RUNTIME_DIR", folder)
            size = {"Width": SHAPE[1], "Height": SHAPE[0]}
            facility.register("Camera/test", {NAME: ("Camera", size), SECOND: ("Camera", size)})
            facility.start("Camera/test", "tango_servers.camera")
            yield facility
            shutdown_ray()


@pytest.fixture
def camera(camera_facility, tmp_path):
    graph = tmp_path / "graph.yaml"
    graph.write_text(GRAPH)
    camera = Camera(f"tango://{camera_facility.host}/{NAME}", name="D.camera", graph=graph, directory=tmp_path / "raw")
    camera.stage()
    yield camera
    camera.unstage()
    assert camera.state == "ON"
    camera.destroy()


def take(camera, frames, period_s=0.0):
    camera.prepare(FrameSettings(frames, exposure_s=1e-6, period_s=period_s)).wait(10)
    camera.kickoff().wait(40)
    camera.complete().wait(40)
    return camera.ledger


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


HALVES = """
name: halves
nodes:
  - {name: camera, kind: stream, group: all}
  - {name: left, kind: region_sums, group: all, parameters: {regions: [{name: a, x: 0, y: 0, width: 48, height: 64}]}}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: camera, to: left}
  - {from: left, to: file}
  - {from: camera, to: file}
"""


def test_a_graph_is_used_armed_started_and_watched(camera, tmp_path):
    file = tmp_path / "halves.yaml"
    file.write_text(HALVES)
    looked_at = graph(file)
    assert "used by no detector" in repr(looked_at)
    with pytest.raises(DataError, match="no detector uses it"):
        looked_at.start(frames=3)
    used = looked_at.use(camera)
    assert camera.graph == file
    assert used.status().state == "idle"
    with pytest.raises(DataError, match=r"nothing of D.camera is armed"):
        used.start()
    used.arm(frames=40, period_s=0.002)
    assert used.status().state == "armed"
    assert camera.state == "STANDBY"
    assert used.start().wait(40).written == 40
    status = graph(camera).status()
    assert (status.state, status.frames, status.written, status.missing, status.error) == ("done", 40, 40, 0, "")
    assert {node.name: node.rows for node in status.nodes if node.name != "file"} == {"camera": 40, "left": 40}
    assert GraphStatus.load(json.loads(json.dumps(status.as_data()))) == status
    assert "halves of D.camera: done, arm" in repr(status)
    with h5py.File(status.file) as h5:
        assert h5["/entry/data/left"].shape == (40, 1)


STEERED = """
name: steered
nodes:
  - {name: camera, kind: stream, group: all}
  - {name: left, kind: region_sums, group: all, parameters: {regions: [{name: a, x: 0, y: 0, width: 48, height: 64}]}}
  - {name: steer, kind: feedback, group: all}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: camera, to: left}
  - {from: left, to: steer}
  - {from: camera, to: file}
"""


def test_a_plan_waits_for_what_a_node_says(camera, tmp_path, run):
    file = tmp_path / "steered.yaml"
    file.write_text(STEERED)
    used = graph(file, camera)
    with pytest.raises(GraphInvalid, match="node 'left' says nothing to the console\n  seen: feedback nodes: steer"):
        used["left"]
    rows = []

    def steered():
        yield from bps.stage(camera)
        yield from bps.open_run()
        yield from bps.prepare(camera, {"frames": 40, "period_s": 0.01}, wait=True)
        yield from bps.kickoff(camera, wait=True)
        rows.append((yield from next_row(used["steer"])))
        rows.append((yield from next_row(used["steer"], number=30)))
        with pytest.raises(NodeFailed, match="the arm ended before the row came"):
            yield from next_row(used["steer"], number=1000)
        yield from bps.complete(camera, wait=True)
        with pytest.raises(DataError, match=r"node 'steer': no row within 0.2 s"):
            yield from next_row(used["steer"], timeout_s=0.2)
        yield from bps.close_run()
        yield from bps.unstage(camera)

    run(steered())
    assert rows[0].number < rows[1].number == 30
    for row in rows:
        assert row.values[0] == render_frame(row.number, SHAPE)[:, :48].sum(dtype="u8")
    assert used["steer"].latest.number == 39
    names = {"D": SimpleNamespace(camera=camera), "G": used, "bps": bps, "next_row": next_row}
    exec(re.search(r"```python\n(def until_bright.*?)```", PAGE.read_text(), re.DOTALL)[1], names)
    run(names["until_bright"](frames=3000, enough=1.0))
    assert 0 < camera.ledger.written < 3000


TWO = """
name: two
nodes:
  - {name: one, kind: stream, group: all}
  - {name: other, kind: stream, group: all}
  - {name: both, kind: expression, group: all, parameters: {formula: one + other}}
  - {name: sums, kind: region_sums, group: all, parameters: {regions: [{name: a, x: 0, y: 0, width: 9, height: 9}]}}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: one, to: both}
  - {from: other, to: both}
  - {from: both, to: sums}
  - {from: one, to: file}
  - {from: sums, to: file}
"""


def test_two_cameras_are_joined_by_frame_number(camera, camera_facility, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(TWO)
    tango = f"tango://{camera_facility.host}/{SECOND}"
    second = Camera(tango, name="D.second", graph=camera.graph, directory=tmp_path)
    try:
        with pytest.raises(GraphInvalid, match=r"each stream node takes one camera\n  seen: stream nodes: one, other"):
            graph(file, camera)
        used = graph(file, camera, other=second)
        second.prepare({"frames": 3000, "period_s": 0.005}).wait(10)
        second.link.call("Arm")
        with pytest.raises(DeviceFault, match=r"D.second: cannot be armed with another"):
            used.start(frames=25)
        assert second.state == "STANDBY", "what it was armed for is left alone"
        second.link.call("Abort")
        second.period_s.put(0.0)
        ledger = used.start(frames=25).wait(40)
        assert (ledger.produced, ledger.written, ledger.missing) == (25, 25, ())
        with h5py.File(ledger.files[0]) as h5:
            wanted = [2 * render_frame(number, SHAPE)[:9, :9].sum(dtype="u8") for number in range(25)]
            assert list(h5["/entry/data/sums"][:, 0]) == wanted
        used.start(frames=3000, period_s=0.005)
        wait_until(lambda: used.status().written > 5, what="frames")
        assert 5 < used.stop().written < 3000
        wait_until(lambda: (camera.state, second.state) == ("ON", "ON"), what="both at rest")
        used.arm(frames=3)
        used.stop()
        wait_until(lambda: (camera.state, second.state) == ("ON", "ON"), what="both at rest")
    finally:
        second.destroy()


REPLAY = """
name: replay
nodes:
  - {name: again, kind: hdf5_replay, group: all, parameters: {file: FILE, rate: RATE}}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: again, to: file}
"""


def test_a_graph_with_its_own_sources_is_started_watched_and_stopped(camera, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = take(camera, 30)
    file = tmp_path / "replay.yaml"
    file.write_text(REPLAY.replace("FILE", str(ledger.files[0])).replace("RATE", "0"))
    used = graph(file)
    assert "has its own sources, idle" in repr(used)
    with pytest.raises(DataError, match="its sources begin as soon as it is armed"):
        used.arm(frames=30)
    with pytest.raises(BadValue, match="its sources take no times"):
        used.start(frames=30, exposure_s=0.1)
    with pytest.raises(BadValue, match="cannot take None frames"):
        used.start()
    assert used.start(frames=30).wait(40).written == 30
    assert (used.status().device, used.status().state, used.status().written) == ("replay", "done", 30)
    with h5py.File(used.status().file) as h5:
        np.testing.assert_array_equal(h5["/entry/data/frames"][17], render_frame(17, SHAPE))
    services = Services(lambda: {"M": {}, "D": {"camera": camera}})
    try:
        assert {each["device"] for each in services.call("graph/list", {})} >= {"D.camera", "replay"}
        assert services.call("graph/status", {"path": "replay"})["written"] == 30
    finally:
        services.close()
    file.write_text(REPLAY.replace("FILE", str(ledger.files[0])).replace("RATE", "5"))
    used.start(frames=30)
    with pytest.raises(DataError, match="replay is running"):
        graph(file).start(frames=30)
    wait_until(lambda: used.status().written > 1, what="frames")
    assert 1 < graph(file).stop().written < 30
    file.write_text(REPLAY.replace("FILE", str(tmp_path / "nowhere.h5")).replace("RATE", "5"))
    with pytest.raises(MambaError, match=r"nowhere\.h5"):
        graph(file).start(frames=30).wait(40)
    assert used.status().state == "failed"
    assert "nowhere.h5" in used.status().error


def test_a_graph_is_stopped_by_whoever_asks(camera):
    used = graph(camera)
    assert used.stop() is None
    used.start(frames=3000, period_s=0.005)
    with pytest.raises(DataError, match=r"D.camera is running"):
        graph(camera).start(frames=5)
    wait_until(lambda: used.status().written > 5, what="frames")
    ledger = graph(camera).stop()
    assert 5 < ledger.written == ledger.produced < 3000
    used.arm(frames=3)
    assert graph(camera).stop() is None
    wait_until(lambda: camera.state == "ON", what="the camera at rest")


def test_a_graph_that_does_not_fit_is_not_used(camera, tmp_path):
    before, file = camera.graph, tmp_path / "halves.yaml"
    file.write_text(HALVES.replace("width: 48", "width: 480"))
    with pytest.raises(GraphInvalid, match=r"halves.yaml line 5: node 'left': region 'a' reaches beyond the frame"):
        graph(file, camera)
    assert camera.graph == before
    with pytest.raises(BadValue, match="is no camera"):
        graph(before).use("D.camera")
    counting = tmp_path / "counting.py"
    text = write_python(load_graph(before))
    counting.write_text(f"with open({str(tmp_path / 'count')!r}, 'a') as f:\n    f.write('x')\n{text}")
    used = graph(counting, camera)
    assert [used.status().graph, graph(camera).status().state, repr(used)[:5]] == ["small", "idle", "small"]
    executed = (tmp_path / "count").read_text()
    used.status()
    assert (tmp_path / "count").read_text() == executed, "who looks executes nothing"
    built = node("stream", name="camera") >> node("hdf5", name="file")
    assert graph(built, camera).start(frames=5).wait(40).written == 5


def test_windows_ask_about_graphs(camera, tmp_path):
    services = Services(lambda: {"M": {}, "D": {"camera": camera}})
    try:
        assert services.call("graph/status", {}) == services.call("graph/status", {"path": "D.camera"})
        (listed,) = services.call("graph/list", {})
        assert (listed["device"], listed["graph"], listed["state"]) == ("D.camera", "small", "idle")
        described = services.call("graph/describe", {})
        assert [each["name"] for each in described["nodes"]] == ["camera", "file"]
        answer = services.call("graph/validate", {"graph": HALVES, "path": "D.camera", "rate": 10})
        assert answer["valid"]
        assert answer["edges"][2] == {
            "from": "camera", "to": "file", "shape": list(SHAPE), "dtype": "uint16", "rows_per_s": 10.0,
            "bytes_per_s": 10.0 * 2 * SHAPE[0] * SHAPE[1],
        }  # fmt: skip
        wrong = yaml.safe_load(HALVES.replace("width: 48", "width: 480"))
        answer = services.call("graph/validate", {"graph": wrong, "path": "D.camera"})
        assert (answer["valid"], answer["location"]) == (False, ["nodes", 1])
        assert "reaches beyond the frame" in answer["error"]
        assert services.call("graph/validate", {"graph": wrong})["valid"], "without a camera shapes are not known"
        answer = services.call("graph/validate", {"graph": HALVES.replace("hdf5", "hdf")})
        assert answer["location"] == ["nodes", 2, "kind"]
        assert {"stream", "region_sums", "hdf5"} <= {page["kind"] for page in services.call("graph/kinds", {})}
        with pytest.raises(UnknownDevice, match=r"D.other: has no graph"):
            services.call("graph/status", {"path": "D.other"})
    finally:
        services.close()


def test_a_screen_is_added_while_the_camera_runs(camera):
    used = graph(camera)
    before = used.graph.dump()
    with pytest.raises(DataError, match=r"nothing of D.camera runs"):
        used.change(parse_graph(before))
    used.start(frames=3000, period_s=0.005)
    wait_until(lambda: used.status().written > 5, what="frames")
    source = before["nodes"][0]["name"]
    after = {
        **before,
        "nodes": [*before["nodes"], {"name": "screen", "kind": "preview"}],
        "edges": [*before["edges"], {"from": source, "to": "screen", "policy": "latest"}],
    }
    used = used.change(parse_graph(after))
    wait_until(lambda: {n.name: n.rows for n in used.status().nodes}.get("screen", 0) > 3, what="pictures")
    ledger = used.stop()
    assert ledger.written == ledger.produced > 5
    assert any("graph changed: + screen" in note for note in ledger.notes)
    graph(parse_graph(before), camera)
