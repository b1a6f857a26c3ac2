"""A detector process and a receiver, over the real ring and over real TCP."""

import time

import numpy as np
import pytest
import zmq

from mamba.data_worker.frame import Block, BlockType, End
from mamba.data_worker.stream import FrameReceiver, FrameSender
from mamba.errors import StreamBroken
from mamba.orphans import sweep_rings
from tests.support.frame_feeder import Feeder, make_frame

TRANSPORTS = pytest.mark.parametrize("transport", ["ring", "zmq"])


@TRANSPORTS
def test_every_frame_arrives_once_with_its_content(transport: str) -> None:
    with Feeder(transport=transport, frames=203, skip=[17, 50, 51]) as feeder:
        receiver = FrameReceiver(feeder.endpoint, feeder.format)
        feeder.start()
        seen = []
        for block in receiver:
            for number, frame in enumerate(receiver.frames(block), block.first):
                np.testing.assert_array_equal(frame, make_frame(number, feeder.feed.shape))
                seen.append(number)
            receiver.release(block)
        assert seen == [n for n in range(203) if n not in (17, 50, 51)]
        assert receiver.end == End(1, 203)
        receiver.close()


@TRANSPORTS
def test_a_sender_that_dies_is_a_broken_stream_after_what_it_sent(transport: str) -> None:
    with Feeder(transport=transport, frames=100, stop_after=40) as feeder:
        receiver = FrameReceiver(feeder.endpoint, feeder.format)
        feeder.start()
        blocks: list[Block] = []
        with pytest.raises(StreamBroken, match="sender is gone"):
            take_all(receiver, blocks)
        assert sum(block.count for block in blocks) == 40
        receiver.close()
    sweep_rings()  # as the next ring does: it took longer to end than the receiver to leave


def take_all(receiver: FrameReceiver, blocks: list[Block]) -> None:
    for block in receiver:
        blocks.append(block)
        receiver.release(block)


def make_sender(transport: str) -> FrameSender:
    return FrameSender(
        transport="ring" if transport == "ring" else "zmq",
        shape=(16, 16),
        dtype="uint16",
        arm=3,
        block_bytes=1024,
        slots=2,
    )


def await_block(sender: FrameSender) -> None:
    assert sender.reserve(3.0) is not None


@pytest.mark.alone
@TRANSPORTS
def test_back_pressure_is_a_slot_that_does_not_come(transport: str) -> None:
    sender = make_sender(transport)
    started = time.monotonic()
    assert sender.reserve(0.05) is None  # nobody there yet
    assert time.monotonic() - started < 1.0
    receiver = FrameReceiver(sender.endpoint, sender.format)
    for number in range(2):
        await_block(sender)
        sender.commit(number * 2, 2)
    assert sender.reserve(0.05) is None  # both slots are under way
    block = receiver.receive(3.0)
    while block is None:
        block = receiver.receive(3.0)
    assert isinstance(block, Block)
    receiver.release(block)
    await_block(sender)
    with pytest.raises(StreamBroken, match="cannot commit 3 frames"):
        sender.commit(4, 3)
    receiver.close()
    deadline = time.monotonic() + 3
    while not sender.broken and time.monotonic() < deadline:
        sender.reserve(0.05)
    assert sender.broken
    assert sender.reserve(10.0) is None  # at once: nobody will free a slot
    sender.close()
    sender.close()


def test_a_stranger_on_the_port_gets_nothing_and_disturbs_nothing() -> None:
    sender = make_sender("zmq")
    receiver = FrameReceiver(sender.endpoint, sender.format)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stranger = context.socket(zmq.DEALER)
    stranger.connect(sender.endpoint)
    stranger.send_multipart([Block(0, 0, 0, 0, type=BlockType.HELLO).pack(), b"guess"])
    stranger.send(b"garbage")
    await_block(sender)
    assert stranger.poll(100) == 0
    stranger.close(0)
    context.term()
    sender.commit(0, 2)
    deadline = time.monotonic() + 3
    while (block := receiver.receive(0.2)) is None:
        assert time.monotonic() < deadline
    assert isinstance(block, Block)
    assert not sender.broken
    receiver.close()
    sender.close()


def test_nobody_at_the_endpoint() -> None:
    sender = make_sender("ring")
    endpoint, form = sender.endpoint, sender.format
    sender.close()
    with pytest.raises(StreamBroken, match="nobody there"):
        FrameReceiver(endpoint, form, timeout_s=1.0)


def test_a_receiver_that_comes_after_the_end_is_told() -> None:
    sender = make_sender("ring")
    sender.end(7)  # a detector that dropped everything
    receiver = FrameReceiver(sender.endpoint, sender.format)
    deadline = time.monotonic() + 3
    while (item := receiver.receive(0.02)) is None:
        sender.reserve(0.0)
        assert time.monotonic() < deadline
    assert item == End(3, 7)
    receiver.close()
    sender.close()
