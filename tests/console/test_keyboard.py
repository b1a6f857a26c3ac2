"""Keys that are typed while a command's cell runs: the prompt gets them as they were typed, whatever they are."""

from __future__ import annotations

import pytest

from tests.support.console_link import ConsoleUnderTest

SLOW = "import time; time.sleep(0.4); print('over')"


@pytest.mark.parametrize(
    ("draft", "keys", "text"),
    [
        ("'draft wrong", "\x7f\x7f\x7f\x7f\x7fright'\r", "'draft right'"),
        ("'draft", "\x01x = \x05'\r", "x = 'draft'"),
        ("'draft", "\x15'other'\r", "'other'"),
        ("'draft wrong", "\x17right'\r", "'draft right'"),
        ("'draft", "\x1a'\r", "'draft'"),
    ],
    ids=["backspace", "home and end", "line kill", "word erase", "stop"],
)
def test_keys_typed_in_a_command_s_cell_edit_the_draft(
    console: ConsoleUnderTest, draft: str, keys: str, text: str
) -> None:
    since = len(console.messages)
    console.type(draft)
    number = console.deliver(SLOW)
    console.wait_for("cell/running", id=number)
    console.wait(lambda: console.text.endswith("(operator)\n"), "the command's line")
    begin = len(console.text)
    console.type(keys)
    console.wait_for("cell/done", id=number)
    console.wait(lambda: "over\n" in console.text[begin:], "its output")
    assert console.text[begin:].startswith("over"), "keys are not shown in the output of a cell"
    assert console.wait_for("cell/done", since=since, id=None)["text"] == text


def test_ctrl_c_still_ends_a_command_s_cell(console: ConsoleUnderTest) -> None:
    number = console.deliver("import time; time.sleep(30)")
    console.wait_for("cell/running", id=number)
    console.type("\x03")
    assert console.wait_for("cell/done", id=number)["rep"]["err"] == "interrupted"


def test_input_and_passwords_are_asked_in_a_usual_terminal(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    number = console.deliver("import getpass; asked = input('name? '), getpass.getpass('word? ')")
    console.wait_for("cell/running", since=since, id=number)
    console.wait(lambda: console.text.rstrip().endswith("name?"), "the question")
    console.wait_for("state", since=since, prompt="occupied")
    console.type("Adx\x7fa\r")
    console.wait(lambda: console.text.rstrip().endswith("word?"), "the second question")
    console.type("sesamx\x7fe\r")
    console.wait_for("cell/done", id=number)
    assert console.run("asked")["rep"]["ret"] == ("Ada", "sesame")
    assert "sesam" not in console.text.partition("word?")[2].partition("asked")[0]


def test_a_person_s_own_cell_has_a_usual_terminal(console: ConsoleUnderTest) -> None:
    since = len(console.messages)
    console.type("import termios; bool(termios.tcgetattr(0)[3] & termios.ECHO)\r")
    assert console.wait_for("cell/done", since=since, id=None)["rep"]["ret"] is True
    assert console.run("bool(termios.tcgetattr(0)[3] & termios.ECHO)")["rep"]["ret"] is False
