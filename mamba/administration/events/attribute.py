"""What is known of the change events of one attribute, and the verdict on it; plain data, no Tango here.

*Polled*: the server's polling thread reads it and sends an event when it changed by a threshold. *Pushed*: the
server's code sends events itself, with or without thresholds. *Refused*: the server takes no subscription.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["well", "silent", "refused", "unreadable"]
"""well: events come, or would when the value changes; silent: taken, but none can come; refused: not taken."""

_NUMBERS = {
    "DevShort", "DevLong", "DevLong64", "DevUShort", "DevULong", "DevULong64", "DevUChar", "DevFloat", "DevDouble",
}  # fmt: skip


@dataclass(frozen=True)
class AttributeEvents:
    """Facts about one attribute.

    Attributes:
        name: as the server spells it.
        type_name: Tango's, such as "DevDouble".
        polled_ms: period of polling, None where it is not polled.
        polled_age_ms: how old the value in the polling buffer is, None where it is not polled or never was read.
        absolute: smallest change that is an event, as Tango keeps it; "" where none is set.
        relative: the same in per cent.
        archive: thresholds and period of archive events, on one line; "" where none is set.
        periodic_ms: period of periodic events.
        refusal: why the server took no subscription to change events; "" where it took one.
        refusal_reason: Tango's word for it, such as "API_AttributePollingNotStarted".
        first_error: the error that came instead of a first value; "" where a value came.
        events: how many came while we listened, without the one that answers a subscription.
        last_age_s: how long ago the last of them came, at the end of listening; None where none came.
        sent: events the server has sent since it started, None where it does not count them (Tango before 10).
    """

    name: str
    type_name: str
    polled_ms: int | None
    polled_age_ms: float | None
    absolute: str
    relative: str
    archive: str
    periodic_ms: str
    refusal: str
    refusal_reason: str
    first_error: str
    events: int
    last_age_s: float | None
    sent: int | None

    @property
    def origin(self) -> str:
        """Who sends: "polling", "code", "polling and code" is told as polling; "nobody" where it was refused."""
        if self.refusal:
            return "nobody"
        return "polling" if self.polled_ms is not None else "code"

    @property
    def is_number(self) -> bool:
        """Whether a threshold means anything for it."""
        return self.type_name in _NUMBERS

    @property
    def has_threshold(self) -> bool:
        """Whether a change of some size is an event."""
        return bool(self.absolute or self.relative)

    @property
    def verdict(self) -> Verdict:
        """Whether a client that subscribes gets events."""
        if self.refusal:
            return "refused"
        if self.first_error:
            return "unreadable"
        if self.polled_ms is not None and self.is_number and not self.has_threshold and not self.events:
            return "silent"
        return "well"

    def propose_repair(self, device: str) -> list[str]:
        """What to do, in words and as Python that can be pasted; empty where all is well."""
        if self.verdict == "well":
            return []
        if self.verdict == "unreadable":
            return [f"read {device}/{self.name}: the server says {self.first_error}"]
        steps = []
        proxy = f"tango.DeviceProxy({device!r})"
        if self.refusal_reason in ("API_AttributePollingNotStarted", "API_AttributeNotPolled"):
            steps.append(f"poll it: {proxy}.poll_attribute({self.name!r}, 1000)")
        elif self.refusal_reason not in ("", "API_EventPropertiesNotSet"):
            steps.append(f"look at the server: {self.refusal}")
        if self.is_number and not self.has_threshold:
            steps.append("set a threshold: abs_change (in its unit) or rel_change (%) in its event configuration")
        return steps
