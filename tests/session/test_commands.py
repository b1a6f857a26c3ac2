"""Commands through a host with the real IPython."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
import zmq

from mamba.errors import ZError
from mamba.session.audit_chain import read_entries
from mamba.wire.client import Client
from tests.support.session_host import STARTUP, HostUnderTest, wait_until


@pytest.fixture
def client(ipython: HostUnderTest) -> Client:
    return ipython.client


def ask_plain(endpoint: str, *frames: bytes) -> bytes:
    """One request of a plain REQ socket."""
    context: Any = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.linger, socket.rcvtimeo = 0, 10_000
    socket.connect(endpoint)
    try:
        socket.send_multipart(frames)
        return bytes(socket.recv())
    finally:
        socket.close()
        context.term()


def test_figure_3(ipython: HostUnderTest) -> None:
    rpc = ipython.runtime.rpc
    assert ask_plain(rpc, b'{"typ": "dev/keys", "path": "M"}') == b'{"err": "", "ret": ["M.m1", "M.m2"]}'
    divided = b'{"err": "exc", "desc": "ZeroDivisionError: division by zero"}'
    assert ask_plain(rpc, b'{"typ": "cmd", "cmd": "1 / 0"}') == divided
    raised = b'from mamba.errors import ZError; raise ZError(\\"error\\", \\"description\\")'
    answer = ask_plain(rpc, b'{"typ": "cmd", "cmd": "' + raised + b'"}')
    assert answer == b'{"err": "error", "desc": "description"}'


def test_figure_3_d(ipython: HostUnderTest, client: Client) -> None:
    notices = ipython.subscribe("cmd/done")
    assert ask_plain(ipython.runtime.keys, b"1 / 0\n") == b""
    done = notices.wait_for("cmd/done", timeout_s=10, text="1 / 0")
    assert done is not None
    assert done["origin"] == "console"
    assert done["rep"] == {"err": "exc", "desc": "ZeroDivisionError: division by zero"}
    assert client.request("cmd/status", id=done["id"])["state"] == "done"
    assert ask_plain(ipython.runtime.keys, b"a", b"b").startswith(b"bad-request")


def test_a_command_leaves_a_receipt(ipython: HostUnderTest, client: Client) -> None:
    notices = ipython.subscribe("cmd/")
    answer = client.command("6 * 7", wait=False, origin="test")
    running = notices.wait_for("cmd/running", timeout_s=10, id=answer["id"])
    done = notices.wait_for("cmd/done", timeout_s=10, id=answer["id"])
    assert running is not None
    assert done is not None
    assert (done["text"], done["origin"], done["person"], done["rep"]) == (
        "6 * 7",
        "test",
        "Ada",
        {"err": "", "ret": 42},
    )
    assert done["n"] == running["n"]
    assert client.request("cmd/history", limit=1)[0]["id"] == answer["id"]
    entry = [entry for entry in read_entries(ipython.runtime.logs / "audit.jsonl") if entry["verb"] == "cmd"][-1]
    assert (entry["id"], entry["cell"], entry["result"]) == (answer["id"], done["n"], "")


def test_a_syntax_error_is_the_cells_error(client: Client) -> None:
    with pytest.raises(ZError) as caught:
        client.command("def", timeout_s=10)
    assert caught.value.code == "exc"
    assert caught.value.desc.startswith("SyntaxError: ")


@pytest.mark.parametrize("text", ["", " \n", "a\0b", "\x1b[A", "1\r2", "'\ud800'", "x" * 1_000_001])
def test_a_text_that_is_no_cell_is_refused(client: Client, text: str) -> None:
    assert client.ask("cmd", cmd=text, timeout_s=10).err == "text-refused"


def test_order_is_kept(client: Client) -> None:
    client.command("order = []")
    for number in range(20):
        client.command(f"order.append({number})", wait=False)
    assert client.command("order", timeout_s=20) == list(range(20))


@pytest.mark.alone
def test_control_and_status_are_answered_while_a_plan_runs(ipython: HostUnderTest, client: Client) -> None:
    notices = ipython.subscribe("run/state", "cmd/done")
    first = client.command("RE(sleep(30))", wait=False)
    waiting = client.command("'never'", wait=False)
    wait_until(lambda: client.request("run/status")["state"] == "running", what="running")
    times = []
    for _ in range(200):
        started = time.perf_counter()
        client.request("run/status")
        times.append(time.perf_counter() - started)
    assert sorted(times)[190] < 0.01  # the promise is 1 ms on a quiet machine; this one is shared
    state = client.request("state")
    assert state["running"]["id"] == first["id"]
    assert [command["id"] for command in state["waiting"]] == [waiting["id"]]
    assert client.ask("cmd/cancel", id=first["id"]).err == "too-late"
    assert client.ask("run/abort", reason="beam lost").ok
    done = notices.wait_for("cmd/done", timeout_s=10, id=waiting["id"])
    assert done is not None
    assert done["rep"]["err"] == "cancelled"
    wait_until(lambda: client.request("cmd/status", id=first["id"])["state"] == "done", what="done")
    assert client.command("1 + 1", timeout_s=10) == 2


def test_an_interrupt_ends_the_cell_and_what_waits(client: Client) -> None:
    running = client.command("import time; time.sleep(30)", wait=False)
    wait_until(lambda: client.request("cmd/status", id=running["id"])["state"] == "running", what="running")
    waiting = client.command("'never'", wait=False)
    started = time.monotonic()
    assert client.request("session/interrupt") == {"cancelled": 1}
    assert client.request("cmd/status", id=waiting["id"])["rep"]["err"] == "cancelled"
    wait_until(lambda: client.request("cmd/status", id=running["id"])["state"] == "done", what="done")
    assert time.monotonic() - started < 2
    assert client.command("1 + 1", timeout_s=10) == 2


def test_a_scan_is_in_the_state_for_who_comes_late(ipython: HostUnderTest, client: Client) -> None:
    client.command("RE(scan([D.i0], M.m1, -1, 1, 5))", timeout_s=20)
    last = wait_until(lambda: (run := client.request("state")["last_run"]) and run["stop"] and run, what="stop")
    assert len(last["points"]) == last["points_total"] == 5
    assert [point["data"]["M_m1"] for point in last["points"]] == [-1, -0.5, 0, 0.5, 1]
    assert last["start"]["motors"] == ["M.m1"]
    assert client.request("state")["seq"]["scan/point"] >= 5


def test_nothing_runs(client: Client) -> None:
    for verb in ("run/pause", "run/resume", "run/stop", "run/abort", "run/halt"):
        assert client.ask(verb).err == "no-run", verb


def test_devices(client: Client) -> None:
    assert client.request("dev/keys") == ["M.m1", "M.m2", "D.i0"]
    reply = client.ask("dev/keys", path="M.m3")
    assert reply.err == "unknown-device"
    assert "did you mean" in reply.desc
    assert client.request("dev/describe", path="M.m1")["name"] == "M.m1"
    assert client.ask("dev/read", path="M.nothing").err == "unknown-device"
    assert client.ask("dev/move", path="M.m1", position=1).err == "use-command"


def test_people(ipython: HostUnderTest, client: Client) -> None:
    assert client.ask("auth/logout").err == "not-logged-in"
    notices = ipython.subscribe("session/person")
    logged_in = {"person": "Grace", "role": "expert", "proposal": "", "token": ""}
    assert client.request("auth/login", person="Grace") == logged_in
    notice = notices.wait_for("session/person", timeout_s=5)
    assert notice is not None
    assert notice["person"] == "Grace"
    answer = client.command("1", wait=False)
    assert client.request("cmd/status", id=answer["id"])["person"] == "Grace"
    client.request("auth/logout")
    assert client.ask("auth/logout").err == "not-logged-in"
    assert client.ask("auth/login", person="").err == "bad-request"


def test_status_names_sockets_and_processes(ipython: HostUnderTest, client: Client) -> None:
    status = client.request("session/status")
    assert status["pid"] == ipython.process.pid
    assert set(status["sockets"]) == {"rpc", "notify", "keys", "terminal"}
    os.kill(status["console_pid"], 0)
    assert ipython.runtime.transcript.stat().st_mode & 0o777 == 0o600
    assert ipython.runtime.terminal.stat().st_mode & 0o777 == 0o600
    assert client.request("wire/version") == 1


def test_a_start_up_script_that_fails_is_in_the_state_and_the_console_works() -> None:
    host = HostUnderTest(startup="import nonsense_that_is_nowhere\n")
    try:
        assert host.client.command("1 + 1", timeout_s=30) == 2
        assert "nonsense_that_is_nowhere" in host.client.request("state")["startup_error"]
    finally:
        host.close()


def test_a_command_sent_while_the_console_starts_waits_for_it() -> None:
    host = HostUnderTest(startup=STARTUP + "import time; time.sleep(0.5)\n")
    try:
        notices = host.subscribe("cmd/")
        sent = host.client.command("RE.state", wait=False)
        waiting = notices.wait_for("cmd/waiting", timeout_s=5, id=sent["id"])
        assert waiting is not None
        assert waiting["why"] == "starting"
        assert host.client.ask("run/pause").err == "no-run"
        assert host.client.ask("dev/keys", path="M").err == "console-starting"
        done = notices.wait_for("cmd/done", timeout_s=20, id=sent["id"])
        assert done is not None
        assert done["rep"] == {"err": "", "ret": "idle"}
    finally:
        host.close()
