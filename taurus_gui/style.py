"""Colours, fonts and the style sheet: quiet, so that what moves or is wrong stands out."""

from __future__ import annotations

from taurus.external.qt import QtGui, QtWidgets

INK, MUTED, LINE, PAPER, PANEL = "#1f2933", "#66737f", "#d5dbe1", "#ffffff", "#f4f6f8"
ACCENT, GOOD, BUSY, WARN, BAD = "#1f6feb", "#2e7d4f", "#1f6feb", "#b7791f", "#c0392b"
CURVE = "#1f6feb"

STATE_COLOURS = {
    "ON": GOOD,
    "OPEN": GOOD,
    "EXTRACT": GOOD,
    "CLOSE": MUTED,
    "INSERT": MUTED,
    "OFF": MUTED,
    "STANDBY": WARN,
    "MOVING": BUSY,
    "RUNNING": BUSY,
    "INIT": BUSY,
    "ALARM": WARN,
    "DISABLE": MUTED,
    "FAULT": BAD,
    "UNKNOWN": MUTED,
}
"""Tango state → colour of its badge."""

CONSOLE_COLOURS = {
    "black": INK,
    "red": BAD,
    "green": GOOD,
    "brown": "#8a5a00",
    "blue": "#1a56c4",
    "magenta": "#8e3fa8",
    "cyan": "#0f766e",
    "white": MUTED,
    "brightblack": MUTED,
    "brightred": "#d9483b",
    "brightgreen": "#38915d",
    "brightbrown": "#a06a00",
    "brightblue": ACCENT,
    "brightmagenta": "#a553c0",
    "brightcyan": "#178a81",
    "brightwhite": INK,
}
"""A terminal's sixteen colours (in the names of pyte), as they can be read on paper."""

STYLE_SHEET = f"""
QWidget {{ color: {INK}; }}
QMainWindow, QDockWidget, QScrollArea, QScrollArea > QWidget > QWidget {{ background: {PANEL}; }}
QDockWidget::title {{ background: {PANEL}; padding: 7px 10px 5px 10px; border-bottom: 1px solid {LINE}; }}
QDockWidget {{ font-weight: 600; }}
QDockWidget > QWidget {{ font-weight: 400; }}
QMainWindow::separator {{ background: {PANEL}; width: 6px; height: 6px; }}
QDialog QScrollArea {{ border: 1px solid {LINE}; border-radius: 4px; }}
QDialog QScrollArea QScrollBar:vertical {{ background: {PANEL}; width: 12px; }}
QDialog QScrollArea QScrollBar::handle {{ background: {LINE}; border-radius: 4px; margin: 2px; min-height: 24px; }}
QDialog QScrollArea QScrollBar::add-line, QDialog QScrollArea QScrollBar::sub-line {{ height: 0; }}
QLineEdit, QPlainTextEdit, QListWidget, QTableView {{
  background: {PAPER}; border: 1px solid {LINE}; border-radius: 4px; selection-background-color: {ACCENT}; }}
QLineEdit {{ padding: 2px 6px; min-height: 20px; }}
QComboBox QLineEdit {{ border: none; padding: 0; min-height: 18px; }}
QComboBox {{ min-height: 22px; max-height: 22px; }}
QLineEdit:focus, QPlainTextEdit:focus {{ border-color: {ACCENT}; }}
QLineEdit[invalid="true"], QPlainTextEdit[invalid="true"], QListWidget[invalid="true"] {{ border: 1px solid {BAD}; }}
QPushButton {{ background: {PAPER}; border: 1px solid {LINE}; border-radius: 4px; padding: 3px 12px; }}
QPushButton:hover {{ border-color: {ACCENT}; }}
QPushButton:pressed {{ background: {LINE}; }}
QPushButton:disabled {{ color: #a8b2bb; background: {PANEL}; }}
QPushButton[role="run"] {{ background: {ACCENT}; border-color: {ACCENT}; color: white; font-weight: 600; }}
QPushButton[role="run"]:pressed {{ background: #174fa8; }}
QPushButton[role="run"]:disabled {{ background: #a9c7f7; border-color: #a9c7f7; color: white; }}
QPushButton[role="danger"]:enabled {{ background: {BAD}; border-color: {BAD}; color: white; font-weight: 700; }}
QPushButton[role="danger"]:pressed {{ background: #8e2a1f; }}
QPushButton[role="stop"]:enabled {{ color: {BAD}; border-color: {BAD}; }}
QPushButton[role="held"] {{ color: {GOOD}; border-color: {GOOD}; }}
QPushButton[role="more"] {{ padding: 3px 4px; }}
QPushButton[role="small"] {{ padding: 3px 6px; min-width: 18px; }}
QLabel[role="muted"] {{ color: {MUTED}; }}
QLabel[role="head"] {{ color: {MUTED}; font-size: 11px; }}
QLabel[role="error"] {{ color: {BAD}; }}
QLabel[role="value"] {{ font-weight: 600; }}
QLabel[role="badge"] {{ color: white; border-radius: 9px; padding: 0px 8px; font-size: 11px; }}
QFrame#runBar {{ background: {PAPER}; border-bottom: 1px solid {LINE}; }}
QFrame#controlStrip {{ background: #fff6e0; border-bottom: 1px solid {WARN}; }}
QMenu {{ background: {PAPER}; border: 1px solid {LINE}; padding: 4px 0; }}
QMenu::item {{ padding: 5px 18px; }}
QMenu::item:selected {{ background: {PANEL}; }}
QMenu::item:disabled {{ color: #a8b2bb; }}
QMenu::separator {{ height: 1px; background: {LINE}; margin: 4px 0; }}
QTabBar {{ font-weight: 600; }}
QTabBar::tab {{ background: transparent; border: none; padding: 7px 10px 5px 10px; color: {MUTED}; }}
QTabBar::tab:selected {{ color: {INK}; border-bottom: 2px solid {ACCENT}; }}
QProgressBar {{ border: 1px solid {LINE}; border-radius: 4px; background: {PAPER}; text-align: center; height: 18px; }}
QProgressBar::chunk {{ background: #9cc2f8; border-radius: 3px; }}
QHeaderView::section {{ background: {PANEL}; border: none; border-bottom: 1px solid {LINE}; padding: 4px 6px;
  color: {MUTED}; }}
QTableView {{ gridline-color: {PANEL}; alternate-background-color: #fafbfc; }}
QToolTip {{ color: {INK}; background: {PAPER}; border: 1px solid {LINE}; }}
"""


def apply_style(app: QtWidgets.QApplication) -> None:
    """Dress the application: Fusion, a readable font, one style sheet."""
    app.setStyle("Fusion")
    font = QtGui.QFont("DejaVu Sans")
    font.setPixelSize(13)
    app.setFont(font)
    palette = app.palette()
    palette.setColor(QtGui.QPalette.Window, QtGui.QColor(PANEL))
    palette.setColor(QtGui.QPalette.Highlight, QtGui.QColor(ACCENT))
    app.setPalette(palette)
    app.setStyleSheet(STYLE_SHEET)


def make_fixed_font() -> QtGui.QFont:
    """The font of command text."""
    font = QtGui.QFont("DejaVu Sans Mono")
    font.setStyleHint(QtGui.QFont.Monospace)
    font.setPixelSize(13)
    return font


def set_property(widget: QtWidgets.QWidget, name: str, value: object) -> None:
    """Set a dynamic property that the style sheet asks for, and have the widget painted accordingly."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
