"""Another user of the machine reaches nothing of a session, not even when somebody widens the modes of its files.

The probe is a process of the user nobody, which only root can start; without root the modes are looked at.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from tests.session.conftest import tiny  # noqa: F401  # a fixture
from tests.support.facility import facility_up
from tests.support.session_host import HostUnderTest, wait_until

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")

# Run as root: it becomes somebody else once it has imported what it needs.
BECOME = """
import json, os, socket, sys
uid, work = int(sys.argv[1]), json.load(sys.stdin)
def become():
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
"""
# Says of each address what became of it: "refused", "closed" (accepted and closed at once), or "reached".
PROBE = """
become()
def probe(address):
    unix = isinstance(address, str)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as peer:
        peer.settimeout(2)
        try:
            peer.connect(address if unix else ("127.0.0.1", address))
        except OSError:
            return "refused"
        if not unix:
            return "reached"
        try:
            return "reached" if peer.recv(1) else "closed"
        except TimeoutError:
            return "reached"
        except OSError:
            return "closed"
print(json.dumps([probe(address) for address in work]))
"""
# Counts the answers of as many ZeroMQ connections.
ATTACK = """
import os, zmq
context, answered = zmq.Context(), 0
become()
for kind, endpoint, message in work:
    for _ in range(50):
        with context.socket(kind) as peer:
            peer.linger = 0
            peer.connect(endpoint)
            if kind == zmq.SUB:
                peer.subscribe(b"")
            else:
                peer.send(message.encode())
            answered += bool(peer.poll(20 if os.getuid() else 5000))  # root is answered, however busy the machine
print(json.dumps(answered))
"""


def run_as(uid: int, program: str, work: object) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", BECOME + program, str(uid)],
        input=json.dumps(work), capture_output=True, text=True, check=True, cwd="/", timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


def probe(addresses: Sequence[str | int], uid: int) -> dict[str | int, str]:
    return dict(zip(addresses, run_as(uid, PROBE, list(addresses)), strict=True))


def find_sockets(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode))


def find_ports(pids: list[int]) -> dict[int, int]:
    """Port → process that listens there; and every one of them on loopback."""
    ports = {}
    for pid in pids:
        for connection in psutil.Process(pid).net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1")
                ports[connection.laddr.port] = pid
    return ports


def find_abstract(pids: list[int]) -> list[str]:
    """Abstract Unix sockets that these processes listen on: no file's mode guards those."""
    return [c.laddr for pid in pids for c in psutil.Process(pid).net_connections("unix") if c.laddr.startswith("@")]


def test_folder_and_sockets_are_for_their_owner_only(tiny: HostUnderTest) -> None:  # noqa: F811
    runtime = tiny.runtime.path
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    sockets = find_sockets(runtime)
    assert [Path(path).name for path in sockets] == ["agent", "keys", "notify", "rpc", "terminal"]
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in sockets} == {0o600}
    for folder, _, names in os.walk(runtime):
        assert not stat.S_IMODE(os.stat(folder).st_mode) & 0o077, folder
        for name in names:
            if name not in ("host.log",):
                assert not stat.S_IMODE(Path(folder, name).lstat().st_mode) & 0o022, name
    assert find_ports([tiny.process.pid, tiny.console_pid]) == {}
    assert find_abstract([tiny.process.pid, tiny.console_pid]) == []


@pytest.fixture
def wide_open(tiny: HostUnderTest) -> HostUnderTest:  # noqa: F811
    """A host whose folders somebody has opened to everybody."""
    for folder in (tiny.folder, tiny.runtime.path):
        folder.chmod(0o777)
    return tiny


@needs_root
def test_another_user_reaches_nothing(wide_open: HostUnderTest) -> None:
    sockets = find_sockets(wide_open.runtime.path)
    assert set(probe(sockets, os.getuid()).values()) == {"reached"}
    wide_open.runtime.path.chmod(0o700)
    assert set(probe(sockets, NOBODY).values()) == {"refused"}, "the folder's mode"
    wide_open.runtime.path.chmod(0o777)
    assert set(probe(sockets, NOBODY).values()) == {"refused"}, "the files' modes"
    for path in sockets:
        os.chmod(path, 0o666)
    if not os.stat("/").st_mode & stat.S_IXOTH:  # on this machine nobody can enter anything at all
        assert set(probe(sockets, NOBODY).values()) == {"refused"}
        return
    assert set(probe(sockets, NOBODY).values()) == {"closed"}, "who asks, as the kernel knows"
    wait_until(lambda: f"uid {NOBODY} was refused" in wide_open.log.read_text())
    assert wide_open.client.command("1 + 1", timeout_s=5) == 2


@needs_root
def test_another_user_s_request_is_never_read(wide_open: HostUnderTest) -> None:
    """With ZeroMQ instead of bare bytes, and 200 times: no command runs, no key is typed, no notice is heard."""
    for path in find_sockets(wide_open.runtime.path):
        os.chmod(path, 0o666)
    count = wide_open.client.request("session/status")["requests"]
    attack = [
        (zmq.DEALER, wide_open.runtime.rpc, '{"typ": "cmd", "cmd": "stray = 1"}'),
        (zmq.DEALER, wide_open.runtime.agent, f'{{"typ": "hello", "pid": {wide_open.console_pid}, "session": "x"}}'),
        (zmq.REQ, wide_open.runtime.keys, "stray\r"),
        (zmq.SUB, wide_open.runtime.notify, ""),
    ]
    assert run_as(NOBODY, ATTACK, attack) == 0
    assert wide_open.client.request("cmd/history") == []
    assert wide_open.client.request("session/status")["requests"] == count + 3, "our own three"
    assert "stray" not in wide_open.transcript
    assert run_as(os.getuid(), ATTACK, attack[:1]) == 50, "the attack is one"


@needs_root
def test_of_a_facility_another_user_reaches_tango_alone() -> None:
    """Tango knows no users: its ports on loopback are open to who is on the machine. Nothing else is."""
    with facility_up() as facility:
        processes = {process["name"]: process["pid"] for process in facility.state["processes"]}
        pids = [pid for parent in processes.values() for pid in _with_children(parent)]
        sockets = find_sockets(facility.runtime.path)
        assert len(sockets) >= 5
        assert set(probe(sockets, NOBODY).values()) == {"refused"}
        ports = find_ports(pids)
        own = {pid: name for name, parent in processes.items() for pid in _with_children(parent)}
        reached = {own[ports[int(port)]] for port, seen in probe(list(ports), NOBODY).items() if seen == "reached"}
        assert reached <= {name for name in processes if name == "database" or "/" in name}
        assert find_abstract(pids) == []


def _with_children(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
