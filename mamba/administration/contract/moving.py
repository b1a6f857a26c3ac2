"""Checks that set the device going: Stop while it stands, moves and counts that are stopped, events meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

import tango

from mamba.administration.contract.finding import Finding, Result, failed, join_names, passed, skipped
from mamba.administration.contract.writing import find_limits, find_restorable, is_same
from mamba.administration.control_system import read_reason
from mamba.administration.listening import Listener, listen
from mamba.administration.subject import BUSY, FLOATS, Subject

_SETTLE_S = 30.0
_EVENT_S = 5.0
_ATTEMPTS = 2
"""ZeroMQ tells nobody when a subscription stands: events that come right after it may pass it by, once."""
_STOPS = ("Stop", "Abort", "StopMove", "StopAcq")
_STARTS = ("Start", "StartAcq")


def find_commands(subject: Subject, names: tuple[str, ...]) -> list[str]:
    """Which of these the device has, as commands without argument, in the order of `names`: Stop before Abort."""
    void = {n.lower(): n for n, info in subject.commands.items() if info.in_type == tango.CmdArgType.DevVoid}
    return [void[name.lower()] for name in names if name.lower() in void]


def check_idle_stop(subject: Subject) -> Finding:
    """Stop and Abort do no harm while nothing moves: no error, same State, same set points."""
    check = "Stop harmless at rest"
    stops = find_commands(subject, _STOPS)
    if not stops:
        return skipped(check, f"no command {' or '.join(_STOPS[:2])}")
    before = subject.device.state(), _read_set_points(subject)
    for name in stops:
        try:
            subject.device.command_inout(name)
        except tango.DevFailed as refusal:
            seen = f"{name} in {before[0]}: {read_reason(refusal)}"
            return failed(check, seen, "let Stop do nothing when there is nothing to stop")
        subject.wait_while(BUSY, _SETTLE_S)
    after = subject.device.state(), _read_set_points(subject)
    changed = [n for n, value in before[1].items() if not is_same(value, after[1][n])]
    if after[0] != before[0] or changed:
        seen = f"State {before[0]} → {after[0]}" + (f", set points changed: {join_names(changed)}" if changed else "")
        return failed(check, seen, "let Stop do nothing when there is nothing to stop")
    return passed(check, f"{' and '.join(stops)} in {before[0]}: nothing changed")


def _read_set_points(subject: Subject) -> dict[str, float | int | str | None]:
    return {info.name: subject.read_set_point(info.name) for info in subject.set_points}


def check_motion(subject: Subject) -> Finding:
    """A move shows MOVING, Stop ends it, and State, set point and events tell so. The device goes back afterwards."""
    check = "Stop ends a move"
    stops = find_commands(subject, _STOPS)
    positions = [info for info in subject.set_points if info.data_type in FLOATS]
    if not stops or not positions:
        return skipped(check, "no Stop command" if not stops else "no float set point that could be a position")
    for info in positions:
        start = find_restorable(subject, info)
        with listen(subject.device, ["State"]) as heard:
            subject.device.write_attribute(info.name, choose_target(info, start))
            if subject.device.state() == tango.DevState.MOVING:
                back = _go_back(subject, info.name, start)
                return _judge_stop(subject, check, stops[0], f"a move of {info.name}", heard["State"], back)
            subject.device.write_attribute(info.name, start)
    return skipped(check, f"{join_names([info.name for info in positions])}: writing sets nothing in motion")


def choose_target(info: tango.AttributeInfoEx, start: float) -> float:
    """A set point nearby and within the limits: a hundredth of the range away, towards its middle."""
    limits = find_limits(info)
    lowest, highest = limits.get("min"), limits.get("max")
    step = (highest - lowest) / 100 if lowest is not None and highest is not None else 0.01 * abs(start) or 0.01
    upwards = highest is None or start + step <= highest
    return start + step if upwards else start - step


def _go_back(subject: Subject, name: str, start: float) -> Callable[[], None]:
    def go_back() -> None:
        subject.wait_while(BUSY, _SETTLE_S)
        subject.device.write_attribute(name, start)
        subject.wait_while(BUSY, _SETTLE_S)

    return go_back


def check_count(subject: Subject) -> Finding:
    """What Start begins is shown and ended by Stop; where it cannot start, the refusal says why."""
    check = "Stop ends what Start began"
    starts, stops = find_commands(subject, _STARTS), find_commands(subject, _STOPS)
    if not starts or not stops:
        return skipped(check, "no pair of commands Start and Stop")
    state = subject.device.state()
    with listen(subject.device, ["State"]) as heard:
        for _ in range(_ATTEMPTS):
            try:
                subject.device.command_inout(starts[0])
            except tango.DevFailed as refusal:
                reason = read_reason(refusal)
                return passed(check, f"{starts[0]} is refused in {state}: {reason}")
            finding = _judge_stop(subject, check, stops[0], starts[0], heard["State"], lambda: None)
            if finding.result != Result.FAILED or heard["State"].values:
                break
        return finding


def _judge_stop(
    subject: Subject, check: str, stop: str, what: str, events: Listener, restore: Callable[[], None]
) -> Finding:
    during = subject.device.state()
    began = time.monotonic()
    try:
        subject.device.command_inout(stop)
        after = subject.wait_while(BUSY, _SETTLE_S)
        took_s = time.monotonic() - began
        told = events.refused is not None or events.wait_for_value(after, _EVENT_S)
    finally:
        restore()
    if during not in BUSY:
        return skipped(check, f"{what} was over before it could be stopped")
    if not told:
        last = events.values[-1] if events.values else "none"
        return failed(check, f"State is {after}, its last event {last}", "push State whenever it changes")
    heard = "" if events.refused else f", {events.count} events of State"
    return passed(check, f"{what}: {during}, {stop} → {after} after {took_s:.2f} s{heard}")
