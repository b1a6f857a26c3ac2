"""What carries messages on one host: nothing is lost that was sent, and who is gone is known to be."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mamba.data_worker import carriers
from mamba.data_worker.carriers import connect, serve
from mamba.data_worker.frame import Block
from mamba.errors import StreamBroken

SENDER = """
import os, signal, sys
from mamba.data_worker.carriers import serve
from mamba.data_worker.frame import Block
server = serve(sys.argv[1])
print("bound", flush=True)
heard = []
while not heard:
    heard += server.take(30.0)
peer, _ = heard[0]
for number in range(100):
    assert server.post(peer, [Block(1, number, number, 1).pack()]) == "sent"
os.kill(os.getpid(), signal.SIGKILL)
"""


def _take_all(client: carriers.Client, count: int) -> list[int]:
    numbers: list[int] = []
    deadline = time.monotonic() + 10
    while len(numbers) < count and time.monotonic() < deadline:
        head = client.take()
        if head is None:
            client.wait(1.0)
        else:
            numbers.append(Block.unpack(head).block)
    return numbers


def _meet(server: carriers.Server, client: carriers.Client) -> object:
    client.send([Block(0, 0, 0, 0).pack()])
    ((address, _),) = server.take(5.0)  # let in and heard in one
    return address


def test_what_was_sent_before_a_kill_arrives_and_then_the_loss_is_known(tmp_path: Path) -> None:
    endpoint = f"unix://{tmp_path}/e"
    with subprocess.Popen([sys.executable, "-c", SENDER, endpoint], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "bound\n"
        client = connect(endpoint, time.monotonic() + 5)
        client.send([Block(0, 0, 0, 0).pack()])
        process.wait(30)
    assert _take_all(client, 100) == list(range(100))
    assert client.take() is None
    assert client.lost
    client.close(said=False)


def test_what_the_socket_does_not_take_at_once_waits_and_comes_in_order(tmp_path: Path) -> None:
    server = serve(f"unix://{tmp_path}/e")
    client = connect(server.endpoint, time.monotonic() + 5)
    address = _meet(server, client)
    for number in range(5000):
        assert server.post(address, [Block(1, number, number, 1).pack(), bytes(1000)]) == "sent"
    numbers: list[int] = []
    while len(numbers) < 5000:
        list(server.take(0.0))  # whoever sends comes by for what was released
        fresh = _take_all(client, 1)
        assert fresh
        numbers += fresh
    assert numbers == list(range(5000))
    client.close(said=False)
    server.close()


def test_a_client_that_leaves_without_reading_is_heard_to_its_last_word(tmp_path: Path) -> None:
    server = serve(f"unix://{tmp_path}/e")
    client = connect(server.endpoint, time.monotonic() + 5)
    address = _meet(server, client)
    server.post(address, [Block(1, 0, 0, 1).pack()])  # stays unread: the kernel resets the connection
    for number in range(3):
        client.send([Block(1, number, number, 1).pack()])
    client.close(said=True)
    assert [Block.unpack(parts[0]).block for _, parts in server.take(5.0)] == [0, 1, 2]
    assert server.notice_loss()
    assert not server.notice_loss()
    assert server.post(address, [Block(1, 1, 1, 1).pack()]) == "gone"
    server.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("endpoint", ["unix://{}/nobody", "ipc://{}/nobody", "unix://{}/" + "long" * 50])
def test_nobody_there_is_said_to_be_that(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(StreamBroken, match="nobody there"):
        connect(endpoint.format(tmp_path), time.monotonic() + 0.3)
