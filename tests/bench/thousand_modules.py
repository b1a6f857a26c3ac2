"""A thousand modules of a detector on paper: credits and placement in a simulation of a few dozen lines.

A *module* sends blocks over its host's link to a source and a writer on that host; `Costs` has what was measured (see
docs/scaling.md), `Site` what a facility would have. Events are worked off in order of time, without chance: a block is
due, arrives, is processed, is written; a commit makes blocks safe, and their slots go back to the detector, which
waits when it has none. The console's supervisor gets messages, which hold nobody.

`python -m tests.bench.thousand_modules docs/images/scaling.png` draws it.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MIB = 2**20
_PANELS = (13.0, 3.9)


@dataclass(frozen=True)
class Costs:
    """Measured on two cores; the sources stand in docs/scaling.md.

    Attributes:
        block_s: CPU for a block that is small, of all processes of a module.
        tcp_s_per_mib: CPU of the receiving end for a block over TCP.
        commit_s: one commit of the file.
        idle_s: a writer to which nothing came for so long commits.
        acknowledge_s: at least so often it does.
        message_s: the supervisor's work for one message.
        status_s_per_node: its work for each node in a status, five times a second.
        reports_per_s: of a module, beside one for each commit: arrivals and meters.
    """

    block_s: float = 1.44e-3
    tcp_s_per_mib: float = 0.63e-3
    commit_s: float = 1.5e-3
    idle_s: float = 0.02
    acknowledge_s: float = 0.5
    message_s: float = 17e-6
    status_s_per_node: float = 20e-6
    reports_per_s: float = 24.0


@dataclass(frozen=True)
class Site:
    """What is assumed: modules of 512 × 1024 pixels (1 MiB) at 200 frames/s, in blocks of four; hosts as one buys them.

    Attributes:
        block_mib, blocks_per_s: of each module.
        slots: credits of each module.
        round_trip_s: between a detector and its host.
        link_mib_s, disk_mib_s, cores: of each host.
        per_host: modules on a host.
    """

    block_mib: float = 4.0
    blocks_per_s: float = 50.0
    slots: int = 32
    round_trip_s: float = 0.5e-3
    link_mib_s: float = 2980.0
    disk_mib_s: float = 1050.0
    cores: int = 8
    per_host: int = 4


@dataclass
class Outcome:
    """What came of it; of all modules together.

    Attributes:
        seconds: simulated.
        made, safe: blocks.
        held: blocks that were due before there was a slot.
        most_under_way: of one module.
        cpu_s: of all hosts.
        messages: to the supervisor.
    """

    seconds: float
    made: int = 0
    safe: int = 0
    held: int = 0
    most_under_way: int = 0
    cpu_s: float = 0.0
    messages: float = 0.0


class _Server:
    """Something that does one thing after the other."""

    def __init__(self) -> None:
        self.free_at = 0.0

    def take(self, now: float, seconds: float) -> float:
        """When it is done."""
        self.free_at = max(now, self.free_at) + seconds
        return self.free_at


class _Host:
    """A link, a disk, and cores."""

    def __init__(self, cores: int) -> None:
        self.link, self.disk, self.cores = _Server(), _Server(), [0.0] * cores

    def compute(self, now: float, seconds: float) -> float:
        """When the core that is free first is done."""
        done = max(now, heapq.heappop(self.cores)) + seconds
        heapq.heappush(self.cores, done)
        return done


@dataclass
class _Module:
    host: _Host
    free: int
    waiting: int = 0  # blocks that are due and have no slot
    unsafe: int = 0
    came_at: float = 0.0
    committed_at: float = 0.0
    under_way: int = field(default=0)


class Simulation:
    """So many modules for so many seconds."""

    def __init__(self, modules: int, seconds: float, site: Site, costs: Costs) -> None:
        self._site, self._costs = site, costs
        hosts = [_Host(site.cores) for _ in range(math.ceil(modules / site.per_host))]
        self._modules = [_Module(hosts[at // site.per_host], site.slots) for at in range(modules)]
        self._events: list[tuple[float, int, str, int, int]] = []
        self._number = 0
        self.outcome = Outcome(seconds, messages=modules * costs.reports_per_s * seconds)

    def run(self) -> Outcome:
        """Work off all events until the end."""
        period = 1 / self._site.blocks_per_s
        for at in range(len(self._modules)):
            self._plan(period * at / len(self._modules), "due", at)
        acts = {"due": self._due, "arrive": self._arrive, "write": self._write, "look": self._look, "free": self._free}
        while self._events and self._events[0][0] < self.outcome.seconds:
            now, _, what, at, count = heapq.heappop(self._events)
            acts[what](now, at, count)
        return self.outcome

    def _plan(self, when: float, what: str, at: int, count: int = 1) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what, at, count))

    def _due(self, now: float, at: int, _: int) -> None:
        module = self._modules[at]
        self._plan(now + 1 / self._site.blocks_per_s, "due", at)
        if module.free:
            self._send(now, at)
        else:
            self.outcome.held += 1
            module.waiting += 1

    def _send(self, now: float, at: int) -> None:
        module = self._modules[at]
        module.free -= 1
        module.under_way += 1
        self.outcome.made += 1
        self.outcome.most_under_way = max(self.outcome.most_under_way, module.under_way)
        sent = module.host.link.take(now, self._site.block_mib / self._site.link_mib_s)
        self._plan(sent + self._site.round_trip_s / 2, "arrive", at)

    def _arrive(self, now: float, at: int, _: int) -> None:
        cpu_s = self._costs.block_s + self._costs.tcp_s_per_mib * self._site.block_mib
        self.outcome.cpu_s += cpu_s
        host = self._modules[at].host
        self._plan(host.disk.take(host.compute(now, cpu_s), self._site.block_mib / self._site.disk_mib_s), "write", at)

    def _write(self, now: float, at: int, _: int) -> None:
        module = self._modules[at]
        module.unsafe += 1
        module.came_at = now
        if module.unsafe * 2 >= self._site.slots or now - module.committed_at >= self._costs.acknowledge_s:
            self._commit(now, at)
        else:
            self._plan(now + self._costs.idle_s, "look", at)

    def _look(self, now: float, at: int, _: int) -> None:
        module = self._modules[at]
        if module.unsafe and now - module.came_at >= self._costs.idle_s * 0.999:
            self._commit(now, at)

    def _commit(self, now: float, at: int) -> None:
        module = self._modules[at]
        done = module.host.compute(now, self._costs.commit_s)
        self.outcome.cpu_s += self._costs.commit_s
        self.outcome.messages += 1
        self._plan(done + self._site.round_trip_s / 2, "free", at, module.unsafe)
        module.unsafe, module.committed_at = 0, now

    def _free(self, now: float, at: int, count: int) -> None:
        module = self._modules[at]
        module.free += count
        module.under_way -= count
        self.outcome.safe += count
        while module.free and module.waiting:
            module.waiting -= 1
            self._send(now, at)


def simulate(modules: int, seconds: float = 2.0, site: Site | None = None, costs: Costs | None = None) -> Outcome:
    """Run it."""
    return Simulation(modules, seconds, site or Site(), costs or Costs()).run()


def place(site: Site, costs: Costs, *, filled: float = 0.8) -> dict[str, int]:
    """How many modules a host can take by each of its means, when it is filled to so much."""
    mib_s = site.block_mib * site.blocks_per_s
    cpu_s = (costs.block_s + costs.tcp_s_per_mib * site.block_mib) * site.blocks_per_s
    means = {"link": site.link_mib_s / mib_s, "disk": site.disk_mib_s / mib_s, "cores": site.cores / cpu_s}
    return {name: int(filled * limit) for name, limit in means.items()}


def supervise(modules: int, outcome: Outcome, costs: Costs) -> float:
    """How busy the supervisor is, 1: wholly; three nodes to a module."""
    messages = outcome.messages / outcome.seconds * costs.message_s
    return messages + 5 * 3 * modules * costs.status_s_per_node


def draw(path: Path) -> None:
    """The picture of docs/scaling.md."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=_PANELS, constrained_layout=True)
    _draw_modules(axes[0])
    _draw_credits(axes[1])
    _draw_supervisor(axes[2])
    figure.savefig(path, dpi=110)


_COUNTS = (1, 4, 10, 40, 100, 400, 1000)


def _draw_modules(axes: Any) -> None:
    found = [simulate(count) for count in _COUNTS]
    gib = Site().block_mib / 1024
    axes.loglog(_COUNTS, [each.made / each.seconds * gib for each in found], "o-", label="throughput, GiB/s")
    axes.loglog(_COUNTS, [count * Site().slots * gib for count in _COUNTS], "s--", label="rings of the hosts, GiB")
    axes.loglog(_COUNTS, [each.cpu_s / each.made * 1e3 for each in found], "^-", label="CPU for a block, ms")
    axes.set(title="Modules on hosts of four", xlabel="modules")
    axes.legend(fontsize=8)


def _draw_credits(axes: Any) -> None:
    slots = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
    for round_trip_ms in (0.5, 20, 100, 300):
        site = replace(Site(), round_trip_s=round_trip_ms / 1e3)
        shares = [_share(replace(site, slots=count)) for count in slots]
        axes.semilogx(slots, shares, "o-", ms=4, base=2, label=f"round trip {round_trip_ms:g} ms")
    axes.set(title="Credits of a module (4 MiB each)", xlabel="slots", ylabel="share of the blocks", ylim=(0, 1.05))
    axes.legend(fontsize=8)


def _share(site: Site) -> float:
    outcome = simulate(4, 4.0, site)
    return outcome.made / (4 * site.blocks_per_s * outcome.seconds)


def _draw_supervisor(axes: Any) -> None:
    busy: dict[str, list[float]] = defaultdict(list)
    for count in _COUNTS:
        outcome, costs = simulate(count), Costs()
        busy["all"].append(supervise(count, outcome, costs) * 100)
        busy["messages"].append(supervise(count, outcome, replace(costs, status_s_per_node=0.0)) * 100)
    axes.loglog(_COUNTS, busy["all"], "o-", label="messages and status")
    axes.loglog(_COUNTS, busy["messages"], "s--", label="messages alone")
    axes.axhline(100, color="0.5", lw=1)
    axes.set(title="The console's supervisor", xlabel="modules", ylabel="busy, % of a core")
    axes.legend(fontsize=8)


def main(arguments: Sequence[str]) -> None:
    """Say the figures, and draw."""
    site, costs = Site(), Costs()
    print("a host takes, by", place(site, costs))
    for count in _COUNTS:
        outcome = simulate(count)
        print(
            f"{count:5} modules: {outcome.made / outcome.seconds:8.0f} blocks/s"
            f" {outcome.made * site.block_mib / outcome.seconds / 1024:7.1f} GiB/s  held {outcome.held}"
            f"  CPU/block {outcome.cpu_s / outcome.made * 1e3:.2f} ms  most under way {outcome.most_under_way}"
            f"  messages/s {outcome.messages / outcome.seconds:6.0f}"
            f"  supervisor {supervise(count, outcome, costs) * 100:.0f} %"
        )
    if arguments:
        draw(Path(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
