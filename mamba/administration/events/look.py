"""Find out what a device's attributes do about events: ask the server, subscribe for a while, read its black box.

Nothing is changed. Who subscribes is not told by Tango: events go out by multicast of ZeroMQ. What can be known are the
clients whose subscriptions stand in the black box of the server's admin device, that is among its last calls, for all
devices of the server together; each client confirms its subscriptions there every ten minutes.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tango

from mamba.administration.events.attribute import AttributeEvents
from mamba.errors import DeviceUnreachable, UnknownDevice, find_nearest

_BLACK_BOX_DEPTH = 50
_SUBSCRIPTION = re.compile(
    r"\(cmd = (?:Zmq)?Event(?:SubscriptionChange|ConfirmSubscription)\).* from (?P<host>\S+) "
    r"\((?P<client>.*?)(?: with PID (?P<pid>\d+))?\)"
)
_POLLED_AGE = re.compile(r"Data not updated since (?P<number>[\d.]+) ?(?P<unit>mS|S|sec)?")
_NOT_SET = ("", "Not specified")


@dataclass(frozen=True)
class DeviceEvents:
    """One device: its attributes, and the clients that subscribed lately to anything of its server."""

    device: str
    server: str
    listened_s: float
    attributes: list[AttributeEvents]
    subscribers: list[str]


@dataclass
class _Heard:
    """Events of one attribute; `since` the answer to the subscription they are of the server's own accord."""

    error: str = ""
    times: list[float] = field(default_factory=list)
    since: bool = False

    def take(self, event: Any) -> None:
        """One event, in Tango's thread."""
        if event.err:
            self.error = _first_line(event.errors)
        elif self.since:
            self.times.append(time.monotonic())


def list_devices(host: str) -> list[str]:
    """All exported devices of a control system that are not Tango's own.

    Raises:
        DeviceUnreachable: the database does not answer.
    """
    try:
        found = _open_database(host).get_device_exported("*")
    except tango.DevFailed as failure:
        raise _no_database(host, failure) from None
    return [name for name in found if name.partition("/")[0] not in ("dserver", "sys") or name.startswith("sys/tg_")]


def look_at_device(host: str, device: str, *, listen_s: float) -> DeviceEvents:
    """Subscribe to every attribute of `device` for `listen_s` seconds and tell what is known.

    Raises:
        DeviceUnreachable: the database or the server does not answer.
        UnknownDevice: names the nearest one.
    """
    proxy = _connect(host, device)
    admin = _connect_admin(proxy)
    clients = list_subscribers(list(admin.black_box(_BLACK_BOX_DEPTH)))
    configurations = proxy.get_attribute_config_ex(list(proxy.get_attribute_list()))
    heard, refusals, subscriptions = _subscribe(proxy, [c.name for c in configurations])
    try:
        for each in heard.values():
            each.since = True
        threading.Event().wait(listen_s)
        ended = time.monotonic()
    finally:
        for number in subscriptions:
            proxy.unsubscribe_event(number)
    polled, sent = _read_polling(proxy), _count_sent(admin, proxy.dev_name())
    attributes = [
        _describe(config, polled, heard[config.name], refusals.get(config.name), sent, ended)
        for config in configurations
    ]
    return DeviceEvents(proxy.dev_name(), proxy.info().server_id, listen_s, attributes, clients)


def list_subscribers(black_box: Iterable[str]) -> list[str]:
    """The clients in the lines of an admin device's black box that subscribed to events or confirmed it, without us."""
    found: dict[str, None] = {}
    for line in black_box:
        match = _SUBSCRIPTION.search(line)
        if match is None or match["pid"] == str(os.getpid()):
            continue
        program = _name_program(match["pid"]) if match["pid"] else ""
        process = f", process {match['pid']}{program}" if match["pid"] else f", {match['client']}"
        found[f"{match['host']}{process}"] = None
    return list(found)


def _name_program(pid: str) -> str:
    """What a process of this machine is called with; another machine's, or one that ended, has none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return f" ({' '.join(Path(word).name if n == 0 else word for n, word in enumerate(words)).strip()[:60]})"


def _open_database(host: str) -> Any:
    name, _, port = host.rpartition(":")
    return tango.Database(name, int(port))


def _connect(host: str, device: str) -> Any:
    try:
        proxy = tango.DeviceProxy(device if device.startswith("tango://") else f"tango://{host}/{device}")
        proxy.ping()
    except tango.DevFailed as failure:
        reasons = {error.reason for error in failure.args}
        if reasons & {"API_CantConnectToDatabase", "API_TangoHostNotSet"}:
            raise _no_database(host, failure) from None
        if reasons & {"DB_DeviceNotDefined", "API_DeviceNotDefined"}:
            raise UnknownDevice(
                f"{device}: no such device",
                seen=f"the Tango database {host} does not have it",
                remedy=find_nearest(device, [str(name) for name in _open_database(host).get_device_exported("*")]),
            ) from None
        raise DeviceUnreachable(
            f"{device}: cannot be asked about its events",
            seen=_first_line(failure.args),
            remedy="start its server; 'mambactl doctor' names those of the beamline",
        ) from None
    return proxy


def _connect_admin(proxy: Any) -> Any:
    name = proxy.adm_name()
    return tango.DeviceProxy(name if name.startswith("tango://") else f"tango://{proxy.get_db_host()}/{name}")


def _no_database(host: str, failure: Any) -> DeviceUnreachable:
    return DeviceUnreachable(
        f"Tango database {host}: does not answer",
        seen=_first_line(failure.args),
        remedy="start it, or give another with --host",
    )


def _subscribe(proxy: Any, names: list[str]) -> tuple[dict[str, _Heard], dict[str, Any], list[int]]:
    heard: dict[str, _Heard] = {name: _Heard() for name in names}
    refusals: dict[str, Any] = {}
    subscriptions: list[int] = []
    for name in names:
        try:
            number = proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, heard[name].take)
        except tango.DevFailed as failure:
            refusals[name] = failure.args[0]
        else:
            subscriptions.append(number)
    return heard, refusals, subscriptions


def _read_polling(proxy: Any) -> dict[str, tuple[int, float | None]]:
    """Period (ms) and age of the last value (ms) by attribute in lower case."""
    polled = {}
    for text in proxy.polling_status():
        lines = dict(line.partition(" = ")[::2] for line in text.split("\n") if " = " in line)
        name = lines.get("Polled attribute name")
        if name:
            age = _POLLED_AGE.search(text)
            factor = 1.0 if age is None or age["unit"] == "mS" else 1000.0
            polled[name.lower()] = (
                int(lines["Polling period (mS)"]),
                None if age is None else float(age["number"]) * factor,
            )
    return polled


def _count_sent(admin: Any, device: str) -> dict[str, int] | None:
    """Change events sent since the start of the server, by attribute in lower case; None for Tango before 10."""
    try:
        told = json.loads(admin.command_inout("QueryEventSystem"))
    except tango.DevFailed as failure:
        if failure.args[0].reason == "API_CommandNotFound":
            return None
        raise
    found = {}
    for name, number in ((told.get("server") or {}).get("event_counters") or {}).items():
        path, _, kind = name.rpartition(".")
        if kind.endswith("change") and f"/{device.lower()}/" in path.lower():
            found[path.rpartition("/")[2].lower()] = int(number)
    return found


def _describe(
    config: Any,
    polled: dict[str, tuple[int, float | None]],
    heard: _Heard,
    refusal: Any,
    sent: dict[str, int] | None,
    ended: float,
) -> AttributeEvents:
    period, age = polled.get(config.name.lower(), (None, None))
    change, archive = config.events.ch_event, config.events.arch_event
    kept = {
        "abs": archive.archive_abs_change, "rel %": archive.archive_rel_change, "period ms": archive.archive_period
    }  # fmt: skip
    return AttributeEvents(
        name=config.name,
        type_name=tango.CmdArgType(config.data_type).name,
        polled_ms=period,
        polled_age_ms=age,
        absolute=_set_value(change.abs_change),
        relative=_set_value(change.rel_change),
        archive=", ".join(f"{word} {value}" for word, value in kept.items() if value not in _NOT_SET),
        periodic_ms=_set_value(config.events.per_event.period),
        refusal="" if refusal is None else " ".join(refusal.desc.split()),
        refusal_reason="" if refusal is None else refusal.reason,
        first_error=heard.error,
        events=len(heard.times),
        last_age_s=ended - heard.times[-1] if heard.times else None,
        sent=None if sent is None else sent.get(config.name.lower(), 0),
    )


def _set_value(text: str) -> str:
    return "" if text in _NOT_SET else text


def _first_line(errors: Any) -> str:
    return " ".join(str(errors[0].desc).split())[:160]
