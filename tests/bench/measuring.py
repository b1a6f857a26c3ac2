"""What the parts of `make bench` share: CPU of all processes concerned, rounds in turn, and an entry's fields."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Sample:
    """One round of one job.

    Attributes:
        value: what is compared, such as frames per second.
        cpu_ms: CPU of all processes concerned for each block or frame.
    """

    value: float
    cpu_ms: float = 0.0


def read_cpu_s() -> dict[psutil.Process, float]:
    """CPU that this process and everything it started and not yet waited for have taken so far, each, in seconds."""
    found = {}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[process] = times.user + times.system
    return found


class Watch:
    """Wall and CPU time from its making on."""

    def __init__(self) -> None:
        self._cpu_s, self._at = read_cpu_s(), time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._at

    def cpu_ms(self, count: int) -> float:
        """For each of `count`; of who ended meanwhile, such as an actor of the round before, nothing counts."""
        return sum(now - self._cpu_s.get(process, 0.0) for process, now in read_cpu_s().items()) * 1000 / count


def take_turns(rounds: int, jobs: dict[str, Callable[[], Sample]]) -> dict[str, list[Sample]]:
    """Each job once in every round, so that a busy minute of the machine hits all of them."""
    samples: dict[str, list[Sample]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            samples[name].append(job())
    return samples


def make_entry(
    name: str,
    samples: list[Sample],
    *,
    unit: str,
    bar: str,
    reference: list[Sample] | None = None,
    least: bool = False,
) -> dict[str, Any]:
    """An entry of `results.json`: the best round against the best round of the reference.

    Args:
        name: of the entry.
        samples: its rounds.
        unit: of the value.
        bar: what is wanted, for people.
        reference: rounds of what it is compared with.
        least: the smallest value is the best.
    """
    best = min if least else max
    value = best(sample.value for sample in samples)
    entry: dict[str, Any] = {
        "name": name,
        "value": value,
        "unit": unit,
        "reference": "",
        "ratio": "",
        "samples": [sample.value for sample in samples],
        "bar": bar,
        "load": os.getloadavg()[0],
    }
    cpu_ms = min(sample.cpu_ms for sample in samples)
    if cpu_ms:
        entry["cpu_ms"] = cpu_ms
    if reference is not None:
        entry["reference"] = best(sample.value for sample in reference)
        entry["ratio"] = value / entry["reference"]
        reference_cpu_ms = min(sample.cpu_ms for sample in reference)
        if cpu_ms and reference_cpu_ms:
            entry["cpu_ratio"] = cpu_ms / reference_cpu_ms
    return entry


def make_entries_by_size(name: str, samples: dict[str, list[Sample]], *, unit: str) -> list[dict[str, Any]]:
    """An entry for each size but the first, which is the reference; what is measured must not grow.

    Args:
        name: of the entries, with `{}` for the size.
        samples: rounds by size, the smallest first.
        unit: of the values.
    """
    reference, *sizes = samples
    return [
        make_entry(name.format(size), samples[size], unit=unit, bar="≤ 1", reference=samples[reference], least=True)
        for size in sizes
    ]
