"""What `M.x.link` shows: whether the device answers, since when, and how each attribute's changes get here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from mamba.devices.channels import POLL_S, Channel


@dataclass(frozen=True)
class AttributeReport:
    """One attribute of a link.

    Attributes:
        updates: "event, proven", "event, not proven yet", "polled every 500 ms: (why)", "read when asked".
        reads: how often it was read with success.
        age_s: since the last good read or event; None before the first.
        events: how many came.
    """

    updates: str
    reads: int
    age_s: float | None
    events: int


@dataclass(frozen=True)
class LinkReport:
    """How a link does.

    Attributes:
        name: expression of the device.
        device: Tango name.
        state: "connected", "lost" (no server), "silent" (no answer), "not used yet".
        since_s: since when it is so, Unix time; None before the first use.
        error: what was seen in the last outage; empty when there was none.
        error_s: when that was, Unix time.
        outages: how many there were.
        shared_by: how many devices of this process use the connection.
        round_trip_ms: of the last good call; None before.
        attributes: by name.
    """

    name: str
    device: str
    state: str
    since_s: float | None = None
    error: str = ""
    error_s: float | None = None
    outages: int = 0
    shared_by: int = 1
    round_trip_ms: float | None = None
    attributes: dict[str, AttributeReport] = field(default_factory=dict)

    def __str__(self) -> str:
        since = "" if self.since_s is None else f" since {_clock(self.since_s)}"
        trip = "" if self.round_trip_ms is None else f", last call {self.round_trip_ms:.2f} ms"
        lines = [f"{self.name} → {self.device}: {self.state}{since}{trip}"]
        if self.shared_by > 1:
            lines.append(f"  one connection for {self.shared_by} devices")
        if self.error and self.error_s is not None:
            times = "once" if self.outages == 1 else f"{self.outages} times"
            lines.append(f"  lost {times}, last at {_clock(self.error_s)}: {self.error}")
        width = max(map(len, self.attributes), default=0)
        for name, attribute in self.attributes.items():
            age = "never" if attribute.age_s is None else f"{attribute.age_s:.1f} s ago"
            counts = f"{attribute.reads} reads, {attribute.events} events, last {age}"
            lines.append(f"  {name:{width}}  {attribute.updates}; {counts}")
        return "\n".join(lines)


def report_on(name: str, device: str, connection: Any) -> LinkReport:
    """The report on `connection`, None where the link was not used yet; asks nobody."""
    if connection is None:
        return LinkReport(name, device, "not used yet")
    outage = connection.outage
    error_s, error = connection.last_error or (None, "")
    if outage is not None:
        state, since_s = outage.kind, outage.since_s
    else:
        state, since_s = ("connected", connection.since_s) if connection.since_s else ("not used yet", None)
    return LinkReport(
        name,
        device,
        state,
        since_s,
        error=error if len(error) <= 160 else error[:159] + "…",
        error_s=error_s,
        outages=connection.outages,
        shared_by=len(connection.users),
        round_trip_ms=connection.round_trip_s * 1e3 or None,
        attributes=_report_attributes(connection),
    )


def _report_attributes(connection: Any) -> dict[str, AttributeReport]:
    now = time.monotonic()
    reads: dict[str, int] = {}
    last: dict[str, float] = {}
    for together, (count, when) in list(connection.reads.items()):
        for attribute in together:
            reads[attribute] = reads.get(attribute, 0) + count
            last[attribute] = max(last.get(attribute, 0.0), when)
    channels: dict[str, Channel] = dict(connection.channels.by_attribute)
    report = {}
    for attribute in sorted({*reads, *channels}):
        channel = channels.get(attribute)
        when = max(last.get(attribute, 0.0), channel.last if channel else 0.0)
        report[attribute] = AttributeReport(
            _say_updates(channel),
            reads.get(attribute, 0),
            now - when if when else None,
            channel.events if channel else 0,
        )
    return report


def _say_updates(channel: Channel | None) -> str:
    if channel is None:
        return "read when asked"
    if channel.event_id is not None:
        return "event, proven" if channel.proven else "event, not proven yet"
    if channel.refused:
        return f"polled every {POLL_S * 1e3:.0f} ms while somebody listens: {channel.refused}"
    return "event channel lost, opened again when the device answers"


def _clock(unix_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(unix_s))
