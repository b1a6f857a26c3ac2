"""An acquisition that breaks says so and lets go of everything; no Tango."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mamba.data_worker.stream import FrameReceiver
from mamba.errors import StreamBroken
from tango_servers.camera import stream
from tango_servers.camera.model import Frame, FrameRenderer
from tango_servers.camera.stream import Acquisition, AcquisitionPlan
from tango_servers.truth import TruthRecord

SHAPE = (32, 48)


class BreakingRenderer(FrameRenderer):
    """Fails at frame 30."""

    def draw_into(self, frame: Frame, number: int) -> None:
        if number == 30:
            raise ValueError("no such frame")
        super().draw_into(frame, number)


def make_plan(directory: Path | None) -> AcquisitionPlan:
    return AcquisitionPlan(
        arm=1, frames=100, period_s=1e-4, policy="hold", transport="ring", shape=SHAPE, directory=directory
    )


def release_all(receiver: FrameReceiver) -> None:
    for block in receiver:
        receiver.release(block)


def test_a_broken_acquisition_ends_with_its_error() -> None:
    told = threading.Event()
    acquisition = Acquisition(make_plan(None), BreakingRenderer(SHAPE), TruthRecord(), told.set)
    receiver = FrameReceiver(acquisition.endpoint, acquisition.format)
    acquisition.start()
    assert acquisition.done.wait(5.0)
    assert told.wait(1.0)
    assert isinstance(acquisition.error, StreamBroken)
    assert "ValueError: no such frame" in str(acquisition.error)
    assert not acquisition.running
    with pytest.raises(StreamBroken, match="gone before the end"):
        release_all(receiver)
    receiver.close()
    acquisition.close()


def test_a_stream_that_cannot_be_opened_is_told_to_who_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no socket left")

    monkeypatch.setattr(stream, "FrameSender", refuse)
    with pytest.raises(StreamBroken, match="arm 1: failed\n  seen: OSError: no socket left"):
        Acquisition(make_plan(None), FrameRenderer(SHAPE), TruthRecord(), lambda: None)


@pytest.mark.parametrize(
    ("shape", "ring_mib", "slots"), [((1024, 1024), 64, 8), ((1024, 1024), 256, 32), ((4096, 4096), 8, 2)]
)
def test_the_ring_has_the_size_of_the_profile(shape: tuple[int, int], ring_mib: int, slots: int) -> None:
    plan = AcquisitionPlan(
        arm=1, frames=1, period_s=1.0, policy="hold", transport="ring", shape=shape, directory=None, ring_mib=ring_mib
    )
    assert plan.slots == slots
