"""What carries messages on one host: nothing is lost that was sent, and who is gone is known to be."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mamba.data_worker import carriers
from mamba.data_worker.carriers import connect, serve
from mamba.data_worker.frame import Block
from mamba.data_worker.zmtp import await_readable
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
            await_readable(client.socket, 1.0)
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


@pytest.mark.parametrize("endpoint", ["unix://{}/e", "tcp://127.0.0.1:*"])
@pytest.mark.parametrize("unread", [0, 100_000])
def test_a_client_that_leaves_without_reading_is_heard_to_its_last_word(
    tmp_path: Path, endpoint: str, unread: int
) -> None:
    server = serve(endpoint.format(tmp_path))
    client = connect(server.endpoint, time.monotonic() + 5)
    address = _meet(server, client)
    server.post(address, [Block(1, 0, 0, 1).pack(), bytes(unread)])  # stays unread: the kernel resets the connection
    for number in range(3):
        client.send([Block(1, number, number, 1).pack()])
    client.close(said=True)
    heard: list[int] = []
    while len(heard) < 3:
        fresh = [Block.unpack(parts[0]).block for _, parts in server.take(5.0)]
        assert fresh
        heard += fresh
    assert heard == [0, 1, 2]
    deadline = time.monotonic() + 5
    while not server.notice_loss(address):
        list(server.take(0.01))
        assert time.monotonic() < deadline
    while server.post(address, [Block(1, 1, 1, 1).pack()]) != "gone":  # libzmq tells of a loss before it acts on it
        assert time.monotonic() < deadline
    server.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("endpoint", ["unix://{}/nobody", "tcp://127.0.0.1:1", "unix://{}/" + "long" * 50])
def test_nobody_there_is_said_to_be_that(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(StreamBroken, match="nobody there"):
        connect(endpoint.format(tmp_path), time.monotonic() + 0.3)


@pytest.mark.parametrize(
    "endpoint", ["ipc:///tmp/e", "tcp://127.0.0.1", "tcp://127.0.0.1:many", "tcp://:5000", "camera"]
)
def test_what_is_no_endpoint_is_said_to_be_none(endpoint: str) -> None:
    with pytest.raises(StreamBroken, match="not an endpoint"):
        connect(endpoint, time.monotonic() + 0.3)


def test_a_process_with_many_open_files_waits_as_any_other(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    server = serve(f"unix://{tmp_path}/e")
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while opened[-1] < 1024:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        client = connect(server.endpoint, time.monotonic() + 5)
        assert client.socket.fileno() > 1024
        assert server.post(_meet(server, client), [Block(1, 7, 0, 1).pack()]) == "sent"
        await_readable(client.socket, 5.0)
        assert _take_all(client, 1) == [7]
        client.close(said=True)
    finally:
        for file in opened:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.close()


FLOODED = """
import subprocess, sys, zmq
from mamba.data_worker.carriers import open_socket
FLOOD = "import sys, zmq; s = zmq.Context().socket(zmq.DEALER); s.connect(sys.argv[1]); print('in', flush=True)\\n" \\
    "while True: s.send(bytes(100))"
socket, monitor = open_socket(zmq.Context(1), zmq.ROUTER)
socket.set(zmq.RCVHWM, 2)
socket.bind(sys.argv[1])
with subprocess.Popen([sys.executable, "-c", FLOOD, sys.argv[1]], stdout=subprocess.PIPE) as other:
    other.stdout.readline()
    assert socket.poll(10_000)
    other.kill()
assert not monitor.poll(1500), "it reads on, so that nothing is shown"
while not monitor.poll(0):
    socket.recv_multipart()
print("lives")
"""


def test_who_dies_while_nobody_reads_takes_nobody_along(tmp_path: Path) -> None:
    """Issue 4364 of libzmq, in a process of its own: with heartbeats it ends there by SIGABRT."""
    command = [sys.executable, "-c", FLOODED, f"ipc://{tmp_path}/socket"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stdout, ended.returncode) == ("lives\n", 0), ended.stderr
