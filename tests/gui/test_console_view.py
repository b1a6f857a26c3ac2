"""The console's output in the window."""

from __future__ import annotations

import time

from PyQt5 import QtTest
from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.config import Profile
from mamba.runtime import RuntimeDirectory
from taurus_gui.operator import Operator
from taurus_gui.style import BAD, PAPER
from taurus_gui.widgets.console_view import read_grey
from tests.gui.conftest import opened_window
from tests.gui.support import PracticeHost
from tests.support.tango_facility import TangoFacility


def open_console(operator: Operator) -> None:
    """Click the tab."""
    bars = operator.window.findChildren(QtWidgets.QTabBar)
    bar, tab = next((bar, n) for bar in bars for n in range(bar.count()) if bar.tabText(n) == "Console")
    QtTest.QTest.mouseClick(bar, QtCore.Qt.LeftButton, pos=bar.tabRect(tab).center())
    operator.wait_until(operator.window.console.edit.isVisible, what="the console's panel")


def text(operator: Operator) -> str:
    return str(operator.window.console.edit.toPlainText())


def wait_text(operator: Operator, wanted: str, *, timeout_s: float = 10.0) -> None:
    operator.wait_until(lambda: wanted in text(operator), what=f"{wanted!r} in the console", timeout_s=timeout_s)


def first_line_in_sight(operator: Operator) -> str:
    return str(operator.window.console.edit.firstVisibleBlock().text())


def format_at(operator: Operator, wanted: str) -> QtGui.QTextCharFormat:
    edit = operator.window.console.edit
    return edit.document().find(wanted).charFormat()


def test_output_is_shown_as_it_comes_and_nothing_can_be_typed(operator: Operator, host: PracticeHost) -> None:
    open_console(operator)
    host.print("In [1]: 1 / 0\r\n\x1b[31mZeroDivisionError\x1b[0m: division by zero\r\n")
    wait_text(operator, "In [1]: 1 / 0\nZeroDivisionError: division by zero")
    assert format_at(operator, "ZeroDivisionError").foreground().color().name() == BAD
    before = text(operator)
    QtTest.QTest.keyClicks(operator.window.console.edit, "exit()")  # type: ignore[call-arg]
    assert text(operator) == before
    host.print("\x1b[1A\x1b[2KNameError")
    wait_text(operator, "In [1]: 1 / 0\nNameError")
    assert "Zero" not in text(operator)


def test_colours_for_a_black_terminal_can_be_read_on_paper(operator: Operator, host: PracticeHost) -> None:
    open_console(operator)
    codes = {"light": "38;5;229", "leaf": "38;5;148", "white": "97", "reverse": "7", "blue": "44;37"}
    host.print(" ".join(f"\x1b[{code}m{word}\x1b[0m" for word, code in codes.items()) + "\r\n")
    wait_text(operator, "light leaf white reverse blue")
    paper = QtGui.QColor(PAPER)
    for word in codes:
        made = format_at(operator, word)
        ground = made.background().color() if made.hasProperty(QtGui.QTextFormat.BackgroundBrush) else paper
        assert abs(read_grey(made.foreground().color()) - read_grey(ground)) >= 100, word


def test_who_comes_late_sees_what_was_printed_before(
    operator: Operator, host: PracticeHost, runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    host.print("".join(f"line {n}\r\n" for n in range(500)))
    operator.wait_until(lambda: "line 499" in host.output, what="the output")
    with opened_window(runtime, profile, tango_facility) as late:
        late.wait_ready()
        open_console(late)
        wait_text(late, "line 499")
        assert text(late).startswith("line 0\nline 1\n")
        host.print("live\r\n")
        wait_text(late, "line 499\nlive")
        open_console(operator)
        wait_text(operator, "line 499\nlive")
        assert text(operator).count("live") == text(late).count("live") == 1


def test_it_follows_the_end_until_somebody_scrolls_up(operator: Operator, host: PracticeHost) -> None:
    open_console(operator)
    edit = operator.window.console.edit
    bar = edit.verticalScrollBar()
    host.print("".join(f"line {n}\r\n" for n in range(300)))
    wait_text(operator, "line 299")
    assert bar.value() == bar.maximum()
    bar.setValue(100)
    read = first_line_in_sight(operator)
    assert read == "line 100"
    host.print("".join(f"line {n}\r\n" for n in range(300, 600)))
    wait_text(operator, "line 599")
    assert first_line_in_sight(operator) == read
    bar.setValue(bar.maximum())
    host.print("the end\r\n")
    wait_text(operator, "the end")
    assert bar.value() == bar.maximum()


def test_what_is_read_stays_in_sight_while_old_lines_fall_off(operator: Operator, host: PracticeHost) -> None:
    open_console(operator)
    edit = operator.window.console.edit
    most = edit.document().maximumBlockCount()
    for first in range(0, most, 1000):
        host.print("".join(f"line {n}\r\n" for n in range(first, first + 1000)))
        wait_text(operator, f"line {first + 999}")
    edit.verticalScrollBar().setValue(3000)
    read = first_line_in_sight(operator)
    host.print("".join(f"line {n}\r\n" for n in range(most, most + 900)))
    wait_text(operator, f"line {most + 899}")
    assert edit.document().blockCount() == most
    assert first_line_in_sight(operator) == read


def test_a_selection_survives_new_output(operator: Operator, host: PracticeHost) -> None:
    open_console(operator)
    host.print("".join(f"line {n}\r\n" for n in range(100)))
    wait_text(operator, "line 99")
    edit = operator.window.console.edit
    edit.setTextCursor(edit.document().find("line 7"))
    host.print("more\r\n")
    wait_text(operator, "more")
    edit.copy()
    assert QtWidgets.QApplication.clipboard().text() == "line 7"


def test_a_flood_never_freezes_the_window(operator: Operator, host: PracticeHost) -> None:
    """200 MB in notices as large as they get, and faster than any host sends them."""
    open_console(operator)
    chunk = ("0123456789" * 7 + "\r\n") * 900
    console, longest_s = operator.window.console, 0.0
    paints = QtTest.QSignalSpy(console.edit.document().contentsChanged)
    started = time.monotonic()
    for sent in range(20, 3120, 20):
        for _ in range(20):
            host.print(chunk)
        while console.seq < sent:
            began = time.thread_time()  # of this thread: the host is in the same process here
            QtWidgets.QApplication.processEvents()
            longest_s = max(longest_s, time.thread_time() - began)
    host.print("\r\nthe end\r\n")
    wait_text(operator, "the end")
    assert longest_s < 1  # 0.05 on a quiet machine; without the limits it is tens of seconds
    assert "MB of output left out" in text(operator)
    assert 3 < len(paints) <= 20 * (time.monotonic() - started) + 1


def test_nothing_is_emulated_while_nobody_looks(operator: Operator, host: PracticeHost) -> None:
    console = operator.window.console
    host.print("\x1b[32mhidden\x1b[0m\r\n", dropped=5000)
    operator.wait_until(lambda: console.seq == 1, what="the notice")
    assert not console._timer.isActive()
    assert text(operator) == ""
    open_console(operator)
    wait_text(operator, "5 kB of output left out …\nhidden")


def test_a_new_host_brings_a_new_console(
    runtime: RuntimeDirectory, profile: Profile, tango_facility: TangoFacility
) -> None:
    with opened_window(runtime, profile, tango_facility) as operator:
        open_console(operator)
        with PracticeHost(runtime) as first:
            first.output = "the first\r\n"
            operator.wait_ready()
            wait_text(operator, "the first")
        operator.wait_until(lambda: not operator.window.backend.is_connected, what="the loss of the host")
        assert "the first" in text(operator)
        with PracticeHost(runtime) as second:
            second.output = "the second\r\n"
            wait_text(operator, "the second")
            assert "the first" not in text(operator)


def test_a_lost_notice_makes_it_read_the_output_again(operator: Operator, host: PracticeHost) -> None:
    open_console(operator)
    host.print("one\r\n")
    wait_text(operator, "one")
    host.output += "two\r\n"
    host.skip_notice("console/output")
    host.print("three\r\n")
    wait_text(operator, "one\ntwo\nthree")
