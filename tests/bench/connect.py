"""1,000 attributes of 100 devices connect, each with its configuration, against 2 s; 100 devices in a session: 1 s.

The second is what the 100 devices add to making a group of one: no server is asked for it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from mamba.devices import Group, Motor, TangoSignal
from tests.support.tango_facility import running_facility

DEVICES = [f"test/rig/{number}" for number in range(100)]
ATTRIBUTES = ("Position", "Mode", "Duration", "Level", "Gain", "Trace", "Writes", "State", "Status", "Broken")
ROUNDS = 3
CONNECT_S, SESSION_S = 2.0, 1.0


def measure() -> list[dict[str, Any]]:
    """Entries for `results.json`."""
    with tempfile.TemporaryDirectory(prefix="mb-", dir="/tmp") as folder, running_facility(Path(folder)) as facility:
        facility.register("Rig/many", {name: ("Rig", {}) for name in DEVICES})
        facility.start("Rig/many", "tests.devices.support.rig")
        addresses = [f"tango://{facility.host}/{name}" for name in DEVICES]
        connecting = [time_connecting(addresses) for _ in range(ROUNDS)]
        session = [time_session(addresses) - time_session(addresses[:1]) for _ in range(ROUNDS)]
    return [
        make_entry("connect_1000_attributes_s", connecting, CONNECT_S),
        make_entry("session_with_100_devices_s", session, SESSION_S),
    ]


def time_connecting(addresses: list[str]) -> float:
    """Until every attribute has told its configuration, over connections that are new."""
    begun = time.perf_counter()
    signals = [
        TangoSignal(attribute, name=f"D.s{number}_{attribute}", tango=address)
        for number, address in enumerate(addresses)
        for attribute in ATTRIBUTES
    ]
    told = {signal.info.name for signal in signals}
    taken_s = time.perf_counter() - begun
    assert told == set(ATTRIBUTES)
    for signal in signals:
        signal.destroy()
    return taken_s


def time_session(addresses: list[str]) -> float:
    """Making these devices and putting them into `M`."""
    begun = time.perf_counter()
    group = Group("M")
    for number, address in enumerate(addresses):
        group[f"m{number}"] = Motor(address, name=f"M.m{number}")
    taken_s = time.perf_counter() - begun
    for key in list(group):
        del group[key]
    return taken_s


def make_entry(name: str, samples: list[float], promised_s: float) -> dict[str, Any]:
    """One entry: the median."""
    value = statistics.median(samples)
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "reference": promised_s,
        "ratio": value / promised_s,
        "samples": samples,
    }
