"""What the supervisor in the console has to do for a thousand modules of a detector: messages, and the status.

Both are inputs of `thousand_modules`. The supervisor is the real one, turned by hand; fifty sockets send what nodes
report, all of it before the clock starts, so that what is measured is its own work.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mamba.data_worker.frame import DataFormat
from mamba.data_worker.nodes import Job
from mamba.data_worker.planning import ArmPlan, Detector, plan_arm
from mamba.data_worker.reports import Reporter
from mamba.data_worker.supervisor import Actions, Supervisor
from tests.bench.measuring import Sample, make_entry
from tests.support.modules import make_modules

MODULES = 1000
SENDERS, EACH = 50, 300
ROUNDS = 4


def measure() -> list[dict[str, Any]]:
    """Microseconds for a message, and for each node in a status."""
    with tempfile.TemporaryDirectory(prefix="mb-sup-") as folder:
        plan = make_plan(Path(folder))
        messages = [Sample(time_messages(plan)) for _ in range(ROUNDS)]
        states = [Sample(time_status(plan)) for _ in range(ROUNDS)]
    return [
        make_entry("supervisor_message", messages, unit="µs", bar="", least=True),
        make_entry("supervisor_status", states, unit="µs/node", bar="", least=True),
    ]


def make_plan(folder: Path) -> ArmPlan:
    """Of a thousand modules."""
    form = DataFormat((64, 64), "uint16", "zmq", 1, 32).dump()
    detectors = {f"camera{at}": Detector("tcp://127.0.0.1:1", form) for at in range(MODULES)}
    return plan_arm(make_modules(MODULES), Job(1, 1000, folder / "frames.h5"), detectors, folder)


@contextmanager
def supervising(plan: ArmPlan) -> Iterator[Supervisor]:
    """One that never runs, but is turned by hand; all groups have told a meter."""
    nobody: Any = None
    unused = {field.name: nobody for field in fields(Actions)}
    supervisor = Supervisor(plan, Actions(**{**unused, "on_progress": lambda _: None, "on_end": lambda _: None}))
    meter = {"rows": 9, "bytes": 9, "dropped": 0, "queued": 1, "credits": 1, "last": 8, "last_time": 1.0, "busy_s": 0.0}
    for group in plan.orders:
        edges = {name: {f"{name} → {name}": {"sent": 1, "dropped": 0}} for name in plan.nodes_of(group)}
        nodes = {name: {**meter, "edges": counts} for name, counts in edges.items()}
        supervisor._table.take(group, {"nodes": nodes, "cpu_percent": 1.0, "memory_bytes": 1})
    try:
        yield supervisor
    finally:
        supervisor.withdraw()


def time_messages(plan: ArmPlan) -> float:
    """Microseconds for one, all that a turn looks at beside it included but the status."""
    with supervising(plan) as supervisor, ExitStack() as stack:
        for at in range(SENDERS):
            reporter = Reporter(plan.control, f"file{at}")
            stack.callback(reporter.close)
            for number in range(EACH):
                reporter.send("written", ranges=[[number * 4, 4]])
        books = supervisor._books._books
        supervisor._shown = began = time.monotonic()
        while sum(len(books[f"file{at}"].written) for at in range(SENDERS)) < SENDERS * EACH * 4:
            supervisor._turn()
        return (time.monotonic() - began) / (SENDERS * EACH) * 1e6


def time_status(plan: ArmPlan) -> float:
    """Microseconds for each node, until it is text."""
    with supervising(plan) as supervisor:
        began = time.monotonic()
        progress = supervisor._books.describe("running", supervisor._table.read())
        json.dumps(asdict(progress))
        return (time.monotonic() - began) / len(plan.groups) * 1e6
