"""The parameters of a graph's nodes: shown as a form, changed by a command that can be read before it is sent.

The dialog changes nothing itself and hinders nothing: it stays open beside the window, and what a command did is asked
for anew once it is done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from taurus.external.qt import QtCore, QtWidgets

from mamba.errors import BadValue
from mamba.wire.messages import Reply
from taurus_gui.command_text import parameters_command
from taurus_gui.parameter_schema import read_parameters
from taurus_gui.receipt import Receipt
from taurus_gui.widgets.command_preview import CommandPreview
from taurus_gui.widgets.field import ElidedLabel, make_button, make_label, say_briefly
from taurus_gui.widgets.node_form import NodeForm

_SIZE = (640, 620)
_ERROR_LINES = 5
_SENT = "sent: the tab Commands says what it waits for"


class NodeParameters(QtWidgets.QDialog):
    """Shows one node at a time of one detector's graph. What was typed for another node stays until it is closed.

    Signals: `graph_wanted(str)`: a detector; `kind_wanted(str)`: a kind of nodes; `run_requested(str, object)`: a
    command, and what is called with its receipt. The answers come through `show_graph` and `show_kind`.
    """

    graph_wanted = QtCore.Signal(str)
    kind_wanted = QtCore.Signal(str)
    run_requested = QtCore.Signal(str, object)

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self.resize(*_SIZE)
        self.node = QtWidgets.QComboBox()
        self.node.setAccessibleName("node")
        self.doc = ElidedLabel("muted")
        self.scroll = QtWidgets.QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self.form: NodeForm | None = None
        self.preview = CommandPreview(rows=3)
        self.preview.note.setWordWrap(True)
        self.error = make_label("", "error")
        self.error.setWordWrap(True)
        self.error.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
        self.shut = make_button("Close")
        for button in (self.preview.run, self.preview.copy, self.shut):
            button.setAutoDefault(False)  # Enter in a field of the form must send nothing
        self._lay_out()
        self._device = self._wanted = self._why_not = self._problem = self._said = ""
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._kinds: dict[str, Mapping[str, Any]] = {}
        self._drafts: dict[str, tuple[Mapping[str, Any], NodeForm]] = {}  # by name: the node as it was, and its form
        self._is_sent = False
        self.node.currentTextChanged.connect(self._choose_node)
        self.preview.run_requested.connect(self._send)
        self.shut.clicked.connect(lambda *_: self.close())

    def _lay_out(self) -> None:
        head = QtWidgets.QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(make_label("Node"))
        head.addWidget(self.node)
        head.addWidget(self.doc, 1)
        foot = QtWidgets.QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.shut)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self.scroll, 1)
        layout.addWidget(make_label("Command", "head"))
        layout.addWidget(self.preview)
        layout.addWidget(self.error)
        layout.addLayout(foot)

    def open_for(self, device: str, node: str) -> None:
        """Show a node of a detector's graph, as it is now; "" for the first node that takes parameters."""
        if device != self._device or not self.isVisible():
            self._drafts = {}
        self._device, self._wanted, self._said = device, node, ""
        self._nodes, self._kinds = {}, {}
        self.setWindowTitle(f"Parameters: {device}")
        self._show_error("")
        self._show_form(None)
        self.graph_wanted.emit(device)
        self.show()
        self.raise_()
        self.activateWindow()

    def allow_commands(self, why_not: str) -> None:
        """Let the command be sent, or say why not."""
        self._why_not = why_not
        self._offer()

    def show_graph(self, reply: Reply) -> None:
        """Show the answer to `graph/describe`."""
        if reply.ok and reply.value["device"] != self._device:
            return  # of a detector that was looked at before
        if not reply.ok:
            self._show_error(reply.desc or reply.err)
            return
        self._nodes = {node["name"]: node for node in reply.value["nodes"]}
        self.setWindowTitle(f"Parameters: {reply.value['name']} of {self._device}")
        chosen = self._find_node(self._wanted or self.node.currentText())
        blocked = self.node.blockSignals(True)
        self.node.clear()
        self.node.addItems(list(self._nodes))
        self.node.setCurrentText(chosen)
        self.node.blockSignals(blocked)
        self._show_node(self.node.currentText())

    def _find_node(self, name: str) -> str:
        """The node of that name, or whose writers are called `name_1`, …; else the first with parameters, or of all."""
        for known in (name, re.sub(r"_\d+$", "", name)):
            if known in self._nodes:
                return known
        given = (known for known, node in self._nodes.items() if node.get("parameters"))
        return next(given, next(iter(self._nodes), ""))

    def _choose_node(self, name: str) -> None:
        self._said = ""
        self._show_error("")
        self._show_node(name)

    def _show_node(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None:
            return
        self._wanted = name
        page = self._kinds.get(node["kind"])
        if page is None:
            self._show_form(None)
            self.kind_wanted.emit(node["kind"])
            return
        self.doc.setText(f"{node['kind']}: {page['doc'].partition(chr(10))[0]}")
        as_it_was, form = self._drafts.get(name, (None, None))
        if form is None or as_it_was != node:
            form = NodeForm(read_parameters(page["parameters"]), node.get("parameters") or {})
            form.changed.connect(self._note_change)
            self._drafts[name] = (node, form)
        self._show_form(form)

    def show_kind(self, reply: Reply) -> None:
        """Show the answer to `graph/kinds` of one kind."""
        if not reply.ok:
            self._show_error(reply.desc or reply.err)
            return
        for page in reply.value:
            self._kinds[page["kind"]] = page
        if self.form is None:
            self._show_node(self._wanted)

    def _show_form(self, form: NodeForm | None) -> None:
        self.form = form
        if form is None:
            self.doc.setText("")
        shown = form if form is not None and form.editors else make_label("" if form is None else "takes no parameters")
        self.scroll.takeWidget()  # it would be deleted
        self.scroll.setWidget(shown)
        self._rebuild()

    def _note_change(self) -> None:
        self._said = ""
        self._show_error("")
        self._rebuild()

    def _rebuild(self) -> None:
        """Make the command anew; while a field is wrong there is none, and beside the button stands why."""
        try:
            changes = {} if self.form is None else self.form.read_changes()
            text, self._problem = parameters_command(self._device, self._wanted, changes), ""
        except BadValue as error:
            text, self._problem = "", say_briefly(error)
        self.preview.show_command(text)
        self._offer()

    def _offer(self) -> None:
        why_not = self._why_not or (_SENT if self._is_sent else self._problem)
        self.preview.allow_commands(why_not)
        self.preview.note.setText(self._said or why_not)

    def _send(self, text: str) -> None:
        self._is_sent = True
        self._show_error("")
        self._offer()
        device = self._device
        self.run_requested.emit(text, lambda receipt: self._show_outcome(device, receipt))

    def _show_outcome(self, device: str, receipt: Receipt) -> None:
        self._is_sent = False
        if device != self._device:
            self._offer()
            return
        if receipt.failed:
            self._show_error("\n".join((receipt.desc.strip() or receipt.err).splitlines()[:_ERROR_LINES]))
            self._offer()
            return
        self._said = f"In [{receipt.n}] done"
        self.graph_wanted.emit(device)

    def _show_error(self, text: str) -> None:
        self.error.setText(text)
        self.error.setVisible(bool(text))
