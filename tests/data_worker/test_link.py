"""Who may read an edge: a reader that got no answer in time comes again, as on a busy machine."""

import threading
from pathlib import Path

import pytest

from mamba.data_worker.frame import DataFormat
from mamba.data_worker.link import LinkReceiver, LinkSender
from mamba.errors import StreamBroken


@pytest.mark.parametrize("scheme", ["unix", "ipc"])
def test_a_reader_that_gave_up_before_the_answer_may_come_again(tmp_path: Path, scheme: str) -> None:
    sender = LinkSender(f"{scheme}://{tmp_path}/e", DataFormat((4,), "uint16", "zmq", token="secret"))
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
