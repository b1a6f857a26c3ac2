"""Commands and drafts with an event loop of windows, or asyncio's, turning at the prompt; and without it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console.conftest import started
from tests.support.console_link import ConsoleUnderTest


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConsoleUnderTest]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("DISPLAY", ":none")  # IPython wants one; Qt, offscreen, never looks
    with started() as console:
        yield console


def check_commands_and_draft(console: ConsoleUnderTest) -> None:
    """Commands are answered and in order, one after the other and all at once; the draft comes back; Ctrl-C works."""
    since = len(console.messages)
    console.type("'left' + 'right'" + "\x1b[D" * 8)
    assert [console.run(f"{i} + 1")["rep"] for i in range(10)] == [{"err": "", "ret": i + 1} for i in range(10)]
    numbers = [console.deliver(f"'at once {i}'") for i in range(10)]
    assert [console.wait_for("cell/done", id=n)["rep"]["ret"] for n in numbers] == [f"at once {i}" for i in range(10)]
    console.type(" 'middle' +\r")
    assert console.wait_for("cell/done", since=since, id=None)["text"] == "'left' + 'middle' + 'right'"
    number = console.deliver("import time; time.sleep(30)")
    console.wait_for("cell/running", id=number)
    console.type("\x03")
    assert console.wait_for("cell/done", id=number)["rep"]["err"] == "interrupted"


TICKS = "ticks = []; timer = QTimer(); timer.timeout.connect(lambda: ticks.append(1)); timer.start(5)"


def test_windows_turn_while_the_prompt_waits(console: ConsoleUnderTest) -> None:
    assert console.run("%gui qt5", 30)["rep"]["err"] == ""
    assert console.run("from PyQt5.QtCore import QTimer; from PyQt5.QtWidgets import QApplication")["rep"]["err"] == ""
    console.run("app = QApplication.instance() or QApplication([])")
    console.run(TICKS)
    check_commands_and_draft(console)
    before = console.run("len(ticks)")["rep"]["ret"]
    console.wait(lambda: console.run("len(ticks)")["rep"]["ret"] > before + 10, "the timer of a window")
    console.run("timer.stop()")
    assert console.run("%gui")["rep"]["err"] == ""
    check_commands_and_draft(console)


@pytest.mark.soak
def test_figures_stay_alive(console: ConsoleUnderTest) -> None:
    console.run("from PyQt5.QtWidgets import QApplication; app = QApplication([])")
    assert console.run("%matplotlib qt5", 30)["rep"]["err"] == ""
    text = "import matplotlib.pyplot as plt; figure, axes = plt.subplots(); line, = axes.plot([1, 2, 3]); plt.show()"
    assert console.run(text, 60)["rep"]["err"] == ""
    console.run("drawn = []; figure.canvas.mpl_connect('draw_event', drawn.append)")
    check_commands_and_draft(console)
    before = console.run("line.set_ydata([3, 2, 1]); figure.canvas.draw_idle(); len(drawn)")["rep"]["ret"]
    console.wait(lambda: console.run("len(drawn)")["rep"]["ret"] > before, "the figure is drawn")
    assert console.run("plt.fignum_exists(figure.number)")["rep"]["ret"] is True
    console.run("plt.close('all')")
    check_commands_and_draft(console)


def test_asyncio_tasks_go_on_while_the_prompt_waits(console: ConsoleUnderTest) -> None:
    assert console.run("import asyncio\nawait asyncio.sleep(0.01)\n'waited'")["rep"]["ret"] == "waited"
    assert console.run("%gui asyncio")["rep"]["err"] == ""
    ticking = "ticks = []\nasync def tick():\n    while True:\n        ticks.append(1); await asyncio.sleep(0.005)\n"
    console.run(ticking + "task = asyncio.create_task(tick()); await asyncio.sleep(0)")
    check_commands_and_draft(console)
    console.wait(lambda: console.run("len(ticks)")["rep"]["ret"] > 20, "the task")
    assert console.run("task.cancel(); await asyncio.wait([task])", 10)["rep"]["err"] == ""
    assert console.run("await asyncio.sleep(0.01, 'and back')")["rep"]["ret"] == "and back"
    assert console.run("%gui")["rep"]["err"] == ""
    check_commands_and_draft(console)
