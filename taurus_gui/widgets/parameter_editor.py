"""One parameter of a node, edited: a check box, a list to choose from, a line, or a text of several lines."""

from __future__ import annotations

from typing import Any

from taurus.external.qt import QtCore, QtGui, QtWidgets

from mamba.errors import BadValue
from taurus_gui.parameter_schema import UNSET, Parameter
from taurus_gui.style import make_fixed_font, set_property
from taurus_gui.widgets.field import ErrorLine, say_briefly

_MOST_ROWS = 8


class ParameterEditor(QtWidgets.QWidget):
    """Edits one parameter and shows what is wrong with it beneath. Signal: `changed()`.

    Args:
        parameter: which.
        value: what it is now; UNSET for nothing.
        input: the widget that is edited.
    """

    changed = QtCore.Signal()

    def __init__(self, parameter: Parameter, value: Any, input: QtWidgets.QWidget) -> None:
        super().__init__()
        self.parameter, self.value, self.input = parameter, value, input
        input.setAccessibleName(parameter.name)
        input.setToolTip(parameter.note)
        self.error = ErrorLine()
        self.error.setWordWrap(True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(input)
        layout.addWidget(self.error)

    def read(self) -> Any:
        """The value; what it was for one that nobody touched.

        Raises:
            BadValue: it is none, or beyond its limits; shown beneath as well.
        """
        try:
            value = self._read()
            if value is UNSET and self.value is not UNSET:
                raise BadValue(f"{self.parameter.name}: nothing is given", remedy="write [] or {} for an empty one")
        except BadValue as error:
            self._show_error(say_briefly(error))
            raise
        self._show_error("")
        return value

    def _read(self) -> Any:
        raise NotImplementedError

    def _show_error(self, text: str) -> None:
        set_property(self.input, "invalid", bool(text))
        self.error.show_text(text)


class _Switch(ParameterEditor):
    def __init__(self, parameter: Parameter, value: Any) -> None:
        self._box = QtWidgets.QCheckBox()
        self._box.setChecked(bool(value))
        super().__init__(parameter, value, self._box)
        self._box.toggled.connect(lambda *_: self.changed.emit())

    def _read(self) -> Any:
        return bool(self._box.isChecked())


class _QuietCombo(QtWidgets.QComboBox):
    """A list that the wheel turns only once it was clicked: who scrolls the form past it changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(QtCore.Qt.StrongFocus)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        """Qt's hook."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _Choice(ParameterEditor):
    def __init__(self, parameter: Parameter, value: Any) -> None:
        self._combo = _QuietCombo()
        self._combo.addItems([parameter.write(choice) for choice in parameter.choices])
        self._combo.setCurrentIndex(parameter.choices.index(value) if value in parameter.choices else -1)
        super().__init__(parameter, value, self._combo)
        self._combo.currentIndexChanged.connect(lambda *_: self.changed.emit())

    def _read(self) -> Any:
        chosen = self._combo.currentIndex()
        return self.value if chosen < 0 else self.parameter.choices[chosen]


class _Line(ParameterEditor):
    def __init__(self, parameter: Parameter, value: Any) -> None:
        self._edit = QtWidgets.QLineEdit(parameter.write(value))
        self._edit.setCursorPosition(0)
        self._edit.setPlaceholderText("none" if parameter.nullable else "")
        self._before = self._edit.text()
        super().__init__(parameter, value, self._edit)
        self._edit.textChanged.connect(lambda *_: self.changed.emit())

    def _read(self) -> Any:
        text = str(self._edit.text())
        return self.value if text == self._before else self.parameter.read(text)


class _Lines(ParameterEditor):
    def __init__(self, parameter: Parameter, value: Any) -> None:
        self._edit = QtWidgets.QPlainTextEdit(parameter.write(value))
        self._edit.setFont(make_fixed_font())
        self._edit.setTabChangesFocus(True)
        self._edit.setLineWrapMode(QtWidgets.QPlainTextEdit.NoWrap)
        self._edit.setPlaceholderText("none" if parameter.nullable else "")
        self._before = self._edit.toPlainText()
        super().__init__(parameter, value, self._edit)
        self._edit.textChanged.connect(self._note_change)
        self._fit()

    def _note_change(self) -> None:
        self._fit()
        self.changed.emit()

    def _fit(self) -> None:
        """As high as its text, up to eight lines; a line more leaves room for the bar of a long line."""
        rows = min(self._edit.blockCount(), _MOST_ROWS) + 1
        self._edit.setFixedHeight(QtGui.QFontMetrics(self._edit.font()).lineSpacing() * rows + 12)

    def _read(self) -> Any:
        text = str(self._edit.toPlainText())
        return self.value if text == self._before else self.parameter.read(text)


def make_editor(parameter: Parameter, value: Any) -> ParameterEditor:
    """The editor that fits a parameter."""
    kinds = {"switch": _Switch, "choice": _Choice, "number": _Line, "text": _Line, "structure": _Lines}
    return kinds[parameter.editor](parameter, value)
