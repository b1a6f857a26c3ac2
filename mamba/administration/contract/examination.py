"""All checks of the contract, one after the other, as far as leave was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Flag, auto

import tango

from mamba.administration.contract import arriving, description, moving, restarting, writing
from mamba.administration.contract.finding import Finding, failed, not_tried
from mamba.administration.control_system import read_reason
from mamba.administration.subject import BUSY, Subject
from mamba.errors import DeviceTimeout


class Leave(Flag):
    """What a check may do beyond reading."""

    MOVE = auto()
    RESTART = auto()


READ_ONLY = Leave(0)

_Check = Callable[[Subject], Finding]
_CHECKS: tuple[tuple[str, _Check, Leave], ...] = (
    ("State and Status explain", description.check_answers, READ_ONLY),
    ("properties documented", description.check_properties, READ_ONLY),
    ("properties known", description.check_known_properties, READ_ONLY),
    ("attributes documented", description.check_attributes, READ_ONLY),
    ("commands documented", description.check_commands, READ_ONLY),
    ("events arrive", arriving.check_events, READ_ONLY),
    ("limits enforced", writing.check_limits, Leave.MOVE),
    ("NaN refused", writing.check_not_a_number, Leave.MOVE),
    ("Stop harmless at rest", moving.check_idle_stop, Leave.MOVE),
    ("Stop ends a move", moving.check_motion, Leave.MOVE),
    ("Stop ends what Start began", moving.check_count, Leave.MOVE),
    ("Init brings it back", restarting.check_init, Leave.RESTART),
    ("RestartServer brings it back", restarting.check_restart, Leave.RESTART),
    ("memorized values survive", restarting.check_kept, Leave.MOVE | Leave.RESTART),
)
_OPTIONS = {Leave.MOVE: "--move", Leave.RESTART: "--restart"}


def examine(subject: Subject, leave: Leave) -> Iterator[Finding]:
    """Run the checks in the order of the table; each that the device makes impossible is a finding as well."""
    for name, check, needed in _CHECKS:
        missing = [option for flag, option in _OPTIONS.items() if flag in needed and flag not in leave]
        if missing:
            yield not_tried(name, _describe_risk(needed), f"give {' '.join(missing)}")
        elif needed and (state := subject.device.state()) in BUSY:
            yield not_tried(name, f"State is {state}: somebody uses it", "wait until it stands, and check again")
        else:
            yield _run(subject, name, check)


def _describe_risk(needed: Leave) -> str:
    if needed == Leave.MOVE:
        return "writes set points, starts and stops"
    return "restarts the device" if needed == Leave.RESTART else "changes set points and restarts the server"


def _run(subject: Subject, name: str, check: _Check) -> Finding:
    try:
        return check(subject)
    except tango.DevFailed as refusal:
        return failed(name, f"the device answered with an error: {read_reason(refusal)}", "see the server's log")
    except DeviceTimeout as timeout:
        return failed(name, timeout.seen, "see the server's log")
