"""Joining the console through a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import psutil
import pytest

from mamba.session.join_protocol import KEYS, NOTE, TOKEN, Splitter, pack, pack_size, unpack_size
from mamba.session.join_server import JoinServer
from mamba.session.loop import Loop
from mamba.session.terminal import Terminal
from tests.support.session_host import HostUnderTest, wait_until

JOIN = """
import sys; from pathlib import Path; from mamba.session.join import join
sys.exit(join(Path(sys.argv[1]), watch=sys.argv[2] == "True"))
"""


@contextlib.contextmanager
def joined(host: HostUnderTest, *, rows: int = 30, columns: int = 100, watch: bool = False) -> Iterator[pexpect.spawn]:
    """A shell-like terminal in which `join` runs."""
    command = [sys.executable, "-c", JOIN, str(host.runtime.path), str(watch)]
    child = pexpect.spawn(command[0], command[1:], dimensions=(rows, columns), timeout=10, encoding="utf-8")
    child.delaybeforesend = None
    try:
        yield child
    finally:
        child.close(force=True)


def skip_backlog(host: HostUnderTest, child: pexpect.spawn) -> None:
    """Until the child has shown what was written before it joined."""
    mark = f"{time.monotonic_ns()}"
    host.client.command(f"print('now', '{mark}')", timeout_s=10)
    child.expect(f"now {mark}")


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
    command = [sys.executable, "-c", JOIN, str(tmp_path), "False"]
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


def count_joined(host: HostUnderTest) -> int:
    return int(host.client.request("session/status")["joined"])


def test_several_look_and_one_types(tiny: HostUnderTest) -> None:
    with (
        joined(tiny, rows=30, columns=100) as typist,
        joined(tiny, rows=10, columns=40, watch=True) as first,
        joined(tiny, rows=12, columns=50, watch=True) as second,
    ):
        wait_until(lambda: count_joined(tiny) == 3)
        first.send("7777\r")
        first.expect("you are watching; keys but Ctrl-] are not taken")
        typist.send("1 + 1\r")
        for child in (typist, first, second):
            child.expect(r"In \[1\]: 1 \+ 1")
        assert tiny.client.command("import os; tuple(os.get_terminal_size(0))", timeout_s=5) == (100, 30)
        first.send("8888\r\x03")
        first.send("\x1d")
        first.expect("left; the console runs on")
        assert "you are watching" not in first.before
        assert not set(tiny.transcript) & {"7", "8"}
        assert [receipt["text"] for receipt in tiny.client.request("cmd/history")][:1] == ["1 + 1"]


def test_who_may_not_type_is_told_why_until_they_may(tmp_path: Path) -> None:
    loop = Loop()
    reasons = {"": "observers only look", "ada": ""}
    typed: list[bytes] = []
    terminal = Terminal(loop, tmp_path / "transcript", on_output=lambda _: None, on_exit=lambda _: loop.stop())
    path = tmp_path / "terminal"
    server = JoinServer(
        loop,
        path,
        terminal,
        lambda keys, token: typed.append(keys),
        may_type=lambda token: reasons.get(token, "unknown"),
    )
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(5)
            stream.connect(str(path))
            splitter = Splitter()

            def receive() -> tuple[bytes, bytes]:
                while True:
                    for message in splitter.feed(stream.recv(65536)):
                        return message

            stream.sendall(pack(TOKEN, b"") + pack_size(20, 70) + pack(KEYS, b"no") + pack(KEYS, b"no"))
            assert receive() == (NOTE, b"observers only look")
            stream.sendall(pack(TOKEN, b"ada") + pack_size(20, 70) + pack(KEYS, b"yes"))
            wait_until(lambda: typed == [b"yes"])
            assert terminal.size == (20, 70)
            reasons["ada"] = "Eve is in control"
            stream.sendall(pack(KEYS, b"no"))
            assert receive() == (NOTE, b"Eve is in control")
            reasons["ada"] = ""
            stream.sendall(pack(KEYS, b"again"))
            wait_until(lambda: typed == [b"yes", b"again"])
    finally:
        loop.call_from_thread(loop.stop)
        wait_until(lambda: not thread.is_alive(), what="the loop's end")
        server.close()
        terminal.close()


SEQUENCES = {
    "colours": "\x1b[1;38;5;208mwarm\x1b[0m",
    "true colour": "\x1b[38;2;1;2;3mx\x1b[m",
    "mouse": "\x1b[?1000h\x1b[?1006h",
    "paste": "\x1b[?2004h",
    "alternate screen": "\x1b[?1049h\x1b[2J\x1b[H\x1b[?1049l",
    "title": "\x1b]0;beam\x07",
    "letters": "Zürich 25 µm 中文 🙂",
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_what_a_cell_writes_arrives_byte_for_byte(tiny: HostUnderTest, name: str) -> None:
    with joined(tiny) as child:
        skip_backlog(tiny, child)
        text = SEQUENCES[name]
        tiny.client.command(f"import sys; sys.stdout.write('<' + {text!a} + '>'); sys.stdout.flush()", wait=False)
        child.expect_exact(f"<{text}>")


READ_RAW = """
import os, termios, tty
before, got = termios.tcgetattr(0), b""
tty.setraw(0)
print("reads", "now", flush=True)
while not got.endswith(b"~~"):
    got += os.read(0, 100)
termios.tcsetattr(0, termios.TCSANOW, before)
got
"""
"""A cell that reads the terminal as an editor would."""


@pytest.mark.parametrize(
    "keys", ["\x1b[<0;10;5M\x1b[<0;10;5m", "\x1b[200~a\tb\x1b[201~", "\x1a\x1c\x00\x1b[A\x7f", "é中🙂", "\x1b[M !!"]
)
def test_what_is_typed_arrives_byte_for_byte(ipython: HostUnderTest, keys: str) -> None:
    with joined(ipython) as child, ThreadPoolExecutor(1) as pool:
        skip_backlog(ipython, child)
        answer = pool.submit(ipython.client.command, READ_RAW, timeout_s=20)
        child.expect("reads now")
        child.send(f"{keys}~~")
        assert answer.result() == f"{keys}~~".encode()


COUNT = "import time\nfor n in range(200): print(f'<{n}>', flush=True); time.sleep(0.05)"


@pytest.mark.parametrize("key", ["\x1a", "\x1c"], ids=["Ctrl-Z", "quit key"])
def test_stop_and_quit_keys_neither_stop_nor_end_a_running_cell(tiny: HostUnderTest, key: str) -> None:
    pid = tiny.console_pid
    with joined(tiny) as child:
        child.expect("tiny console")
        command = tiny.client.command(COUNT, wait=False)
        child.expect("<3>")
        child.send(key)
        child.expect("<20>")
        assert psutil.Process(pid).status() != psutil.STATUS_STOPPED
        child.send("\x03")
        wait_until(lambda: tiny.client.request("cmd/status", id=command["id"])["state"] == "done")
    assert tiny.console_pid == pid
    assert tiny.client.command("1 + 1", timeout_s=5) == 2


@pytest.mark.parametrize("key", ["\x1a", "\x1c"], ids=["Ctrl-Z", "quit key"])
def test_stop_and_quit_keys_do_nothing_to_ipython(ipython: HostUnderTest, key: str) -> None:
    pid = ipython.console_pid
    with joined(ipython) as child:
        skip_backlog(ipython, child)
        child.send(key)  # at the prompt
        child.send("6 * 7\r")
        child.expect("42")
        command = ipython.client.command(COUNT, wait=False)
        child.expect("<3>")
        child.send(key)  # in a cell
        child.expect("<20>")
        child.send("\x03")
        wait_until(lambda: ipython.client.request("cmd/status", id=command["id"])["state"] == "done")
    assert ipython.console_pid == pid
    assert ipython.client.command("1 + 1", timeout_s=10) == 2


def test_a_pasted_block_waits_for_enter(ipython: HostUnderTest) -> None:
    with joined(ipython) as child:
        skip_backlog(ipython, child)
        child.send("\x1b[200~pasted = 1\npasted += 41\x1b[201~")
        child.expect("41")
        assert ipython.client.command("'pasted' in globals()", timeout_s=10) is False
        child.send("\x1b\r")  # Alt-Enter: whatever the cursor is in
        wait_until(lambda: ipython.client.command("globals().get('pasted')", timeout_s=10) == 42)
