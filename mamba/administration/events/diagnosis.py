"""What is known about the change events of a device.

Tango offers no list of subscribers. What there is: servers since Tango 10 count the events they sent, per attribute
(`QueryEventSystem`); and the admin device's black box holds its last 50 calls, with host and process of each client
that subscribed or confirmed its subscription (a client of PyTango 10.3 was seen to do so every 210 s), but not for
which attribute.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

import tango

from mamba.administration.listening import Listener, listen
from mamba.administration.subject import NUMBERS, Subject

_POLLED = re.compile(
    r"Polled attribute name = (\S+).*?(?:Polling period \(mS\) = (\d+)|externally triggered)", re.DOTALL
)
_CALLER = re.compile(r"^(.*?) : .*cmd = (ZmqEventSubscriptionChange|EventConfirmSubscription).*PID (\d+)\)")
_HOST = re.compile(r"requested from (\S+)")
_NOT_SET = "Not specified"


class Source(StrEnum):
    """Where an attribute's change events come from."""

    PUSHED = "pushed"
    POLLED = "polled"
    NONE = "none"


@dataclass(frozen=True)
class AttributeEvents:
    """One line of the table.

    Attributes:
        name: of the attribute.
        source: where its events come from.
        period_ms: how often it is polled; None when it is not, or by its server's own trigger.
        thresholds: what is set, such as `abs 0.1`; empty when nothing is.
        came: events within the time listened.
        age_s: how long ago the last of them came; None when none came.
        sent: events the server has sent since somebody first subscribed; None when it does not count, or nobody did.
        trouble: what is wrong; empty when nothing is.
        repair: what to do about it, as a command where there is one.
    """

    name: str
    source: Source
    period_ms: int | None
    thresholds: str
    came: int
    age_s: float | None
    sent: int | None
    trouble: str = ""
    repair: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Everything about one device.

    Attributes:
        device: its name.
        listened_s: how long events were waited for.
        attributes: one line each, State first.
        subscribers: "HOST PID, last seen TIME" of clients of the whole server, from its black box.
        counts_known: whether the server counts the events it sent.
    """

    device: str
    listened_s: float
    attributes: list[AttributeEvents]
    subscribers: list[str]
    counts_known: bool


def diagnose(subject: Subject, listen_s: float) -> Diagnosis:
    """Subscribe to every attribute for a while and say what is seen."""
    # Both first: our own subscriptions count and fill the black box.
    subscribers, counts = find_subscribers(subject), read_counts(subject)
    periods = read_periods(subject)
    infos = {info.name: info for info in subject.device.attribute_list_query_ex()}
    names = sorted(infos, key=lambda name: name not in ("State", "Status"))
    with listen(subject.device, names) as heard:
        threading.Event().wait(listen_s)
        now = time.monotonic()
    return Diagnosis(
        subject.name,
        listen_s,
        [_judge(subject.name, infos[name], heard[name], periods, counts, now) for name in names],
        subscribers,
        counts is not None,
    )


def read_periods(subject: Subject) -> dict[str, int | None]:
    """Polled attributes, lower case, and their periods (ms); None: polled when the server's code says so."""
    found = (_POLLED.search(told) for told in subject.device.polling_status())
    return {match[1].lower(): int(match[2]) if match[2] else None for match in found if match}


def read_counts(subject: Subject) -> dict[str, int] | None:
    """Change events sent per attribute, lower case, without those that nobody ever subscribed to.

    None when the server is older than Tango 10 and does not count.
    """
    if "QueryEventSystem" not in {info.cmd_name for info in subject.admin.command_list_query()}:
        return None
    told = json.loads(subject.admin.command_inout("QueryEventSystem"))
    counters: dict[str, int] = (told.get("server") or {}).get("event_counters") or {}
    prefix = f"/{subject.name.lower()}/"
    own = {key.lower().partition(prefix)[2]: count for key, count in counters.items() if prefix in key.lower()}
    # The counter is the number that the next event will carry; it begins at 1 with the first subscription.
    return {key.rpartition(".")[0]: count - 1 for key, count in own.items() if key.endswith("change")}


def find_subscribers(subject: Subject) -> list[str]:
    """Clients that subscribed to something of this server, as far as its black box goes back; newest first."""
    seen: dict[str, str] = {}
    for line in subject.admin.black_box(50):
        match, host = _CALLER.search(line), _HOST.search(line)
        if match and host and match[3] != str(os.getpid()):
            seen.setdefault(f"{host[1]} process {match[3]}", match[1])
    return [f"{client}, seen {when}" for client, when in seen.items()]


def describe_thresholds(info: tango.AttributeInfoEx) -> str:
    """The thresholds that are set, in words: `abs 0.1, rel 1%, archive abs 0.2, period 1000 ms`."""
    change, archive, period = info.events.ch_event, info.events.arch_event, info.events.per_event.period
    given = [
        ("abs {}", change.abs_change),
        ("rel {}%", change.rel_change),
        ("archive abs {}", archive.archive_abs_change),
        ("archive rel {}%", archive.archive_rel_change),
        ("archive period {} ms", archive.archive_period),
        ("period {} ms", "" if period == "1000" else period),  # 1000 is Tango's own default
    ]
    return ", ".join(text.format(value) for text, value in given if value and value != _NOT_SET)


def _judge(
    device: str,
    info: tango.AttributeInfoEx,
    heard: Listener,
    periods: dict[str, int | None],
    counts: dict[str, int] | None,
    now: float,
) -> AttributeEvents:
    key = info.name.lower()
    is_polled = key in periods
    source = Source.POLLED if is_polled else Source.PUSHED if heard.refused is None else Source.NONE
    trouble, repair = _find_trouble(device, info, heard, is_polled=is_polled)
    return AttributeEvents(
        info.name,
        source,
        periods.get(key),
        describe_thresholds(info),
        heard.count,
        None if heard.last_s is None else now - heard.last_s,
        None if counts is None else counts.get(key),
        trouble,
        repair,
    )


def _find_trouble(device: str, info: tango.AttributeInfoEx, heard: Listener, *, is_polled: bool) -> tuple[str, str]:
    call = f"mambactl tango events {device}"
    lacks = info.data_type in NUMBERS and all(
        value == _NOT_SET for value in (info.events.ch_event.abs_change, info.events.ch_event.rel_change)
    )
    threshold = f" --abs-change {info.name}=CHANGE"
    if heard.refused is not None and not is_polled:
        return "neither pushed nor polled", f"{call} --poll {info.name}=1000{threshold if lacks else ''}"
    if is_polled and lacks:
        return "polled, but a number without threshold", f"{call}{threshold}"
    if heard.refused is not None:
        return heard.refused[1], "see the server's log"
    if heard.errors:
        return f"event with an error: {heard.errors[0]}", "let the attribute be read without an error"
    return "", ""
