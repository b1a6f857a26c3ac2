"""The prompt belongs to the person: what they are writing survives every delivered command."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.console_link import ConsoleUnderTest

LEFT = "\x1b[D"


def test_draft_and_cursor_come_back(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.type("'left' + 'right'" + LEFT * 8)
    assert console.run("1 + 1")["rep"]["ret"] == 2
    console.type(" 'middle' +\r")
    done = console.wait_for("cell/done", since=since, id=None)
    assert done["text"] == "'left' + 'middle' + 'right'"


def test_nothing_typed_is_lost_and_no_command_is_touched(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    typed = "'" + "the quick brown fox jumps over the lazy dog " * 2 + "'"
    sent: dict[str, int] = {}
    for i, key in enumerate(typed):
        console.type(key)
        if i % 4 == 0:
            sent[console.deliver(f"{i} + 1000")] = i + 1000
        time.sleep(0.03)  # a typist
    for number, result in sent.items():
        assert console.wait_for("cell/done", 20, id=number)["rep"] == {"err": "", "ret": result}
    console.type("\r")
    assert console.wait_for("cell/done", since=since, id=None)["text"] == typed


def test_commands_are_executed_once_and_in_order(console: ConsoleUnderTest) -> None:
    console.run("order = []")
    numbers = [console.deliver(f"order.append({i})") for i in range(30)]
    for number in numbers:
        console.wait_for("cell/done", 20, id=number)
    assert console.run("order")["rep"]["ret"] == list(range(30))


def test_person_s_and_client_s_cells_are_not_swapped(console: ConsoleUnderTest) -> None:
    for i in range(10):
        since = len(console.messages)
        console.type(f"'person {i}'\r")
        number = console.deliver(f"'client {i}'")
        assert console.wait_for("cell/done", id=number)["rep"]["ret"] == f"client {i}"
        assert console.wait_for("cell/done", since=since, id=None)["rep"]["ret"] == f"person {i}"


def test_input_keeps_the_keyboard(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.type("answer = input('name? ')\r")
    console.wait_for("cell/running", since=since)
    console.wait_for("state", since=since, prompt="occupied")
    number = console.deliver("answer")
    assert console.wait_for("cell/waiting", id=number)["why"] == "prompt-occupied"
    console.type("Ada\r")
    assert console.wait_for("cell/done", id=number)["rep"]["ret"] == "Ada"


def test_debugger_keeps_the_keyboard(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    asked = console.deliver("import pdb; pdb.Pdb(nosigint=True).set_trace(); after = 1")
    console.wait_for("cell/running", id=asked)
    console.wait_for("state", since=since, prompt="occupied")
    number = console.deliver("after + 1")
    console.type("x = 41\n")
    console.type("c\n")
    console.wait_for("cell/done", id=asked)
    assert console.wait_for("cell/done", id=number)["rep"]["ret"] == 2


def wait_for_prompt(console: ConsoleUnderTest, n: int) -> None:
    """The prompt is drawn: until then the terminal itself takes Ctrl-R, and shows ^R."""
    console.wait(lambda: console.text.rstrip().endswith(f"In [{n}]:"), "the next prompt")


def test_search_is_not_taken_away(console: ConsoleUnderTest) -> None:
    wait_for_prompt(console, console.run("'something to search for'")["n"] + 1)
    console.type("\x12")
    console.wait(lambda: _is_occupied(console), "occupied")
    number = console.deliver("2 + 2")
    assert console.wait_for("cell/waiting", id=number)["why"] == "prompt-occupied"
    console.type("\x07")
    assert console.wait_for("cell/done", id=number)["rep"]["ret"] == 4
    console.type("\x15")


@pytest.mark.parametrize(
    ("keys", "line", "then"),
    [
        (["M.m", "\t"], "M.m", ["\t", "\r", ".name"]),
        (["M.m", "\t", "\t"], "M.m1", ["\r", ".name"]),
        (["M.m", "\t", "\t", "\t"], "M.m2", ["\r", ".name"]),
        (["M.m", "\t", "\t"], "M.m1", ["\t", "\r", ".name"]),
        (["M.m or M.m1", *[LEFT] * 8, "\t", "\t"], "M.m1", ["\t", "\r", "\x05", ".name"]),
        (["M.m", "\t"], "M.m", ["\x07", "\x15", "'left'"]),
    ],
    ids=["open", "first chosen", "second chosen", "goes on", "in the middle", "left"],
)
def test_menu_is_put_back_with_its_entry(
    console: ConsoleUnderTest, keys: list[str], line: str, then: list[str]
) -> None:
    """The keys come to the same, whether a command came in between or not."""
    wait_for_prompt(console, console.run("'before'")["n"] + 1)
    undisturbed = press_all(console, [*keys, *then, "\r"])
    wait_for_prompt(console, undisturbed["n"] + 1)
    press_all(console, keys)
    console.wait(lambda: console.line.endswith(f"]: {line}"), f"{line} at the prompt")
    shown = len(console.text)
    n = console.run("2 + 2")["n"]
    console.wait(lambda: "m2" in console.text[shown:].partition(f"In [{n + 1}]")[2], "the menu again")
    assert press_all(console, [*then, "\r"])["text"] == undisturbed["text"]


def press_all(console: ConsoleUnderTest, keys: list[str]) -> dict[str, Any]:
    """Press key by key, as a person who looks at the screen; returns the typed cell if the last one was Enter."""
    since = len(console.messages)
    for key in keys:
        shown = len(console.screen)
        console.type(key)
        console.wait(lambda shown=shown: len(console.screen) > shown, f"something shown for {key!r}")
    return console.wait_for("cell/done", since=since, id=None) if keys[-1] == "\r" else {}


def _is_occupied(console: ConsoleUnderTest) -> bool:
    states = [m["prompt"] for m in console.messages if m["typ"] == "state"]
    return states[-1] == "occupied"


def test_waiting_command_can_be_withdrawn(console: ConsoleUnderTest) -> None:
    first = console.deliver("import time; time.sleep(0.5)")
    console.wait_for("cell/running", id=first)
    second = console.deliver("withdrawn = True")
    console.wait_for("cell/waiting", id=second)
    console.send("cell/cancel", id=second)
    assert console.wait_for("cell/cancelled", id=second)["rep"]["err"] == "cancelled"
    assert console.run("'withdrawn' in globals()")["rep"]["ret"] is False


def test_ctrl_c_interrupts_a_delivered_cell(console: ConsoleUnderTest) -> None:
    number = console.deliver("import time; time.sleep(30)")
    console.wait_for("cell/running", id=number)
    console.type("\x03")
    assert console.wait_for("cell/done", id=number)["rep"]["err"] == "interrupted"
    assert console.run("1 + 1")["rep"]["ret"] == 2


def test_cell_that_fills_the_next_prompt_does_not_lose_the_draft(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.type("'draft'")
    console.wait(lambda: console.line.endswith("]: 'draft'"), "the draft at the prompt")
    console.run("get_ipython().set_next_input('other')")
    console.type("\r")
    assert console.wait_for("cell/done", since=since, id=None)["text"] == "'draft'"


def test_link_comes_back_with_the_host(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.restart_host()
    assert console.wait_for("hello", since=since)["pid"] == console.child.pid
    console.wait_for("ready", since=since)
    assert console.run("1 + 1")["rep"]["ret"] == 2


def test_vi_mode_comes_back(start_console: Callable[..., ConsoleUnderTest]) -> None:
    from tests.console.conftest import SIMULATED
    from tests.support.console_link import PROFILE

    console = start_console(SIMULATED, PROFILE.replace("startup.py", "startup.py, editing_mode: vi"))
    since = len(console.messages)
    console.type("'abc'\x1b")
    time.sleep(0.7)  # vi's Escape is one once nothing follows it in time
    assert console.run("1 + 1")["rep"]["ret"] == 2
    console.type("hix\x1b")
    time.sleep(0.7)
    console.type("\r")
    assert console.wait_for("cell/done", since=since, id=None)["text"] == "'abxc'"
