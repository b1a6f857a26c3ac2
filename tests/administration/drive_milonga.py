"""Works tango-milonga's window as a hand would: opens a device, edits a property, presses Apply twice, sees it.

`python -m tests.administration.drive_milonga HOST:PORT DEVICE PROPERTY VALUE PICTURE`, with `.venv/milonga` on the path
and QT_API=PySide6: it has a Qt of its own, so it never shares a process with ours. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

import qasync
from milonga.ui.app import AppOptions, Shell, build_context, shutdown
from milonga.ui.dialogs import DiffDialog
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QLabel, QLineEdit, QPushButton


async def wait_until(look: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(30):
        while not look():
            await asyncio.sleep(0.02)
    print(what, file=sys.stderr)


def press_apply() -> None:
    """Confirm what the window says it will write, as soon as it asks."""
    dialog = QApplication.activeModalWidget()
    if not isinstance(dialog, DiffDialog):
        QTimer.singleShot(20, press_apply)
        return
    buttons = dialog.findChild(QDialogButtonBox)
    QTest.mouseClick(buttons.button(QDialogButtonBox.StandardButton.Apply), Qt.LeftButton)


async def drive(app: QApplication, host: str, device: str, name: str, value: str, picture: str) -> dict[str, object]:
    options = AppOptions(tango_host=host, open=(device,))
    context = await build_context(options)
    window = Shell(app, context, options).start()
    try:
        await window.idle()
        panel = window.current_panel()
        panel.tabs.setCurrentWidget(panel.properties)
        model, view = panel.properties.model, panel.properties.view
        await wait_until(lambda: model.row_named(name) >= 0, "the property is shown")
        before = list(model.rows[model.row_named(name)].values)
        cell = model.index(model.row_named(name), 1)
        view.setCurrentIndex(cell)
        view.edit(cell)
        await wait_until(lambda: view.findChild(QLineEdit), "its editor is open")
        field = view.findChild(QLineEdit)
        field.selectAll()
        QTest.keyClicks(field, value)
        QTest.keyClick(field, Qt.Key_Return)
        apply: QPushButton = panel.properties.apply_button
        await wait_until(apply.isEnabled, "Apply is offered")
        QTimer.singleShot(20, press_apply)
        QTest.mouseClick(apply, Qt.LeftButton)
        await wait_until(lambda: not apply.isEnabled(), "it was written")
        await window.idle()
        errors = [
            problem.text()
            for problem in panel.findChildren(QLabel)
            if "Error" in problem.text() and problem.isVisible()
        ]
        window.grab().save(picture)
        domains = [str(d) for d in await context.backend.get_device_list()]
        return {
            "before": before,
            "errors": errors,
            "after": list(model.rows[model.row_named(name)].values),
            "devices": domains,
        }
    finally:
        await shutdown(context)


def main() -> None:
    app = QApplication([])
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    with loop:
        print(json.dumps(loop.run_until_complete(drive(app, *sys.argv[1:]))))


if __name__ == "__main__":
    main()
