"""Checks that write set points: limits are enforced, what is not a number is refused. They put back what was there."""

from __future__ import annotations

import math

import tango

from mamba.administration.contract.finding import Finding, failed, join_names, passed, skipped
from mamba.administration.subject import BUSY, FLOATS, Subject

_SETTLE_S = 30.0
_RANGES = {
    tango.DevUChar: (0, 2**8 - 1),
    tango.DevShort: (-(2**15), 2**15 - 1),
    tango.DevUShort: (0, 2**16 - 1),
    tango.DevLong: (-(2**31), 2**31 - 1),
    tango.DevULong: (0, 2**32 - 1),
    tango.DevLong64: (-(2**63), 2**63 - 1),
    tango.DevULong64: (0, 2**64 - 1),
}


def find_limits(info: tango.AttributeInfoEx) -> dict[str, float]:
    """The limits of a set point under the names `min` and `max`, without those that are not set."""
    limits = {"min": info.min_value, "max": info.max_value}
    return {key: float(text) for key, text in limits.items() if text != "Not specified"}


def find_restorable(subject: Subject, info: tango.AttributeInfoEx) -> float:
    """What to write to put a set point back without moving: the one it has, when the reading is within 1% of it.

    Else the reading: after a restart Tango may show 0 as the set point of a motor that stands elsewhere.
    """
    attribute = subject.device.read_attribute(info.name)
    given, reading = attribute.w_value, attribute.value
    is_near = math.isclose(given, reading, rel_tol=0.01) or not math.isfinite(reading)
    return float(given if is_near else reading) if info.data_type in FLOATS else int(given if is_near else reading)


def check_limits(subject: Subject) -> Finding:
    """A set point just outside its limits is refused as outside, and changes nothing."""
    check = "limits enforced"
    limited = {info.name: limits for info in subject.set_points if (limits := find_limits(info))}
    if not limited:
        return skipped(check, f"{len(subject.set_points)} numeric set points, none has limits")
    broken = []
    tried = 0
    for info in subject.set_points:
        for value in _find_outside(info, limited.get(info.name, {})):
            tried += 1
            if told := _write_wrongly(subject, info, value, reason="API_WAttrOutsideLimit"):
                broken.append(told)
    if broken:
        return failed(check, "; ".join(broken), "refuse before anything moves, with reason API_WAttrOutsideLimit")
    return passed(check, f"{join_names(list(limited))}: {tried} values outside were refused, nothing changed")


def _find_outside(info: tango.AttributeInfoEx, limits: dict[str, float]) -> list[float]:
    """Values one step outside; none where the type has no such value."""
    step = max(1.0, 0.01 * max((abs(limit) for limit in limits.values()), default=0.0))
    outside = [limits[key] + sign * step for key, sign in (("min", -1), ("max", 1)) if key in limits]
    if info.data_type in FLOATS:
        return outside
    lowest, highest = _RANGES[info.data_type]
    return [round(value) for value in outside if lowest <= value <= highest]


def check_not_a_number(subject: Subject) -> Finding:
    """NaN is refused as a set point, and changes nothing."""
    check = "NaN refused"
    floats = [info for info in subject.set_points if info.data_type in FLOATS]
    if not floats:
        return skipped(check, "no set point is a float")
    broken = [told for info in floats if (told := _write_wrongly(subject, info, math.nan))]
    if broken:
        return failed(check, "; ".join(broken), "refuse what is not finite in the write method")
    return passed(check, f"{join_names([info.name for info in floats])}: refused, nothing changed")


def _write_wrongly(subject: Subject, info: tango.AttributeInfoEx, value: float, *, reason: str = "") -> str:
    """Write what must be refused; returns what was wrong about the answer, empty when it was right."""
    name = info.name
    before, restorable = subject.read_set_point(name), find_restorable(subject, info)
    told = ""
    try:
        subject.device.write_attribute(name, value)
    except tango.DevFailed as refusal:
        if reason and refusal.args[0].reason != reason:
            told = f"{name} = {value:g}: refused with {refusal.args[0].reason}"
    else:
        told = f"{name} = {value:g} was taken"
    after = subject.read_set_point(name)
    if not is_same(before, after):
        told = told or f"{name} = {value:g}: refused, yet the set point is {after} now"
        subject.device.write_attribute(name, restorable)
        subject.wait_while(BUSY, _SETTLE_S)
    return told


def is_same(one: float | int | str | None, other: float | int | str | None) -> bool:
    """Whether two set points are the same; NaN is the same as NaN, floats within rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return one == other
