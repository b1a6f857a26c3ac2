"""What makes events come: polling and thresholds. The person chooses the numbers, for nobody else knows the device."""

from __future__ import annotations

import math

import tango

from mamba.administration.control_system import read_reason
from mamba.administration.events.diagnosis import read_periods
from mamba.administration.subject import NUMBERS, Subject
from mamba.errors import BadValue, DeviceFault, find_nearest


def set_polling(subject: Subject, attribute: str, period_ms: int) -> str:
    """Poll an attribute every `period_ms`, 0: no longer. Returns what it was and is, in words.

    Raises:
        BadValue: no such attribute.
        DeviceFault: the server refuses.
    """
    info = _find_attribute(subject, attribute)
    before = read_periods(subject).get(info.name.lower(), 0)
    try:
        if period_ms:
            subject.device.poll_attribute(info.name, period_ms)
        elif before:
            subject.device.stop_poll_attribute(info.name)
    except tango.DevFailed as failed:
        raise _refused(subject, f"cannot poll {info.name} every {period_ms} ms", failed) from None
    return f"{info.name}: polling {_name_period(before)} → {_name_period(period_ms)}"


def set_abs_change(subject: Subject, attribute: str, change: float) -> str:
    """Send an event when a polled number changed by `change` (its unit), 0: threshold not set. Returns what it was.

    Raises:
        BadValue: no such attribute, no number, or a change below 0.
        DeviceFault: the server refuses.
    """
    info = _find_attribute(subject, attribute)
    if info.data_type not in NUMBERS or not 0 <= change < math.inf:
        raise BadValue(
            f"{subject.name}: cannot set abs_change of {info.name} to {change:g}",
            seen="not a number's attribute" if info.data_type not in NUMBERS else "not a usable change",
            remedy="give a change above 0 for an attribute that is a number",
        )
    before = info.events.ch_event.abs_change
    info.events.ch_event.abs_change = f"{change:.10g}" if change else "Not specified"
    try:
        subject.device.set_attribute_config(info)
    except tango.DevFailed as failed:
        raise _refused(subject, f"cannot set abs_change of {info.name} to {change:g}", failed) from None
    return f"{info.name}: abs_change {before} → {info.events.ch_event.abs_change}"


def _name_period(period_ms: int | None) -> str:
    return "by the server's trigger" if period_ms is None else f"every {period_ms} ms" if period_ms else "off"


def _find_attribute(subject: Subject, name: str) -> tango.AttributeInfoEx:
    found = {info.name.lower(): info for info in subject.device.attribute_list_query_ex()}
    if name.lower() not in found:
        remedy = find_nearest(name, [info.name for info in found.values()])
        raise BadValue(f"{subject.name}: no attribute {name!r}", seen=f"it has {len(found)}", remedy=remedy)
    return found[name.lower()]


def _refused(subject: Subject, what: str, failed: tango.DevFailed) -> DeviceFault:
    return DeviceFault(f"{subject.name}: {what}", seen=read_reason(failed), remedy="see the server's log")
