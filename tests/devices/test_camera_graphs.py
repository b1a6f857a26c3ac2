"""Graphs that a camera or several are given: used, watched, stopped and changed, with real servers and a real Ray."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import yaml
from bluesky import plan_stubs as bps

from mamba.console.services import Services
from mamba.data_worker.building import node
from mamba.data_worker.control import load_graph
from mamba.data_worker.graph import parse_graph
from mamba.data_worker.python_text import write_python
from mamba.data_worker.status_table import GraphStatus
from mamba.devices import Camera, graph
from mamba.errors import (
    BadValue,
    DataError,
    DeviceFault,
    GraphInvalid,
    MambaError,
    NodeFailed,
    UnknownDevice,
)
from mamba.scans import next_row
from tango_servers.camera.model import render_frame
from taurus_gui.command_text import parameters_command
from tests.devices.support.cameras import GRAPH, SECOND, SHAPE, take
from tests.support.tango_facility import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "data-worker.md"

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
    assert used.start(frames=30).wait().written == 30
    assert (used.status().device, used.status().state, used.status().written) == ("replay", "done", 30)
    with h5py.File(used.status().file) as h5:
        np.testing.assert_array_equal(h5["/entry/data/frames"][17], render_frame(17, SHAPE))
    services = Services(lambda: {"M": {}, "D": {"camera": camera}})
    try:
        assert {each["device"] for each in services.call("graph/list", {})} >= {"D.camera", "replay"}
        assert services.call("graph/status", {"path": "replay"})["written"] == 30
    finally:
        services.close()
    with pytest.raises(GraphInvalid, match="takes the frames of a camera"):
        used.camera.use_graph(parse_graph(GRAPH))
    used.set_parameters("again", rate=5.0).start(frames=30)
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
        nodes = services.call("graph/status", {})["nodes"]
        assert [(each["name"], each["kind"], each["state"], each["rows"]) for each in nodes] == [
            ("camera", "stream", "idle", 0),
            ("file", "hdf5", "idle", 0),
        ]
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
        (page,) = services.call("graph/kinds", {"kind": "preview"})
        assert page["parameters"]["properties"]["rate"]["maximum"] == 25
        with pytest.raises(GraphInvalid, match=r"node kind 'previw': unknown\n.*did you mean 'preview'"):
            services.call("graph/kinds", {"kind": "previw"})
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


SHOWN = """
name: shown
nodes:
  - {name: camera, kind: stream, group: all}
  - {name: left, kind: region_sums, group: all, parameters: {regions: [{name: a, x: 0, y: 0, width: 48, height: 64}]}}
  - {name: screen, kind: preview, parameters: {rate: 1}}
  - {name: file, kind: hdf5, group: all}
edges:
  - {from: camera, to: left}
  - {from: left, to: file}
  - {from: camera, to: file}
  - {from: camera, to: screen, policy: latest}
"""


def test_a_node_gets_other_parameters_for_the_next_acquisition(camera, tmp_path):
    file = tmp_path / "shown.yaml"
    file.write_text(SHOWN)
    with pytest.raises(DataError, match="no detector uses it"):
        graph(file).set_parameters("screen", rate=2)
    used = graph(file, camera)
    regions = [{"name": name, "x": 0, "y": 0, "width": 8, "height": 8} for name in ("a", "b")]
    assert used.set_parameters("left", regions=regions) is used
    assert used.graph == graph(camera).graph
    with pytest.raises(GraphInvalid, match=r"node 'left': region 'a' reaches beyond the frame") as refused:
        graph(camera).set_parameters("left", regions=[{**regions[0], "width": 480}])
    assert len(str(refused.value).splitlines()) <= 5
    command = parameters_command("D.camera", "screen", {"pixels": 400})  # as the window writes it
    eval(command, {"graph": graph, "D": SimpleNamespace(camera=camera)})
    used.start(frames=20)
    assert used.wait(40).written == 20
    with h5py.File(used.status().file) as h5:
        assert h5["/entry/data/left"].shape == (20, 2)
    assert graph(camera).graph.node("screen").parameters == {"rate": 1, "pixels": 400}
    assert file.read_text() == SHOWN
    assert graph(file, camera).graph.node("screen").parameters == {"rate": 1}


def test_a_node_gets_other_parameters_while_the_camera_runs(camera, tmp_path):
    file = tmp_path / "shown.yaml"
    file.write_text(SHOWN)
    used = graph(file, camera).start(frames=3000, period_s=0.005)
    wait_until(lambda: used.status().written > 5, what="frames")
    with pytest.raises(GraphInvalid, match=r"cannot change now: node 'left' would be another\n.*until the arm ends"):
        used.set_parameters("left", regions=[{"name": "b", "x": 0, "y": 0, "width": 8, "height": 8}])
    assert camera.graph == file
    used.set_parameters("screen", rate=20.0)
    wait_until(lambda: {n.name: n.rows for n in used.status().nodes}.get("screen", 0) > 3, what="pictures")
    ledger = graph(camera).stop()
    assert ledger.written == ledger.produced > 5
    assert any("graph changed: - screen + screen" in note for note in ledger.notes)
    assert graph(camera).graph.node("screen").parameters == {"rate": 20.0}
