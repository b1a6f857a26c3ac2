"""Every error Mamba raises on purpose, in one tree; each class carries its code on the wire.

::

    MambaError                    error
    ├── ZError                    (its own code)     raised by a request handler, as in the paper's Figure 3
    ├── ProfileError              profile-invalid    the beamline profile cannot be used
    ├── FacilityError             facility-failed    bringing up, watching or taking down
    │   ├── AlreadyRunning        already-running
    │   ├── NotRunning            not-running
    │   ├── PortTaken             port-taken
    │   └── ServerFailed          server-failed
    ├── ConfigurationError        configuration-failed   Tango's configuration as files
    │   └── ConfigurationMoved    configuration-moved    the database is not what the plan was made for
    ├── WireError                 wire-failed        between a client and the session host
    │   ├── BadRequest            bad-request
    │   ├── UnknownVerb           unknown-verb
    │   ├── NotLoggedIn           not-logged-in
    │   ├── Forbidden             forbidden          the role of who asks is too low
    │   ├── NotInControl          not-in-control
    │   ├── ReplyTimeout          reply-timeout
    │   ├── ConnectionLost        connection-lost
    │   ├── LoginRefused          login-refused      never says whether name or password was wrong
    │   └── LoginUnavailable      login-unavailable  nobody there who could check a password
    ├── AccountError              account-failed     an account cannot be made or changed as asked
    ├── CommandError              command-failed     a command that did not become a finished cell
    │   ├── TextRefused           text-refused
    │   ├── PromptOccupied        prompt-occupied
    │   ├── Busy                  busy
    │   ├── Cancelled             cancelled
    │   ├── DeadlinePassed        deadline-passed
    │   ├── ConsoleDied           console-died
    │   └── RunPaused             run-paused         the cell ended because its run was paused
    ├── DeviceError               device-failed      names the device first
    │   ├── UnknownDevice         unknown-device
    │   ├── NameClash             name-clash
    │   ├── DeviceInUse           device-in-use      a run uses what should be renamed or removed
    │   ├── LimitExceeded         limit-exceeded
    │   ├── BadValue              bad-value
    │   ├── DeviceUnreachable     device-unreachable
    │   ├── DeviceTimeout         device-timeout
    │   └── DeviceFault           device-fault
    ├── RunError                  run-failed
    │   └── NoRun                 no-run             pause, resume or abort with nothing to act on
    └── DataError                 data-failed        the data worker
        ├── GraphInvalid          graph-invalid
        ├── StreamBroken          stream-broken
        ├── FramesMissing         frames-missing
        ├── DiskFull              disk-full
        └── NodeFailed            node-failed

A message has up to three parts: what was attempted on which thing, what was seen, what to do.
"""

from __future__ import annotations

import difflib
from typing import ClassVar


class MambaError(Exception):
    """The root of all errors Mamba raises on purpose.

    Args:
        what: what was attempted, on what; names the thing first ("M.energy: cannot move to 99 keV").
        seen: what was found instead.
        remedy: what the person can do next.
    """

    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, seen: str = "", remedy: str = "") -> None:
        self.what, self.seen, self.remedy = what, seen, remedy
        lines = [what]
        if seen:
            lines.append(f"  seen: {seen}")
        if remedy:
            lines.append(f"  do:   {remedy}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.seen, self.remedy))


def _rebuild(cls: type[MambaError], what: str, seen: str, remedy: str) -> MambaError:
    return cls(what, seen=seen, remedy=remedy)


class ZError(MambaError):
    """An error a request handler anticipated; `code` and `desc` reach the client as they are.

    `raise ZError("error", "description")` is answered with `{"err": "error", "desc": "description"}`.
    """

    def __init__(self, code: str, desc: str) -> None:
        self.code = code  # type: ignore[misc]  # the one class whose code belongs to the instance
        self.desc = desc
        super().__init__(desc)

    def __reduce__(self) -> tuple[object, ...]:
        return (ZError, (self.code, self.desc))


class ProfileError(MambaError):
    """The beamline profile cannot be used; names the key and its line."""

    code = "profile-invalid"


class FacilityError(MambaError):
    """The facility could not be brought up, watched or taken down."""

    code = "facility-failed"


class AlreadyRunning(FacilityError):
    """Another process holds this runtime directory; says who."""

    code = "already-running"


class NotRunning(FacilityError):
    """Nothing runs in this runtime directory."""

    code = "not-running"


class PortTaken(FacilityError):
    """The port the profile asks for belongs to another process."""

    code = "port-taken"


class ServerFailed(FacilityError):
    """A process of the facility did not start, or ended; names its log."""

    code = "server-failed"


class ConfigurationError(MambaError):
    """Tango's configuration cannot be read, planned or written; names the file and its line, or the device."""

    code = "configuration-failed"


class ConfigurationMoved(ConfigurationError):
    """The database is not what the plan was made for; nothing was written."""

    code = "configuration-moved"


class WireError(MambaError):
    """Something went wrong between a client and the session host."""

    code = "wire-failed"


class BadRequest(WireError):
    """A request that is not JSON, or whose fields do not fit the verb; names the field."""

    code = "bad-request"


class UnknownVerb(WireError):
    """A request whose `typ` nobody serves; names the nearest one."""

    code = "unknown-verb"


class NotLoggedIn(WireError):
    """A request that takes a login came without one, or with a token that no login has."""

    code = "not-logged-in"


class Forbidden(WireError):
    """A request that the role of who asks does not allow; names both."""

    code = "forbidden"


class NotInControl(WireError):
    """Only the person in control may ask for this; says who that is."""

    code = "not-in-control"


class ReplyTimeout(WireError):
    """No reply came within the client's time."""

    code = "reply-timeout"


class ConnectionLost(WireError):
    """The other side of a connection is gone."""

    code = "connection-lost"


class LoginRefused(WireError):
    """Name or password is wrong, or the account may not be used; never says which."""

    code = "login-refused"


class LoginUnavailable(WireError):
    """A password cannot be checked: the accounts, the directory or the PAM service cannot be used."""

    code = "login-unavailable"


class AccountError(MambaError):
    """An account cannot be made or changed as asked: it exists, it does not, or name or password cannot be used."""

    code = "account-failed"


class CommandError(MambaError):
    """A command did not become a finished cell."""

    code = "command-failed"


class TextRefused(CommandError):
    """The text cannot be delivered to the prompt unchanged."""

    code = "text-refused"


class PromptOccupied(CommandError):
    """The prompt belongs to a debugger, an `input()` or a search and the client would not wait."""

    code = "prompt-occupied"


class Busy(CommandError):
    """Something else runs or waits and the client would not wait; says what, by whom and since when."""

    code = "busy"


class Cancelled(CommandError):
    """A waiting command was withdrawn, by its client or after an interrupt."""

    code = "cancelled"


class DeadlinePassed(CommandError):
    """A command was still waiting at its deadline; it was not executed."""

    code = "deadline-passed"


class ConsoleDied(CommandError):
    """The console ended before the command was done."""

    code = "console-died"


class RunPaused(CommandError):
    """The command's run was paused; resume, stop or abort it."""

    code = "run-paused"


class DeviceError(MambaError):
    """Something about a device; the message starts with its name.

    Attributes:
        link: the link whose call got no answer, for who waits until the device is back; None for every other error,
            and after it travelled to another process.
    """

    code = "device-failed"
    link: object | None = None


class UnknownDevice(DeviceError):
    """No device has that name; names the nearest ones."""

    code = "unknown-device"


class DeviceInUse(DeviceError):
    """A device cannot be renamed or removed now: a run uses it."""

    code = "device-in-use"


class NameClash(DeviceError):
    """Two devices would be recorded under one name."""

    code = "name-clash"


class LimitExceeded(DeviceError, ValueError):
    """A set point outside the limits; nothing moved."""

    code = "limit-exceeded"


class BadValue(DeviceError, ValueError):
    """A set point of the wrong type, shape or not finite; nothing moved."""

    code = "bad-value"


class DeviceUnreachable(DeviceError):
    """The device's server cannot be reached."""

    code = "device-unreachable"


class DeviceTimeout(DeviceError):
    """The device did not do in time what it was told; says what it does now."""

    code = "device-timeout"


class DeviceFault(DeviceError):
    """The device reports FAULT or ALARM, or its command raised."""

    code = "device-fault"


class RunError(MambaError):
    """A run could not be started, or failed as a whole."""

    code = "run-failed"


class NoRun(RunError):
    """Pause, resume, stop or abort was asked with nothing to act on."""

    code = "no-run"


class DataError(MambaError):
    """The data worker could not do its work."""

    code = "data-failed"


class GraphInvalid(DataError):
    """A graph with an unknown node, a wrong type, a cycle or a missing input."""

    code = "graph-invalid"


class StreamBroken(DataError):
    """A detector's stream ended early or does not follow the format."""

    code = "stream-broken"


class FramesMissing(DataError):
    """A lossless path lost frames; carries the ranges."""

    code = "frames-missing"


class DiskFull(DataError):
    """No room for the next block; says how many frames are safe."""

    code = "disk-full"


class NodeFailed(DataError):
    """A node of the graph raised or died; names it."""

    code = "node-failed"


def find_nearest(word: str, known: list[str]) -> str:
    """Name what the person may have meant: `did you mean 'x'?`, or the known words, at most eight of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    known = [name for name in known if name.lower().startswith(word.lower())] or known
    shown = ", ".join(sorted(known)[:8]) + (", …" if len(known) > 8 else "")
    return f"known: {shown}" if known else "none is known"
