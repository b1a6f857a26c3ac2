"""What goes wrong around a session: who waits is told, the host lives, nothing is left."""

from __future__ import annotations

import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from mamba.errors import ConnectionLost, NotRunning
from mamba.wire.client import Client
from mamba.wire.messages import Reply
from tests.session.conftest import TINY
from tests.support.session_host import HostUnderTest, wait_until


def ask_in_background(pool: concurrent.futures.Executor, client: Client, text: str) -> concurrent.futures.Future[Reply]:
    return pool.submit(client.ask, "cmd", cmd=text, timeout_s=20)


@pytest.fixture
def pool() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.mark.alone
def test_a_console_that_dies_is_told_to_all_who_wait(
    tiny: HostUnderTest, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    notices = tiny.subscribe("session/", "cmd/running")
    answers = [ask_in_background(pool, tiny.client, "import time; time.sleep(60)") for _ in range(3)]
    assert notices.wait_for("cmd/running", timeout_s=5)
    wait_until(lambda: len(tiny.client.request("state")["waiting"]) == 2)
    killed = time.monotonic()
    os.kill(tiny.console_pid, signal.SIGKILL)
    for answer in answers:
        assert answer.result(timeout=5).err == "console-died"
    assert time.monotonic() - killed < 1
    died = notices.wait_for("session/died", timeout_s=2)
    assert died is not None
    assert "SIGKILL" in died["reason"]
    assert "tiny console" in tiny.transcript
    for verb, fields in (("cmd", {"cmd": "1"}), ("run/abort", {}), ("dev/read", {"path": "M.m1"}), ("dev/keys", {})):
        reply = tiny.client.ask(verb, **fields)
        assert reply.err == "console-died", verb
        assert "session/restart" in reply.desc
    assert tiny.client.ask("ping").ok
    assert tiny.client.ask("session/restart", timeout_s=10).ok
    assert tiny.client.command("1 + 1", timeout_s=10) == 2


@pytest.mark.alone
def test_a_child_of_the_console_that_keeps_the_terminal_open_hides_no_death(tiny: HostUnderTest) -> None:
    held = tiny.client.command("import subprocess; subprocess.Popen(['sleep', '20'], start_new_session=True).pid")
    os.kill(tiny.console_pid, signal.SIGKILL)
    wait_until(lambda: tiny.client.request("session/status")["prompt"] == "dead", timeout_s=1)
    os.kill(held, signal.SIGKILL)


def test_leaving_on_purpose_is_no_accident(tiny: HostUnderTest) -> None:
    notices = tiny.subscribe("session/")
    tiny.client.ask("cmd", cmd="link.send('bye'); import os, time; time.sleep(0.1); os._exit(0)", timeout_s=10)
    died = notices.wait_for("session/died", timeout_s=5)
    assert died is not None
    assert died["reason"] == "left on purpose (exit status 0)"


@pytest.mark.alone
def test_garbage_leaves_the_host_answering(tiny: HostUnderTest) -> None:
    context: Any = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.rcvtimeo = 0, 10_000
    socket.connect(tiny.runtime.rpc)
    dice = random.Random(7)
    good = b'{"typ": "cmd", "cmd": "1", "wait": true, "deadline_s": 3, "origin": "x"}'
    for number in range(2000):
        broken = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        frames = [bytes(broken)] if number % 3 else [dice.randbytes(5) for _ in range(dice.randint(1, 4))]
        socket.send_multipart([b"", *frames])
    for _ in range(2000):
        assert socket.recv_multipart()[-1].startswith(b'{"err": "')
    for body in (b"[" * 100_000, b"x" * (64 * 2**20 + 1)):
        socket.send_multipart([b"", body])
        assert socket.recv_multipart()[-1].startswith(b'{"err": "bad-request"')
    socket.close()
    context.term()
    started = time.monotonic()
    assert tiny.client.request("ping") == "pong"
    assert time.monotonic() - started < 0.1


def test_garbage_from_the_agent_ends_nothing(tiny: HostUnderTest) -> None:
    for raw in ("b'x'", "b'[]'", "b'{}'", "b'{\"typ\": 1}'", 'b\'{"typ": "answer"}\'', "b'a', b'b'"):
        assert tiny.client.ask("cmd", cmd=f"link.send_raw({raw})", timeout_s=5).ok
    tiny.client.command("link.send('notice', body={}); link.send('cell/done', id='other'); link.send('nonsense')")
    tiny.client.command("link.send('state', prompt=5, run=None, devices=[])")
    assert tiny.client.command("1 + 1", timeout_s=5) == 2


def test_somebody_who_is_not_the_console_is_not_its_agent(tiny: HostUnderTest) -> None:
    context: Any = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(tiny.runtime.agent)
    socket.send(b'{"typ": "hello", "pid": %d, "session": "x", "execution_count": 1}' % os.getpid())
    socket.send(b'{"typ": "notice", "body": {"typ": "forged"}}')
    wait_until(lambda: "is not the console" in tiny.log.read_text())
    assert tiny.client.command("1 + 1", timeout_s=5) == 2
    assert "forged" not in tiny.client.request("state")["seq"]
    socket.close(0)
    context.term()


def test_a_silent_console_is_said_to_be_silent(tiny: HostUnderTest) -> None:
    tiny.client.command("silent.set()")
    reply = tiny.client.ask("dev/read", path="M.m1", deadline_s=0.2)
    assert reply.err == "console-silent"
    assert "dev/read" in reply.desc
    assert tiny.client.request("dev/keys", path="M") == ["M.m1", "M.m2", "M.stage.x"]


def test_a_client_that_dies_after_asking_harms_nobody(tiny: HostUnderTest) -> None:
    ask = (
        f"from mamba.wire.client import Client; Client({tiny.runtime.rpc!r}).command('import time; time.sleep(0.5); 5')"
    )
    dying = subprocess.Popen([sys.executable, "-c", ask])
    wait_until(lambda: tiny.client.request("state")["running"], what="running")
    dying.kill()
    dying.wait()
    assert tiny.client.command("1 + 1", timeout_s=5) == 2
    texts = [receipt["text"] for receipt in tiny.client.request("cmd/history")]
    assert texts == ["import time; time.sleep(0.5); 5", "1 + 1"]


def test_a_deadline_that_passes_withdraws_the_command(
    tiny: HostUnderTest, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    busy = ask_in_background(pool, tiny.client, "import time; time.sleep(0.6); 'done'")
    wait_until(lambda: tiny.client.request("state")["running"], what="running")
    assert tiny.client.ask("cmd", cmd="'late'", deadline_s=0.1).err == "deadline-passed"
    assert busy.result().value == "done"
    assert tiny.client.ask("cmd", cmd="'in time'", deadline_s=5.0).ok


def test_who_will_not_hold_is_told_that_the_prompt_is_occupied(
    tiny: HostUnderTest, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    tiny.client.command("link.occupied.set()")
    assert tiny.client.ask("cmd", cmd="1", hold=False, timeout_s=5).err == "prompt-occupied"
    held = tiny.client.command("1", wait=False)
    wait_until(lambda: tiny.client.request("cmd/status", id=held["id"])["why"] == "prompt-occupied")
    assert tiny.client.ask("cmd/cancel", id=held["id"]).ok
    wait_until(lambda: tiny.client.request("cmd/status", id=held["id"])["state"] == "done")
    assert tiny.client.request("cmd/status", id=held["id"])["rep"]["err"] == "cancelled"
    assert tiny.client.ask("cmd/cancel", id=held["id"]).err == "too-late"
    assert tiny.client.ask("cmd/cancel", id="nonsense").err == "unknown-command"


@pytest.mark.alone
def test_an_interrupt_gets_past_a_full_terminal(tiny: HostUnderTest) -> None:
    running = tiny.client.command("import time; time.sleep(30)", wait=False)
    wait_until(lambda: tiny.client.request("cmd/status", id=running["id"])["state"] == "running")
    context: Any = zmq.Context()
    keys = context.socket(zmq.REQ)
    keys.linger, keys.rcvtimeo = 0, 5000
    keys.connect(tiny.runtime.keys)
    keys.send(b"#" * 256 * 1024)
    assert keys.recv() == b""
    started = time.monotonic()
    keys.send(b"\x03")
    assert keys.recv() == b""
    wait_until(lambda: tiny.client.request("cmd/status", id=running["id"])["state"] == "done")
    assert time.monotonic() - started < 0.5
    keys.close()
    context.term()


def test_the_console_asks_its_host(tiny: HostUnderTest) -> None:
    assert tiny.client.command("link.ask('auth/login', person='Grace')")["ret"]["person"] == "Grace"
    assert tiny.client.command("link.ask('auth/logout')")["err"] == ""
    assert tiny.client.command("link.ask('auth/logout')")["err"] == "not-logged-in"
    assert tiny.client.command("link.ask('cmd', cmd='1')")["err"] == "bad-request"


def test_two_hosts_on_one_folder(tiny: HostUnderTest) -> None:
    second = subprocess.run(tiny.command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert f"process {tiny.process.pid} holds session.lock" in second.stderr
    assert "Traceback" not in second.stderr
    assert tiny.client.command("1 + 1", timeout_s=5) == 2


def test_a_profile_that_cannot_be_used(tiny: HostUnderTest) -> None:
    command = [part if part != tiny.command[-len(TINY) - 2] else "/nowhere.yaml" for part in tiny.command]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "/nowhere.yaml" in second.stderr


def test_the_end_leaves_nothing(tiny: HostUnderTest, pool: concurrent.futures.ThreadPoolExecutor) -> None:
    answers = [ask_in_background(pool, tiny.client, "import time; time.sleep(60)") for _ in range(2)]
    wait_until(lambda: (state := tiny.client.request("state"))["running"] and len(state["waiting"]) == 1)
    console = tiny.console_pid
    assert tiny.stop() == 0
    assert sorted(answer.result(timeout=2).err for answer in answers) == ["cancelled", "console-died"]
    left = sorted(path.name for path in tiny.runtime.path.iterdir())
    assert left == ["logs", "mdw", "truth"]
    with pytest.raises(ProcessLookupError):
        os.kill(console, 0)
    assert tiny.client.ask("ping").err in ("not-running", "connection-lost")


def test_a_console_that_will_not_end_is_killed() -> None:
    host = HostUnderTest(console=TINY, options=("--grace", "0.5"))
    try:
        host.wait_prompt()
        host.client.command("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
        console = host.console_pid
        assert host.stop() == 0
        assert "has not ended within 0.5 s, killed" in host.log.read_text()
        with pytest.raises(ProcessLookupError):
            os.kill(console, 0)
    finally:
        host.close()


def test_a_host_that_is_killed_leaves_a_folder_that_can_be_used_again() -> None:
    first = HostUnderTest(console=TINY)
    try:
        first.wait_prompt()
        console = first.console_pid
        first.process.kill()
        first.process.wait()
        with pytest.raises((NotRunning, ConnectionLost)):
            first.client.request("ping", timeout_s=5)
        # the end of the terminal ends the console
        wait_until(lambda: not os.path.exists(f"/proc/{console}"), what="console gone")
        first.process = subprocess.Popen(first.command, stderr=subprocess.DEVNULL)
        wait_until(lambda: first.make_client().ask("ping").ok)
        first.wait_prompt()
    finally:
        first.close()
