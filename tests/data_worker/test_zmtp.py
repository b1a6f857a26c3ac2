"""Our end of a ZeroMQ connection against libzmq, and against peers that are no ZeroMQ socket or die."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import zmq

from mamba.data_worker.zmtp import ZmtpClient
from mamba.errors import StreamBroken
from tests.support.threads import run_beside

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
READY = bytes((4, len(_READY))) + _READY
HEAD = b"d" * 40


@contextmanager
def meet(**options: int) -> Iterator[tuple[zmq.Socket[bytes], bytes, ZmtpClient]]:
    """A ROUTER of libzmq with these options, the address of our client, and the client."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.set(zmq.LINGER, 0)
        for name, value in options.items():
            router.set(getattr(zmq, name), value)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        client = ZmtpClient("127.0.0.1", port, time.monotonic() + 5)
        client.send([b"hello", b"token"])
        address, *parts = router.recv_multipart()
        assert parts == [b"hello", b"token"]
        try:
            yield router, address, client
        finally:
            client.close(said=False)


def await_head(client: ZmtpClient) -> bytes:
    deadline = time.monotonic() + 10
    while (head := client.take()) is None:
        assert time.monotonic() < deadline
        assert not client.lost
    return head


def await_rest(client: ZmtpClient) -> bytes:
    room = bytearray(client.rest_bytes)
    deadline = time.monotonic() + 10
    while not client.read_into(memoryview(room)):
        assert time.monotonic() < deadline
        assert not client.lost
    return bytes(room)


def test_messages_of_every_size_come_as_they_were_sent() -> None:
    with meet() as (router, address, client):
        rests = [bytes([at % 251]) * size for at, size in enumerate((1, 255, 256, 65536, 10_000_001, 3))]
        for rest in rests:
            router.send_multipart([address, HEAD, rest])
            router.send_multipart([address, HEAD])
        for rest in rests:
            assert await_head(client) == HEAD
            assert client.rest_bytes == len(rest)
            assert await_rest(client) == rest
            assert await_head(client) == HEAD
            assert client.rest_bytes == 0
        assert client.take() is None
        client.send([b"x" * 300, b"", b"y" * 70_000])
        assert router.recv_multipart() == [address, b"x" * 300, b"", b"y" * 70_000]


@contextmanager
def listen() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def come(listener: socket.socket) -> ZmtpClient:
    return ZmtpClient("127.0.0.1", listener.getsockname()[1], time.monotonic() + 2)


def answer(listener: socket.socket, said: bytes, stack: ExitStack) -> socket.socket:
    peer, _ = listener.accept()
    stack.enter_context(peer)
    peer.sendall(said)
    return peer


def test_a_heartbeat_is_answered_and_means_nothing() -> None:
    """The peer speaks as https://rfc.zeromq.org/spec/37/ has it: time to live in tenths of a second, context."""
    ping, pong = b"\x04\x0a\x04PING\x00\x0aabc", b"\x04\x08\x04PONGabc"
    with ExitStack() as stack, listen() as listener:
        peers: list[socket.socket] = []
        with run_beside(lambda: peers.append(answer(listener, GREETING + READY, stack))):
            client = come(listener)
        stack.callback(client.close, said=False)
        peers[0].settimeout(10)
        for _ in range(2):
            peers[0].sendall(ping + b"\x01\x28" + HEAD + b"\x00\x04rest")
            assert await_head(client) == HEAD
            assert await_rest(client) == b"rest"
        said = b""
        while not said.endswith(2 * pong):
            said += peers[0].recv(4096)
        assert said.count(pong) == 2
        assert not client.lost


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n" * 4, "not a ZeroMQ socket without encryption"),
        (GREETING.replace(b"NULL" + bytes(16), b"CURVE" + bytes(15)), "not a ZeroMQ socket without encryption"),
        (GREETING + b"\x04\x0d\x05ERROR\x06denied", "the ZeroMQ socket there refuses"),
    ],
    ids=["a web server", "encrypted", "refused"],
)
def test_who_is_no_sender_is_said_to_be_none(said: bytes, why: str) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(listen())
        with run_beside(lambda: answer(listener, said, stack)), pytest.raises(StreamBroken, match=why):
            come(listener)


def test_who_says_nothing_is_waited_for_until_the_deadline() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(listen())
        with run_beside(lambda: answer(listener, b"", stack)), pytest.raises(TimeoutError):
            ZmtpClient("127.0.0.1", listener.getsockname()[1], time.monotonic() + 0.3)


def test_a_sender_that_dies_in_the_middle_of_a_message_is_lost_with_it() -> None:
    with ExitStack() as stack, listen() as listener:
        said = GREETING + READY + b"\x01\x28" + HEAD + b"\x00\x03all" + b"\x01\x28" + HEAD + b"\x00\x64" + b"half"
        peer: list[socket.socket] = []
        with run_beside(lambda: peer.append(answer(listener, said, stack))):
            client = come(listener)
        assert await_head(client) == HEAD
        assert await_rest(client) == b"all"
        assert await_head(client) == HEAD
        room = bytearray(client.rest_bytes)
        assert not client.read_into(memoryview(room))
        assert not client.lost
        peer[0].close()
        while not client.lost:
            assert not client.read_into(memoryview(room))
        assert client.take() is None
        assert room.startswith(b"half\0")
        client.close(said=False)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x02" + struct.pack(">Q", 2**40),
        b"\x40\x01a",
        b"\x01\x28" + HEAD + b"\x01\x01a",
    ],
    ids=["a first part of a terabyte", "an unknown flag", "three parts"],
)
def test_what_follows_no_form_is_told_and_not_taken_for_a_message(frame: bytes) -> None:
    with ExitStack() as stack, listen() as listener:
        with run_beside(lambda: answer(listener, GREETING + READY + frame, stack)):
            client = come(listener)
        with pytest.raises(StreamBroken, match="not a message of ours"):
            await_head(client)
        client.close(said=False)


def test_what_the_other_side_does_not_take_at_once_waits() -> None:
    with ExitStack() as stack, listen() as listener:
        peers: list[socket.socket] = []
        with run_beside(lambda: peers.append(answer(listener, GREETING + READY, stack))):
            client = come(listener)
        for _ in range(200):
            client.send([bytes(100_000)])
        done = threading.Event()
        size = 0

        def drain() -> None:
            nonlocal size
            peers[0].settimeout(10)
            while data := peers[0].recv(2**20):
                size += len(data)
            done.set()

        with run_beside(drain):
            while client._outgoing:
                client.take()
            client.close(said=True)
        assert done.is_set()
        assert size >= 200 * 100_009
