"""Tango's errors in Mamba's words: the device's own name first, what was seen, what to do.

Tango stacks errors, innermost first, each with a `reason` (a fixed word) and a `desc` (a sentence). The reasons decide
the class; the first sentence is what is shown. Plain data in, so that it can be tested without Tango.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mamba.errors import (
    BadValue,
    DeviceError,
    DeviceFault,
    DeviceTimeout,
    DeviceUnreachable,
    LimitExceeded,
    UnknownDevice,
)


class Problem(NamedTuple):
    """One error in the form of Tango's: a fixed word and a sentence."""

    reason: str
    desc: str


class CallFailed(Exception):  # it never leaves the link, which makes one of Mamba's errors of it
    """A call did not succeed: `problems`, innermost first; `contact_lost` where nobody answered it."""

    def __init__(self, problems: Any, *, contact_lost: bool = False) -> None:
        self.problems, self.contact_lost = problems, contact_lost
        super().__init__(str(problems))


_UNREACHABLE = {
    "API_CantConnectToDevice",
    "API_CantConnectToDatabase",
    "API_CommunicationFailed",
    "API_ConnectionFailed",
    "API_CorbaException",
    "API_DatabaseAccess",
    "API_DeviceNotExported",
    "API_ServerNotRunning",
    "API_TangoHostNotSet",
}
_UNKNOWN = {"DB_DeviceNotDefined", "API_DeviceNotFound", "API_DeviceNotDefined"}
_WRONG_NAME = {"API_WrongDeviceNameSyntax"}
_BAD_VALUE = {
    "API_AttrNotWritable",
    "API_IncompatibleAttrArgumentType",
    "API_IncompatibleAttrDataType",
    "API_IncompatibleCmdArgumentType",
    "API_IncompatibleArgumentType",
    "API_WAttrIncorrectDataNumber",
    "PyDs_WrongParameters",
    "PyDs_WrongPythonDataTypeForAttribute",
}


_SILENCE = {"API_DeviceTimedOut", "API_CommandTimedOut"}
"""The second is the server's own word, when the device is too busy to be asked for three seconds."""


def is_unreachable(errors: Any) -> bool:
    """Whether Tango's `errors` say that there is no server, or no way to it."""
    return any(error.reason in _UNREACHABLE for error in errors)


def is_silence(errors: Any) -> bool:
    """Whether Tango's `errors` say that an answer did not come in time."""
    return any(error.reason in _SILENCE or "TRANSIENT_CallTimedout" in str(error.desc) for error in errors)


def translate(errors: Any, *, name: str, device: str, action: str) -> DeviceError:
    """The error to raise for Tango's `errors` (each with `reason` and `desc`) when `action` ("write Energy") failed."""
    reasons = {error.reason for error in errors}
    seen = _first_sentence(errors)
    what = f"{name}: cannot {action}"
    if is_silence(errors):
        if "CORBA system exception" in seen:
            seen = "its server is there, and does not answer"
        return DeviceTimeout(
            f"{name}: no answer in time to '{action}'", seen=seen, remedy=f"look at the server of {device}"
        )
    if _is_wrong_host(errors):
        return DeviceUnreachable(
            what,
            seen=f"TANGO_HOST cannot be used: {seen}",
            remedy="set it to HOST:PORT, or HOST:PORT,HOST:PORT for two",
        )
    if reasons & _WRONG_NAME:
        return UnknownDevice(what, seen=f"{device!r} is no Tango name", remedy="write DOMAIN/FAMILY/MEMBER or an alias")
    if reasons & _UNKNOWN:
        return UnknownDevice(what, seen=f"Tango has no device {device}", remedy="mend the name, here or in the profile")
    if "API_CantConnectToDatabase" in reasons:
        return DeviceUnreachable(
            what,
            seen=f"the Tango database{_find_database(errors)} does not answer",
            remedy="start it, or mend TANGO_HOST; 'mambactl doctor' looks further",
        )
    if "API_DeviceNotExported" in reasons or "API_ServerNotRunning" in reasons:
        seen = f"no server runs {device}"
    elif reasons & _UNREACHABLE and "was delayed" in seen:  # Tango's own words hide that nobody is there
        seen = f"no server answers for {device}"
    elif reasons & _UNREACHABLE:
        seen = f"its server does not answer: {seen}"
    if reasons & _UNREACHABLE:
        return DeviceUnreachable(what, seen=seen, remedy=f"start the server of {device}; 'mambactl doctor' names it")
    if "API_WAttrOutsideLimit" in reasons:
        return LimitExceeded(what, seen=seen, remedy="stay within the limits; nothing moved")
    if reasons & _BAD_VALUE:
        return BadValue(what, seen=seen, remedy="give a value of the type that the server wants; nothing moved")
    if reasons & {"API_AttrNotFound", "API_CommandNotFound"}:
        return DeviceError(what, seen=seen, remedy=f"choose one that {device} has, in the profile")
    return DeviceFault(what, seen=seen, remedy=f"read the state and status of {device}")


def _is_wrong_host(errors: Any) -> bool:
    words = " ".join(str(error.desc) for error in errors)
    return "TANGO_HOST env. variable syntax" in words or "cannot be entirely parsed into int" in words


def _find_database(errors: Any) -> str:
    """Where the database is, if Tango says so: `at HOST:PORT` after a space."""
    words = " ".join(str(error.desc) for error in errors)
    found = re.search(r"database on host (\S+) with port (\d+)", words)
    return f" at {found[1]}:{found[2]}" if found else ""


def unreachable(*, name: str, device: str, seen: str) -> DeviceUnreachable:
    """The error for a device that could not be reached at all."""
    return DeviceUnreachable(
        f"{name}: cannot be reached", seen=seen, remedy=f"start the server of {device}; 'mambactl doctor' names it"
    )


def _first_sentence(errors: Any) -> str:
    """What the innermost error says, on one line of at most 160 characters."""
    text = " ".join(str(errors[0].desc).split()) if errors else "no reason given"
    return text if len(text) <= 160 else text[:159] + "…"
