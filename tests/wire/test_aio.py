"""The asyncio client over real sockets: many requests at once, and nothing left behind by those given up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mamba.errors import ConnectionLost, NotRunning, ReplyTimeout, ZError
from mamba.wire.aio import AsyncClient
from tests.wire.conftest import ServerUnderTest


def run(endpoint: str, steps: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Run steps with a client; no task of theirs may be left."""

    async def main() -> None:
        async with AsyncClient(endpoint) as client:
            await steps(client)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_many_requests_at_once_get_their_own_answers(server: ServerUnderTest) -> None:
    async def steps(client: AsyncClient) -> None:
        slow = asyncio.create_task(client.ask("never", timeout_s=None))
        answers = await asyncio.gather(*(client.command(f"{n}") for n in range(500)))
        assert answers == [f"{n}" for n in range(500)]
        assert not slow.done()
        server.succeed(0, "late")
        assert (await slow).value == "late"

    run(server.endpoint, steps)
    assert sorted(server.executed, key=int) == [f"{n}" for n in range(500)]


def test_errors_are_raised_or_returned(server: ServerUnderTest, folder: Path) -> None:
    async def steps(client: AsyncClient) -> None:
        with pytest.raises(ZError) as caught:
            await client.request("fail")
        assert (caught.value.code, (await client.ask("pnig")).err) == ("error", "unknown-verb")

    async def nobody(client: AsyncClient) -> None:
        with pytest.raises(NotRunning, match="no session runs here"):
            await client.request("ping")

    run(server.endpoint, steps)
    run(f"ipc://{folder}/nobody", nobody)


def test_a_late_answer_is_a_timeout_and_others_go_on(server: ServerUnderTest) -> None:
    async def steps(client: AsyncClient) -> None:
        other = asyncio.create_task(client.ask("never", timeout_s=None))
        await until(lambda: server.calls)
        with pytest.raises(ReplyTimeout, match="never: no reply"):
            await client.request("never", timeout_s=0.05)
        server.succeed(0, 1)
        assert (await other).value == 1
        assert await client.request("ping") == "pong"

    run(server.endpoint, steps)


@pytest.mark.alone
def test_a_host_that_ends_is_noticed_and_the_next_request_finds_the_next(server: ServerUnderTest) -> None:
    async def steps(client: AsyncClient) -> None:
        waiting = [asyncio.create_task(client.ask("never", timeout_s=None)) for _ in range(20)]
        await until(lambda: len(server.calls) == 20)
        ended = time.monotonic()
        await asyncio.to_thread(server.stop)
        assert {(await each).err for each in waiting} == {"connection-lost"}
        assert time.monotonic() - ended < 1
        with pytest.raises(NotRunning):
            await client.command("nobody there", timeout_s=1)
        server.start()
        assert await client.request("ping") == "pong"

    run(server.endpoint, steps)
    assert server.executed == []


def test_who_still_waits_when_the_client_leaves_is_told(server: ServerUnderTest) -> None:
    async def steps(client: AsyncClient) -> None:
        waiting = asyncio.create_task(client.ask("never", timeout_s=None))
        await until(lambda: server.calls)
        await client.close()
        assert (await waiting).err == "connection-lost"
        with pytest.raises(ConnectionLost, match="was closed"):
            await client.request("ping")

    run(server.endpoint, steps)


def test_after_a_login_every_request_carries_its_token(server: ServerUnderTest) -> None:
    async def steps(client: AsyncClient) -> None:
        assert (await client.ask("state")).err == "not-logged-in"
        await client.login("Ada", "canary")
        assert await client.request("state") == {"seq": {}}
        await client.logout()
        assert (await client.ask("state")).err == "not-logged-in"

    run(server.endpoint, steps)


SERVE = """
import sys, zmq
from pathlib import Path
from mamba.wire.handlers import Handlers
from mamba.wire.server import RequestServer

def command(call, *, cmd: str, origin: str, wait: bool):
    with open(sys.argv[1] + "/executed", "a") as file:
        file.write(cmd[:20] + "\\n")
    return cmd[:20]

handlers = Handlers()
handlers.add("cmd", command)
server = RequestServer(zmq.Context(), f"ipc://{sys.argv[1]}/rpc", handlers)
print("ready", flush=True)
while True:
    server.socket.poll()
    server.serve()
"""


@pytest.fixture
def stoppable(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, that can be held with SIGSTOP."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


async def hold(pid: int) -> None:
    """SIGSTOP, until every thread of it stands."""
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: {psutil.Process(thread.id).status() for thread in psutil.Process(pid).threads()} == {"stopped"})


def test_what_was_given_up_before_it_was_sent_is_never_executed(stoppable: subprocess.Popen[str], folder: Path) -> None:
    async def steps(client: AsyncClient) -> None:
        assert await client.command("first") == "first"
        await hold(stoppable.pid)
        filling = " " * 100_000  # what the kernel and ZeroMQ take on the way is soon full
        asked = [asyncio.create_task(client.command(f"held {n}{filling}")) for n in range(50)]
        kept = asyncio.create_task(client.command("kept"))
        await asyncio.sleep(0.3)
        for task in asked[20:]:
            task.cancel()
        await asyncio.wait(asked[20:])
        os.kill(stoppable.pid, signal.SIGCONT)
        assert await kept == "kept"
        assert [(await task).strip() for task in asked[:20]] == [f"held {n}" for n in range(20)]

    run(f"ipc://{folder}/rpc", steps)
    assert (folder / "executed").read_text().split("\n")[:-1] == [
        "first",
        *(f"held {n}{' ' * 20}"[:20] for n in range(20)),
        "kept",
    ]


def list_sockets() -> set[str]:
    """The sockets that this process holds, by the name the kernel gives them."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {link for link in links if link.startswith("socket:")}


def test_when_nobody_waits_any_more_nothing_of_it_is_sent(stoppable: subprocess.Popen[str], folder: Path) -> None:
    async def steps(client: AsyncClient) -> None:
        before = list_sockets()
        await client.command("first")
        connection = list_sockets() - before
        assert connection
        await hold(stoppable.pid)
        asked = [asyncio.create_task(client.command(f"held {n}" + " " * 900_000)) for n in range(10)]
        await asyncio.sleep(0.1)
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        await until(lambda: not connection & list_sockets())  # ZeroMQ closes it in a thread of its own
        os.kill(stoppable.pid, signal.SIGCONT)
        assert await client.command("last") == "last"

    run(f"ipc://{folder}/rpc", steps)
    assert (folder / "executed").read_text() == "first\nlast\n"
