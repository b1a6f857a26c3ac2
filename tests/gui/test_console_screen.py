from __future__ import annotations

import time

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taurus_gui.console_screen import KEPT_CHARS, ConsoleScreen, Line, Piece


def emulate(*outputs: str, columns: int = 40, rows: int = 5) -> ConsoleScreen:
    screen = ConsoleScreen(columns, rows)
    for output in outputs:
        screen.write(output)
    finish(screen)
    return screen


def finish(screen: ConsoleScreen) -> None:
    while screen.is_busy:
        screen.work(1.0)


def read(lines: list[Line]) -> list[str]:
    return ["".join(piece.text for piece in line) for line in lines]


def test_lines_scroll_off_the_screen_and_are_told_once() -> None:
    screen = emulate("".join(f"line {n}\r\n" for n in range(12)))
    assert read(screen.take_scrolled()) == [f"line {n}" for n in range(8)]
    assert read(screen.lines()) == ["line 8", "line 9", "line 10", "line 11", ""]
    assert screen.take_scrolled() == []


def test_appearance_is_kept() -> None:
    line = emulate("\x1b[1;32mIn\x1b[0m [\x1b[38;5;229m1\x1b[0m]  \x1b[7m x \x1b[0m").lines()[0]
    assert line[0] == Piece("In", fg="green", bold=True)
    assert line[1] == Piece(" [")
    assert line[2].fg == "ffffaf"
    assert line[-1] == Piece(" x ", reverse=True)


def test_a_prompt_that_is_redrawn_in_place_is_one_line() -> None:
    screen = emulate("In [1]: 1 + ", "\r\x1b[2K", "In [1]: 1 + 1", "\x1b[3", "1m!\x1b[0m")
    assert read(screen.lines()) == ["In [1]: 1 + 1!"]
    assert screen.lines()[0][-1].fg == "red"


def test_wide_characters_take_their_place() -> None:
    assert read(emulate("样品 position é\r\n").lines())[0] == "样品 position é"


def test_of_a_flood_the_end_is_kept_and_the_rest_counted() -> None:
    screen = ConsoleScreen()
    started = time.monotonic()
    for n in range(2000):
        screen.write(f"{n:06d} ".ljust(99, "x") + "\r\n" + ("y" * 99 + "\r\n") * 999)
    screen.write("the end")
    assert time.monotonic() - started < 10  # 200 MB; a second on a quiet machine
    finish(screen)
    lines = read([*screen.take_scrolled(), *screen.lines()])
    assert lines[-1] == "the end"
    assert lines[1].endswith(" MB of output left out …")
    assert len(lines) < KEPT_CHARS / 99


def test_what_the_host_dropped_is_counted_too() -> None:
    screen = emulate("before\r\n")
    screen.write("after", dropped=3_000_000)
    finish(screen)
    assert read(screen.lines()) == ["before", "", "… 3.0 MB of output left out …", "after"]


@pytest.mark.alone
def test_work_ends_when_its_time_is_over() -> None:
    screen = ConsoleScreen()
    screen.write("x" * KEPT_CHARS)
    started = time.monotonic()
    screen.work(0.005)
    assert time.monotonic() - started < 0.1
    assert screen.is_busy


_CODES = st.text("0123456789;?>!$ \"'[]()#%hlmABCDEHJKLMPXSTfgnrsu@`\x07\x08\t\n\r\x0e\x0f\x18\\é样", max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["\x1b", "\x1b[", "\x1b]", "\x9b", "\x1bP", ""]), _CODES), max_size=8))
def test_no_output_whatever_ends_the_view(parts: list[tuple[str, str]]) -> None:
    screen = emulate(*(start + codes for start, codes in parts))
    screen.write("\x18\x07\x1b\\\x1bc\r\nstill there")
    finish(screen)
    assert "still there" in read(screen.lines())


def test_what_pyte_refuses_leaves_the_rest_as_it_is() -> None:
    strange = "\x1b[?1A\x1b[1;2;3A\x1b[9J"
    refused = 0
    for sequence in strange.split("\x1b")[1:]:
        try:
            pyte.Stream(pyte.Screen(10, 3)).feed(f"\x1b{sequence}")
        except Exception:  # noqa: BLE001  # of any class: that is what is shown here
            refused += 1
    assert refused == 3
    assert read(emulate(f"a{strange}b\r\n").lines())[0] == "ab"
