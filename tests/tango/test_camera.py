"""The camera through Tango, and its frames through the data stream, compared pixel by pixel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import tango
from tango import DevState

from mamba.data_worker.frame import Block
from mamba.data_worker.stream import FrameReceiver
from tango_servers.camera.model import reduce_preview, render_frame
from tests.support.tango_events import collect_events
from tests.support.tango_facility import TangoFacility, wait_until
from tests.tango.conftest import CAMERA_SERVER, refusal, wait_for_state

SHAPE = (128, 160)
TRANSPORTS = {"ring": 0, "zmq": 1}
POLICIES = {"hold": 0, "drop": 1}


@pytest.fixture
def camera(camera_server: TangoFacility) -> Iterator[tango.DeviceProxy]:
    device = camera_server.device("vbl/camera/1")
    device.Abort()
    yield set_up(device)
    device.Abort()


def set_up(
    device: tango.DeviceProxy,
    *,
    frames: int = 500,
    policy: str = "hold",
    transport: str = "ring",
    period_s: float = 0.0,
) -> tango.DeviceProxy:
    device.ExposureTime = 1e-4
    device.AcquisitionPeriod = period_s
    device.FramesRequested = frames
    device.OverflowPolicy = POLICIES[policy]
    device.Transport = TRANSPORTS[transport]
    return device


@contextmanager
def armed_receiver(camera: tango.DeviceProxy) -> Iterator[FrameReceiver]:
    camera.Arm()
    receiver = FrameReceiver(camera.DataEndpoint, camera.DataFormat)
    try:
        yield receiver
    finally:
        receiver.close()


def receive_all(receiver: FrameReceiver) -> list[int]:
    """Numbers of all frames that came; each is compared with what it must be."""
    numbers: list[int] = []
    for block in receiver:
        for index, frame in enumerate(receiver.frames(block)):
            np.testing.assert_array_equal(frame, render_frame(block.first + index, SHAPE))
        numbers += range(block.first, block.first + block.count)
        receiver.release(block)
    return numbers


def receive_one(receiver: FrameReceiver) -> Block:
    """The first block."""
    return wait_until(lambda: cast(Block | None, receiver.receive(0.1)), what="a block")


def last_acts(facility: TangoFacility, arm: int) -> list[dict[str, object]]:
    lines = (facility.truth / "Camera-test.jsonl").read_text().splitlines()
    return [act for act in map(json.loads, lines) if act.get("arm") == arm]


@pytest.mark.parametrize("transport", ["ring", "zmq"])
def test_hold_loses_nothing(camera: tango.DeviceProxy, camera_server: TangoFacility, transport: str) -> None:
    set_up(camera, transport=transport)
    arm = camera.ArmId
    with collect_events(camera, "State") as states, armed_receiver(camera) as receiver:
        assert camera.State() == DevState.STANDBY
        assert camera.ArmId == arm + 1
        camera.Start()
        assert receive_all(receiver) == list(range(500))
        assert receiver.end.produced == 500
        states.wait_for(DevState.STANDBY, DevState.RUNNING, DevState.ON)
    assert (camera.FramesProduced, camera.FramesSent, camera.FramesDropped) == (500, 500, 0)
    assert camera.DataEndpoint == ""
    acts = last_acts(camera_server, arm + 1)
    assert sum(int(str(act["count"])) for act in acts if act["act"] == "block") == 500
    assert [acts[-1][key] for key in ("act", "produced", "sent", "dropped", "aborted")] == [
        "disarm",
        500,
        500,
        0,
        False,
    ]


@pytest.mark.parametrize("transport", ["ring", "zmq"])
def test_drop_counts_what_it_drops(camera: tango.DeviceProxy, transport: str) -> None:
    set_up(camera, frames=3000, policy="drop", transport=transport)
    with armed_receiver(camera) as receiver:
        camera.Start()
        # Nothing is released while the camera runs: the slots run out.
        wait_until(lambda: camera.FramesDropped > 0, what="frames are dropped")
        numbers = receive_all(receiver)
        wait_for_state(camera, DevState.ON)
    assert receiver.end.produced == camera.FramesProduced == 3000
    assert len(numbers) == camera.FramesSent
    assert camera.FramesSent + camera.FramesDropped == 3000
    assert numbers == sorted(set(numbers))


def test_drop_without_any_receiver_drops_all(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=50, policy="drop")
    camera.Arm()
    camera.Start()
    wait_for_state(camera, DevState.ON)
    assert (camera.FramesProduced, camera.FramesSent, camera.FramesDropped) == (50, 0, 50)


@pytest.mark.soak
@pytest.mark.alone
def test_the_period_is_kept_on_average(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=251, period_s=0.002)
    with armed_receiver(camera) as receiver:
        camera.Start()
        first = receive_one(receiver)
        receiver.release(first)
        began = time.monotonic() - 0.002 * first.count
        receive_all(receiver)
        assert (time.monotonic() - began) / 251 == pytest.approx(0.002, rel=0.05)


@pytest.mark.soak
@pytest.mark.alone
def test_a_held_camera_does_not_hurry_afterwards(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=3500, period_s=0.0002)
    with armed_receiver(camera) as receiver:
        camera.Start()
        wait_until(lambda: "waits for its receiver" in camera.Status(), what="held")
        sent = camera.FramesSent
        time_held = time.monotonic()
        numbers = receive_all(receiver)
    assert len(numbers) == 3500
    assert time.monotonic() - time_held > 0.7 * (3500 - sent) * 0.0002


@pytest.mark.alone
def test_abort_while_it_waits_for_credits(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=0)
    with armed_receiver(camera) as receiver:
        camera.Start()
        wait_until(lambda: "waits for its receiver" in camera.Status(), what="held")
        began = time.monotonic()
        camera.Abort()
        assert time.monotonic() - began < 0.2
        assert camera.State() == DevState.ON
        receive_one(receiver)
    assert camera.FramesDropped == 0
    assert camera.FramesProduced == camera.FramesSent


@pytest.mark.alone
@pytest.mark.parametrize("policy", ["hold", "drop"])
@pytest.mark.parametrize("transport", ["ring", "zmq"])
def test_a_receiver_that_vanishes(camera: tango.DeviceProxy, policy: str, transport: str) -> None:
    set_up(camera, frames=0, policy=policy, transport=transport, period_s=0.001)
    with armed_receiver(camera) as receiver:
        camera.Start()
        receive_one(receiver)
    if policy == "hold":
        wait_until(lambda: "waits for its receiver" in camera.Status(), what="held")
        assert camera.FramesDropped == 0
    else:
        wait_until(lambda: camera.FramesDropped > 20, what="drops")
    assert camera.State() == DevState.RUNNING
    began = time.monotonic()
    camera.Abort()
    assert time.monotonic() - began < 0.2
    assert camera.State() == DevState.ON
    set_up(camera, frames=20)
    with armed_receiver(camera) as receiver:
        camera.Start()
        assert receive_all(receiver) == list(range(20))


def test_stop_finishes_early_and_cleanly(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=0, period_s=0.001)
    with armed_receiver(camera) as receiver:
        camera.Start()
        wait_until(lambda: camera.FramesSent > 30, what="runs")
        camera.Stop()
        numbers = receive_all(receiver)
        assert numbers == list(range(receiver.end.produced))
        wait_for_state(camera, DevState.ON)


def test_stop_before_start_ends_the_stream_empty(camera: tango.DeviceProxy) -> None:
    with armed_receiver(camera) as receiver:
        camera.Stop()
        assert receive_all(receiver) == []
        assert receiver.end.produced == 0
        wait_for_state(camera, DevState.ON)


def test_wrong_commands_are_refused_with_what_to_do(camera: tango.DeviceProxy) -> None:
    with pytest.raises(tango.DevFailed) as failure:
        camera.Start()
    assert refusal(failure)[0] == "API_CommandNotAllowed"
    assert "call Arm first" in refusal(failure)[1]
    camera.Arm()
    for refused in (camera.Arm, lambda: setattr(camera, "FramesRequested", 3)):
        with pytest.raises(tango.DevFailed) as failure:
            refused()
        assert refusal(failure)[0] == "API_CommandNotAllowed"
        assert "it is armed" in refusal(failure)[1]
    camera.Abort()
    camera.AcquisitionPeriod = 0.01
    camera.ExposureTime = 0.02
    with pytest.raises(tango.DevFailed, match="longer than AcquisitionPeriod"):
        camera.Arm()
    assert camera.State() == DevState.ON


def test_preview_and_counters_are_pushed(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=600, period_s=0.001)
    with (
        collect_events(camera, "Preview") as previews,
        collect_events(camera, "FramesProduced") as produced,
        armed_receiver(camera) as receiver,
    ):
        camera.Start()
        receive_all(receiver)
        wait_for_state(camera, DevState.ON)
        produced.wait_for(600)
    assert 3 <= len(previews.seen) <= 8  # 0.6 s at ten a second
    numbers = [int(preview[0, :4].astype("<u2").view("<u8")[0]) for preview in previews.values]
    assert numbers == sorted(numbers)
    np.testing.assert_array_equal(previews.values[-1], reduce_preview(render_frame(numbers[-1], SHAPE)))
    assert len(produced.values) <= 6


def test_frame_rate_is_told_while_it_runs(camera: tango.DeviceProxy) -> None:
    set_up(camera, frames=0, policy="drop", period_s=0.002)
    with armed_receiver(camera) as receiver:
        camera.Start()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            block = receiver.receive(0.1)
            if block is not None:
                receiver.release(block)  # type: ignore[arg-type]  # no end yet
        assert camera.FrameRate == pytest.approx(500, rel=0.15)
        camera.Abort()
    assert camera.FrameRate == 0.0


def test_init_and_sigterm_free_the_shared_memory(camera: tango.DeviceProxy, camera_server: TangoFacility) -> None:
    def own_rings() -> list[Path]:
        pid = camera_server.servers[CAMERA_SERVER[0]].pid
        return list(Path("/dev/shm").glob(f"mamba-{pid}-*"))

    set_up(camera, frames=0)
    arm = camera.ArmId
    camera.Arm()
    assert own_rings()
    camera.Init()
    assert camera.State() == DevState.ON
    wait_until(lambda: not own_rings(), what="freed")
    camera.Arm()
    camera.Start()
    pid_rings = own_rings()
    began = time.monotonic()
    assert camera_server.stop(CAMERA_SERVER[0]) == 0
    assert time.monotonic() - began < 3.0
    assert not any(ring.exists() for ring in pid_rings)
    assert not list((camera_server.folder / "mdw").iterdir())
    camera_server.start(*CAMERA_SERVER)
    assert camera.ArmId == arm + 2  # no arm has the number of another, not even of a server before
    assert camera.FramesRequested == 0
