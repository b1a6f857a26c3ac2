"""Verbs that a start-up script or an add-on package serves, and what %mamba tells, through a host with IPython."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.session_host import STARTUP, HostUnderTest, wait_until

SERVING = (
    STARTUP
    + """
slots = []

def load_sample(*, slot: int, name: str = "nameless"):
    if slot > 9:
        raise ValueError(f"slot {slot}: the robot has ten")
    slots.append((slot, name))
    return {"slot": slot, "name": name}

U.serve("sample/load", load_sample)
U.serve("sample/list", lambda: slots, role="observer")
"""
)
ADD_ON = """
def register(user):
    user.serve("robot/where", lambda *, arm: f"{arm} is at home", role="observer")
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostUnderTest]:
    site = tmp_path_factory.mktemp("site")
    (site / "robot_add_on.py").write_text(ADD_ON)
    info = site / "robot_add_on-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: robot-add-on\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mamba.console]\nrobot = robot_add_on:register\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{site}:{Path(__file__).parents[2]}")
        host = HostUnderTest(startup=SERVING)
    try:
        host.client.command("'ready'", timeout_s=30)
        wait_until(lambda: "sample/load" in host.client.request("wire/verbs"))
        yield host
    finally:
        host.close()


def test_an_added_verb_is_served_with_its_fields_checked(host: HostUnderTest) -> None:
    client = host.client
    assert client.request("sample/load", slot=3, name="foil") == {"slot": 3, "name": "foil"}
    assert client.request("sample/list") == [(3, "foil")]
    wrong = client.ask("sample/load", slot="3")
    assert (wrong.err, "'slot'" in wrong.desc) == ("bad-request", True)
    assert "did you mean 'name'" in client.ask("sample/load", slot=3, nam="x").desc
    assert client.ask("sample/load", slot=10).desc == "ValueError: slot 10: the robot has ten"
    assert "did you mean 'sample/load'" in client.ask("sample/laod").desc


def test_an_add_on_package_adds_its_verbs(host: HostUnderTest) -> None:
    assert host.client.request("robot/where", arm="left") == "left is at home"


@pytest.mark.parametrize("verb", ["cmd", "cmd/mine", "dev/mine", "mine", "Sample/x", ""])
def test_a_verb_of_mamba_s_own_cannot_be_added(host: HostUnderTest, verb: str) -> None:
    assert host.client.ask("cmd", cmd=f"U.serve({verb!r}, print)", timeout_s=10).err == "bad-request"


def test_verbs_go_with_their_console(host: HostUnderTest) -> None:
    assert host.client.request("session/restart", timeout_s=20)
    wait_until(lambda: "sample/load" in host.client.request("wire/verbs"), timeout_s=20)
    assert host.client.command("slots", timeout_s=20) == []


CAPTURED = """
from IPython.utils.capture import capture_output
with capture_output() as _seen:
    get_ipython().run_line_magic('mamba', {line!r})
_seen.stdout
"""


def ask_magic(host: HostUnderTest, line: str) -> str:
    return str(host.client.command(CAPTURED.format(line=line).lstrip(), origin="test window", timeout_s=10))


def test_mamba_tells_what_goes_on(host: HostUnderTest) -> None:
    host.client.command("1 + 1", origin="scan window")
    said = ask_magic(host, "")
    assert "person   Ada" in said
    assert "run      idle" in said
    assert "waiting  0 commands" in said
    (_, who) = ask_magic(host, "who").strip().split("\n")
    assert who.startswith(("pytest", "python"))
    assert str(os.getpid()) in who
    assert "scan window (Ada)" in ask_magic(host, "log 3")
    assert ask_magic(host, "waiting") == "nothing waits\n"
    wrong = host.client.ask("cmd", cmd="%mamba whoo", timeout_s=10)
    assert "did you mean 'who'" in wrong.desc


def test_mamba_copies_a_window_s_last_command(host: HostUnderTest) -> None:
    notices = host.subscribe("cmd/done")
    host.client.command("'from the window'", origin="scan window")
    host.client.command("'from elsewhere'", origin="another")
    host.client.command("%mamba copy scan", origin="console copy")
    from tests.session.test_commands import ask_plain

    assert ask_plain(host.runtime.keys, b"\r") == b""
    done = notices.wait_for("cmd/done", timeout_s=10, origin="console")
    assert done is not None
    assert done["text"] == "'from the window'"


def test_the_proposal_goes_into_the_run(host: HostUnderTest) -> None:
    client = host.client
    client.command("docs = []; RE.subscribe(lambda n, d: docs.append(d), 'start')")
    assert client.request("auth/login", person="Grace", proposal="P-2026-17")["proposal"] == "P-2026-17"
    client.command("RE(count([D.i0]))", timeout_s=20)
    start = client.command("docs[-1]")
    assert (start["person"], start["proposal"]) == ("Grace", "P-2026-17")
    assert start["mamba"]["person"] == "Grace"
    client.request("auth/logout")
    client.command("RE(count([D.i0]))", timeout_s=20)
    start = client.command("docs[-1]")
    assert (start["person"], "proposal" in start) == ("Ada", False)


def test_a_client_that_will_not_wait_is_told_who_is_busy(host: HostUnderTest) -> None:
    running = host.client.command("import time; time.sleep(0.6)", origin="slow window", wait=False)
    wait_until(lambda: host.client.request("cmd/status", id=running["id"])["state"] == "running")
    busy = host.client.ask("cmd", cmd="1", hold=False, timeout_s=5)
    assert busy.err == "busy"
    assert "'import time; time.sleep(0.6)' of Ada (slow window), running since" in busy.desc
    waiting = host.subscribe("cmd/waiting")
    queued = host.client.command("2", wait=False)
    notice = waiting.wait_for("cmd/waiting", timeout_s=5, id=queued["id"])
    assert notice is not None
    assert notice["running"]["origin"] == "slow window"
