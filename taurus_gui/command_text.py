"""What a widget shows, as the command a person would type: pure functions from field texts to command text.

*Field text*: what stands in a field, as typed. *Expression*: the Python name of a device (`M.energy`).
Numbers stay as typed (`8.9` stays `8.9`), since a float's way there and back may add noise; strings travel as Python
literals, so that quotes, line ends or code in a field can never become anything but that one argument.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mamba.errors import BadValue

_NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
_KEYWORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)  # Python would write other letters in its own way
_EXPRESSION = re.compile(r"[MD](?:\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII)

StepPlan = Literal["scan", "rel_scan"]
"""Plans with a motor, two ends and a number of points."""

SHUTTER_POSITIONS = ("open", "closed")
"""The set points of the console's shutter device."""


def number_text(text: str, *, what: str = "number") -> str:
    """Tidy a typed decimal number into a Python literal of the same digits (`" +08.90"` → `8.90`).

    Raises:
        BadValue: not a decimal number, or beyond what a float holds; the message starts with `what`.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        seen = "nothing" if not text.strip() else repr(text.strip()[:24])
        raise BadValue(f"{what}: not a number", seen=seen, remedy="write digits, as in 8.98")
    sign, digits, exponent = match.groups()
    whole, dot, fraction = digits.partition(".")
    tidy = (whole.lstrip("0") or "0") + (dot + fraction if fraction else "")
    literal = ("-" if sign == "-" else "") + tidy + (f"e{int(exponent)}" if exponent else "")
    if not math.isfinite(float(literal)):
        raise BadValue(f"{what}: too large", seen=literal[:24], remedy="write a smaller number")
    return literal


def positive_text(text: str, *, what: str) -> str:
    """A number above zero, as `number_text`.

    Raises:
        BadValue: not a number, or not above zero.
    """
    literal = number_text(text, what=what)
    if float(literal) <= 0:
        raise BadValue(f"{what}: must be above zero", seen=literal[:24])
    return literal


def count_text(text: str, *, what: str = "points", least: int = 1) -> str:
    """A whole number of at least `least`, as a Python literal.

    Raises:
        BadValue: not a whole number, or below `least`.
    """
    stripped = text.strip()
    if not re.fullmatch(r"\+?\d{1,9}", stripped, re.ASCII):
        seen = repr(stripped[:24]) if stripped else "nothing"
        raise BadValue(f"{what}: not a whole number", seen=seen, remedy="write digits, as in 21")
    if int(stripped) < least:
        raise BadValue(f"{what}: at least {least}", seen=stripped)
    return str(int(stripped))


def expression_text(expression: str) -> str:
    """The device expression itself, once it is seen to be one.

    Raises:
        BadValue: not a dotted name in `M` or `D`.
    """
    if not _EXPRESSION.fullmatch(expression):
        raise BadValue("device: not a name in M or D", seen=repr(expression[:40]), remedy="choose one of the list")
    return expression


def _detector_list(detectors: Sequence[str]) -> str:
    if not detectors:
        raise BadValue("detectors: none chosen", remedy="tick at least one")
    return "[" + ", ".join(expression_text(name) for name in detectors) + "]"


def move_command(motor: str, position: str) -> str:
    """`RE(mv(M.energy, 8.98))`: move to `position`, in the motor's unit.

    Raises:
        BadValue: a field that holds no number, or no device expression (all functions of this module).
    """
    return f"RE(mv({expression_text(motor)}, {number_text(position, what='position')}))"


def jog_command(motor: str, step: str, *, direction: Literal[-1, 1]) -> str:
    """`RE(mvr(M.energy, -0.1))`: move by `step` (above zero, in the motor's unit) one way or the other."""
    size = positive_text(step, what="step")
    return f"RE(mvr({expression_text(motor)}, {'-' if direction < 0 else ''}{size}))"


def shutter_command(shutter: str, position: str) -> str:
    """`RE(mv(M.shutter, 'open'))`."""
    if position not in SHUTTER_POSITIONS:
        raise BadValue("shutter: cannot be that", seen=repr(position[:20]), remedy="open or closed")
    return f"RE(mv({expression_text(shutter)}, {position!r}))"


def scan_command(plan: StepPlan, detectors: Sequence[str], motor: str, *, start: str, stop: str, points: str) -> str:
    """`RE(scan([D.i0], M.energy, 8.9, 9.1, 21))`: `start` and `stop` in the motor's unit, both measured."""
    if plan not in ("scan", "rel_scan"):
        raise BadValue("plan: unknown", seen=repr(plan[:20]), remedy="scan or rel_scan")
    first, last = number_text(start, what="from"), number_text(stop, what="to")
    number = count_text(points, least=2)
    return f"RE({plan}({_detector_list(detectors)}, {expression_text(motor)}, {first}, {last}, {number}))"


def count_command(detectors: Sequence[str], *, readings: str, delay_s: str = "") -> str:
    """`RE(count([D.i0, D.i1], 5, delay=1))`: `readings` times, `delay_s` seconds apart ("" for none)."""
    number = count_text(readings, what="readings")
    delay = f", delay={positive_text(delay_s, what='delay')}" if delay_s.strip() else ""
    return f"RE(count({_detector_list(detectors)}, {number}{delay}))"


def xafs_command(detectors: Sequence[str], motor: str, *, element: str, edge: str, time_scale: str = "") -> str:
    """`RE(xafs_scan([D.i0, D.i1], M.energy, element='Cu', edge='K', time_scale=0.02))`; "" leaves the scale out."""
    scale = f", time_scale={positive_text(time_scale, what='time scale')}" if time_scale.strip() else ""
    arguments = f"{_detector_list(detectors)}, {expression_text(motor)}, element={element!r}, edge={edge!r}{scale}"
    return f"RE(xafs_scan({arguments}))"


def acquire_command(camera: str, *, frames: str, exposure_s: str = "", period_s: str = "") -> str:
    """`RE(acquire(D.camera, frames=2000))`; exposure and period in seconds, "" leaves them to the camera."""
    text = f"{expression_text(camera)}, frames={count_text(frames, what='frames')}"
    if exposure_s.strip():
        text += f", exposure_s={positive_text(exposure_s, what='exposure')}"
    if period_s.strip():
        text += f", period_s={positive_text(period_s, what='period')}"
    return f"RE(acquire({text}))"


def parameters_command(detector: str, node: str, parameters: Mapping[str, Any]) -> str:
    """`graph(D.camera).set_parameters('screen', rate=10.0)`: other parameters for one node of a detector's graph.

    Raises:
        BadValue: no detector uses the graph, no parameters, or a value that is no plain data.
    """
    if not _EXPRESSION.fullmatch(detector):
        what = f"no detector uses {detector[:40]!r}: change it at the prompt, G.set_parameters({node[:40]!r}, …)"
        raise BadValue(what)
    if not parameters:
        raise BadValue("nothing is changed yet", remedy="change a parameter")
    plain = {
        name: value for name, value in parameters.items() if _KEYWORD.fullmatch(name) and not keyword.iskeyword(name)
    }
    arguments = [f"{name}={literal_text(value)}" for name, value in plain.items()]
    if others := {name: value for name, value in parameters.items() if name not in plain}:
        arguments.append(f"**{literal_text(others)}")
    return f"graph({detector}).set_parameters({node!r}, {', '.join(arguments)})"


def literal_text(value: Any) -> str:
    """Plain data (None, truth values, numbers, texts, lists, mappings) as Python that gives the same when it is run.

    Raises:
        BadValue: something else.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(literal_text(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{literal_text(key)}: {literal_text(item)}' for key, item in value.items())}}}"
    raise BadValue("value: no plain data", seen=type(value).__name__, remedy="write numbers, texts, lists and mappings")


def logout_command() -> str:
    """`U.logout()`: end the session of the person who is logged in."""
    return "U.logout()"
