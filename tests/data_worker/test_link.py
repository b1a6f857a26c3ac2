"""Who may read an edge: a reader that got no answer in time comes again, as on a busy machine."""

import threading
import time
from pathlib import Path

import pytest

from mamba.data_worker.frame import Block, DataFormat
from mamba.data_worker.link import LinkReceiver, LinkSender
from mamba.errors import StreamBroken
from tests.support.threads import run_beside


@pytest.mark.parametrize("endpoint", ["unix://{}/e", "tcp://127.0.0.1:*"])
def test_a_reader_that_gave_up_before_the_answer_may_come_again(tmp_path: Path, endpoint: str) -> None:
    sender = LinkSender(endpoint.format(tmp_path), DataFormat((4,), "uint16", "zmq", token="secret"))
    done = threading.Event()

    def answer() -> None:
        while not done.is_set():
            sender.collect(0.05)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        for patience_us in (*range(200, 20_000, 100), 20_000_000):
            try:
                LinkReceiver(sender.endpoint, token="secret", timeout_s=patience_us / 1e6).close()
                break
            except StreamBroken:
                assert patience_us < 20_000_000, "it is never answered again"
    finally:
        done.set()
        thread.join()
        sender.close()


@pytest.mark.parametrize("endpoint", ["unix://{}/e", "tcp://127.0.0.1:*"])
def test_a_reader_that_left_is_not_taken_for_a_killed_one(tmp_path: Path, endpoint: str) -> None:
    sender = LinkSender(endpoint.format(tmp_path), DataFormat((4,), "uint16", "zmq", token="secret"))
    with run_beside(lambda: _await_reader(sender)):
        receiver = LinkReceiver(sender.endpoint, token="secret")
    blocks = [Block(1, number, number, 1) for number in range(3)]
    for block in blocks[:2]:
        sender.send(block, bytes(8))
    receiver.receive(5.0, lambda _: memoryview(bytearray(8)))
    receiver.release(blocks[0])
    receiver.close()
    sender.send(blocks[2], bytes(8))  # and finds nobody, before it has heard the last words
    released: list[int] = []
    deadline = time.monotonic() + 5
    while not sender.broken and time.monotonic() < deadline:
        released += [block.block for block in sender.collect(0.05)]
    assert sender.broken
    assert sorted(released) == [0, 1, 2]
    sender.close()


def _await_reader(sender: LinkSender) -> None:
    while not sender.connected:
        sender.collect(0.05)
