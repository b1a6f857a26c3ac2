"""Joining the console through a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from mamba.session.join_protocol import KEYS, Splitter, pack, pack_size, unpack_size
from tests.support.session_host import HostUnderTest, wait_until

JOIN = "import sys; from pathlib import Path; from mamba.session.join import join; sys.exit(join(Path(sys.argv[1])))"


@contextlib.contextmanager
def joined(host: HostUnderTest, *, rows: int = 30, columns: int = 100) -> Iterator[pexpect.spawn]:
    """A shell-like terminal in which `join` runs."""
    command = [sys.executable, "-c", JOIN, str(host.runtime.path)]
    child = pexpect.spawn(command[0], command[1:], dimensions=(rows, columns), timeout=10, encoding="utf-8")
    child.delaybeforesend = None
    try:
        yield child
    finally:
        child.close(force=True)


def test_keys_and_output_go_both_ways_and_leaving_leaves_it_running(tiny: HostUnderTest) -> None:
    with joined(tiny) as child:
        child.expect("tiny console")
        before = termios.tcgetattr(child.child_fd)
        assert not before[3] & termios.ICANON
        child.send("1 + 1\r")
        child.expect(r"In \[1\]: 1 \+ 1")
        child.send("\x1d")
        child.expect("left; the console runs on")
        wait_until(lambda: termios.tcgetattr(child.child_fd)[3] & termios.ICANON, what="the terminal as it was")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 0
    assert tiny.client.command("2 + 2", timeout_s=5) == 4
    receipt = tiny.client.request("cmd/history")[0]
    assert (receipt["text"], receipt["origin"]) == ("1 + 1", "console")


def test_a_later_one_sees_what_was_written_and_both_see_what_is(tiny: HostUnderTest) -> None:
    tiny.client.command("print('early')")
    with joined(tiny) as first, joined(tiny) as second:
        for child in (first, second):
            child.expect("early")
        wait_until(lambda: tiny.client.request("session/status")["joined"] == 2)
        tiny.client.command("print('now')")
        for child in (first, second):
            child.expect("now")


def test_the_window_is_as_large_as_the_smallest(tiny: HostUnderTest) -> None:
    size = "import os; tuple(os.get_terminal_size(0))"

    def has_size(columns: int, rows: int) -> bool:
        return bool(tiny.client.command(size) == (columns, rows))

    with joined(tiny, rows=30, columns=100) as first:
        wait_until(lambda: has_size(100, 30))
        with joined(tiny, rows=50, columns=80):
            wait_until(lambda: has_size(80, 30))
        wait_until(lambda: has_size(100, 30))
        first.setwinsize(20, 70)
        wait_until(lambda: has_size(70, 20))


def test_ctrl_c_reaches_the_cell(tiny: HostUnderTest) -> None:
    with joined(tiny) as child:
        child.expect("tiny console")
        command = tiny.client.command("import time; time.sleep(30)", wait=False)
        child.expect("time.sleep")
        child.send("\x03")
        wait_until(lambda: tiny.client.request("cmd/status", id=command["id"])["state"] == "done")
        assert "KeyboardInterrupt" in tiny.client.request("cmd/status", id=command["id"])["rep"]["desc"]


def test_a_console_that_dies_says_so(tiny: HostUnderTest) -> None:
    with joined(tiny) as child:
        child.expect("tiny console")
        os.kill(tiny.console_pid, signal.SIGKILL)
        child.expect("the console has ended: killed by SIGKILL")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 1


def test_who_joins_a_console_that_has_ended_is_told_and_the_next_one_can_be_joined(tiny: HostUnderTest) -> None:
    os.kill(tiny.console_pid, signal.SIGKILL)
    tiny.wait_prompt("dead")
    with joined(tiny) as child:
        child.expect("tiny console")
        child.expect("the console has ended: killed by SIGKILL")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 1
    tiny.client.request("session/restart")
    tiny.wait_prompt()
    with joined(tiny) as child:
        child.expect("killed by SIGKILL")
        child.expect("tiny console")
        child.send("1 + 1\r")
        child.expect(r"In \[1\]: 1 \+ 1")


def test_a_host_that_dies_gives_the_terminal_back(tiny: HostUnderTest) -> None:
    with joined(tiny) as child:
        child.expect("tiny console")
        tiny.process.kill()
        child.expect("ConnectionLost: console: the session host ended")
        assert termios.tcgetattr(child.child_fd)[3] & termios.ICANON


def test_ending_the_program_gives_the_terminal_back(tiny: HostUnderTest) -> None:
    with joined(tiny) as child:
        child.expect("tiny console")
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF)
        assert termios.tcgetattr(child.child_fd)[3] & termios.ICANON
        child.wait()
        assert child.exitstatus == 128 + signal.SIGTERM
    assert tiny.client.command("1 + 1", timeout_s=5) == 2


def test_without_a_terminal_there_is_nothing_to_join(tmp_path: Path) -> None:
    command = [sys.executable, "-c", JOIN, str(tmp_path)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert "console: this is no terminal" in ended.stderr


def test_nobody_runs(tiny: HostUnderTest) -> None:
    tiny.stop()
    with joined(tiny) as child:
        child.expect("NotRunning: .*no console runs here")
        child.expect("mambactl up")


def test_what_speaks_something_else_is_shown_out(tiny: HostUnderTest) -> None:
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", pack(b"s", b"x"), b"\xff" * 100):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(tiny.runtime.terminal))
            stream.settimeout(5)
            stream.sendall(garbage)
            with contextlib.suppress(ConnectionResetError):
                while stream.recv(65536):
                    pass
    assert tiny.client.request("ping") == "pong"
    wait_until(lambda: tiny.client.request("session/status")["joined"] == 0)


def test_who_does_not_read_loses_the_connection_and_slows_nobody(tiny: HostUnderTest) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(tiny.runtime.terminal))
        wait_until(lambda: tiny.client.request("session/status")["joined"] == 1)
        tiny.client.command("print('x' * 20_000_000)", timeout_s=20)
        wait_until(lambda: tiny.client.request("session/status")["joined"] == 0)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_messages_are_split_where_they_end(step: int) -> None:
    data = pack(KEYS, b"abc") + pack_size(30, 100) + pack(KEYS, b"")
    splitter = Splitter()
    got = [message for start in range(0, len(data), step) for message in splitter.feed(data[start : start + step])]
    assert [kind for kind, _ in got] == [b"k", b"s", b"k"]
    assert got[0][1] == b"abc"
    assert unpack_size(got[1][1]) == (30, 100)


def test_the_real_console_redraws_its_prompt_for_who_joins(ipython: HostUnderTest) -> None:
    with joined(ipython) as child:
        child.expect(r"In .*\[")
        child.send("6 * 7\r")
        child.expect("42")
        child.send("\x1d")
        child.expect("left; the console runs on")
