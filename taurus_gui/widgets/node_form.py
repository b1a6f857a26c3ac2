"""The parameters of one node as a form: for each its name, how to edit it, its unit, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taurus.external.qt import QtCore, QtWidgets

from mamba.errors import BadValue
from taurus_gui.parameter_schema import Parameter, find_changes
from taurus_gui.widgets.field import make_label, say_briefly
from taurus_gui.widgets.parameter_editor import ParameterEditor, make_editor


class NodeForm(QtWidgets.QWidget):
    """A row for each parameter. Signal: `changed()`.

    Args:
        parameters: of the node's kind.
        present: what is set on the node; the others have their defaults.
    """

    changed = QtCore.Signal()

    def __init__(self, parameters: Sequence[Parameter], present: Mapping[str, Any]) -> None:
        super().__init__()
        self._shown = {each.name: present.get(each.name, each.default) for each in parameters}
        self.editors: dict[str, ParameterEditor] = {}
        self._grid = QtWidgets.QGridLayout(self)
        self._grid.setContentsMargins(12, 8, 12, 8)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        for row, parameter in enumerate(parameters):
            self._add(2 * row, parameter)
        self._grid.setRowStretch(2 * len(parameters), 1)

    def _add(self, row: int, parameter: Parameter) -> None:
        editor = make_editor(parameter, self._shown[parameter.name])
        editor.changed.connect(self.changed)
        self.editors[parameter.name] = editor
        top = QtCore.Qt.AlignTop
        name, units, note = (
            make_label(parameter.name, "value"),
            make_label(parameter.units, "muted"),
            make_label(parameter.note, "muted"),
        )
        for label in (name, units):
            label.setToolTip(parameter.note)
            label.setContentsMargins(0, 4, 0, 0)
        note.setWordWrap(True)
        note.setContentsMargins(0, 0, 0, 8)
        self._grid.addWidget(name, row, 0, top)
        self._grid.addWidget(editor, row, 1, top)
        self._grid.addWidget(units, row, 2, top)
        self._grid.addWidget(note, row + 1, 1, 1, 2, top)

    def read_changes(self) -> dict[str, Any]:
        """The parameters that are others than before; each wrong one is marked at its row.

        Raises:
            BadValue: some are wrong: the first of them, and how many.
        """
        values, wrong = dict[str, Any](), list[BadValue]()
        for name, editor in self.editors.items():
            try:
                values[name] = editor.read()
            except BadValue as error:
                wrong.append(error)
        if wrong:
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise BadValue(f"{say_briefly(wrong[0])}{more}")
        return find_changes(self._shown, values)
