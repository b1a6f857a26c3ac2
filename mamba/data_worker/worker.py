"""What an actor does, without Ray: holds the nodes of one group, and runs each in a thread for one arm at a time."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from pathlib import Path
from typing import Any

import psutil

from mamba.data_worker.edges import EdgePlan, Port, format_port
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.loops import NodeLoop
from mamba.data_worker.nodes import Flow, Job, Node, Sink, Source
from mamba.data_worker.reports import Reporter, dump_error
from mamba.data_worker.source_loops import FillLoop, StreamLoop
from mamba.data_worker.step_loop import StepLoop
from mamba.data_worker.stream import FrameReceiver
from mamba.errors import MambaError, NodeFailed

_JOIN_S = 10.0
_METERS_EVERY_S = 0.25
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_HEAP_BYTES = 32 * 2**20  # glibc takes no more
_KEPT_BYTES = 512 * 2**20


class GroupWorker:
    """The nodes of one group; every method answers JSON with `err` ("" or a code) so that no object is pickled."""

    def __init__(self) -> None:
        _keep_memory()
        self._loops: list[NodeLoop] = []
        self._meters: _MeterReader | None = None

    def identify(self) -> str:
        """Process id."""
        return json.dumps({"err": "", "pid": os.getpid()})

    def prepare(self, text: str) -> str:
        """Make nodes, files and the origins' ends of edges, for one arm."""
        order = json.loads(text)
        try:
            for plan in order["nodes"]:
                self._loops.append(_make_loop(plan, order))
        except MambaError as error:
            self._discard()
            return json.dumps({"err": error.code, **dump_error(error)})
        self._meters = _MeterReader(order, self._loops)
        edges = [edge for loop in self._loops for port in loop.ports.values() for edge in port.edges]
        return json.dumps({"err": "", "endpoints": {e.plan.token: e.link.endpoint for e in edges if e.plan.remote}})

    def start(self, text: str = "{}") -> str:
        """Let the nodes run; `text`: by token, the endpoints that edges over TCP have got."""
        endpoints = json.loads(text)
        for loop in self._loops:
            loop.learn(endpoints)
            loop.start()
        assert self._meters is not None
        self._meters.start()
        return json.dumps({"err": ""})

    def finish(self) -> str:
        """Wait until all nodes of the arm are through."""
        for loop in self._loops:
            loop.join(_JOIN_S)
        if self._meters is not None:
            self._meters.end()
        stuck = [loop.name for loop in self._loops if loop.is_alive()]
        self._loops = []
        return json.dumps({"err": "node-failed" if stuck else "", "stuck": stuck})

    def discard(self) -> str:
        """Give up what was prepared and never started."""
        self._discard()
        return json.dumps({"err": ""})

    def _discard(self) -> None:
        for loop in self._loops:
            loop.close()
            if isinstance(loop.node, Sink):
                loop.node.discard()
        self._loops = []


def _keep_memory() -> None:
    """Have the C library use the memory of a block again, instead of giving it back and asking for fresh pages.

    Every block of megabytes comes and goes as an array or a message. Measured with blocks of 8 MiB over TCP: 3.1 ms of
    CPU a frame of 2 MiB instead of 3.9 ms. Without glibc nothing happens.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def _make_loop(plan: dict[str, Any], order: dict[str, Any]) -> NodeLoop:
    node = build_node(NodeSpec.model_validate(plan["spec"]))
    inputs = {name: Flow.load(raw) for name, raw in plan["inputs"].items()}
    outputs = {name: Flow.load(raw) for name, raw in plan["outputs"].items()}
    outs = [EdgePlan(**edge) for edge in plan["outs"]]
    ins = [EdgePlan(**edge) for edge in plan["ins"]]
    job = Job(**{**order["job"], "file": Path(plan["file"])})
    _guard(node, lambda: node.plan(inputs))
    if plan["detector"] is not None:
        receiver = FrameReceiver(plan["detector"]["endpoint"], plan["detector"]["data_format"])
        port = Port(outs, receiver.format, forwards=receiver.ring)
        return StreamLoop(node, _report(node, order), port, job.arm, receiver, resumes=job.resume)
    _guard(node, lambda: node.open(job, inputs))
    ports: dict[str, Port] = {}
    try:
        for name, flow in outputs.items():
            edges = [edge for edge in outs if edge.output == name]
            ports[name] = Port(edges, *format_port(flow, plan["credits"]))
    except MambaError:
        for port in ports.values():
            port.close()
        if isinstance(node, Sink):
            node.discard()
        raise
    if isinstance(node, Source):
        return FillLoop(node, _report(node, order), ports["out"], job.arm)
    return StepLoop(node, _report(node, order), ports, ins, outputs)


def _report(node: Node, order: dict[str, Any]) -> Reporter:
    return Reporter(order["control"], node.name)


def _guard(node: Node, step: Any) -> None:
    """A site's node may raise anything.

    Raises:
        MambaError: what it raised, with the node's name.
    """
    try:
        step()
    except MambaError:
        raise
    except Exception as error:
        raise NodeFailed(
            f"node {node.name}: {type(error).__name__} while it was made ready", seen=str(error)
        ) from error


class _MeterReader(threading.Thread):
    """Tells the supervisor a few times a second how far each node is, also while one of them hangs."""

    def __init__(self, order: dict[str, Any], loops: list[NodeLoop]) -> None:
        super().__init__(name="meters", daemon=True)
        self._loops = list(loops)
        self._endpoint, self._name = order["control"], f"{order['group']}/"
        self._ended = threading.Event()
        self._process = psutil.Process()
        self._process.cpu_percent()

    def run(self) -> None:
        """Until the arm is over."""
        reporter = Reporter(self._endpoint, self._name)
        while not self._ended.wait(_METERS_EVERY_S):
            nodes = {loop.node.name: loop.read_meter() for loop in self._loops}
            memory = self._process.memory_info()
            reporter.send(
                "meters",
                nodes=nodes,
                cpu_percent=self._process.cpu_percent(),
                # rings are shared, and belong to nobody alone
                memory_bytes=memory.rss - memory.shared,
            )
            reporter.take(0.0)
        reporter.close(delivers=False)  # the supervisor may have left already, and would be waited for

    def end(self) -> None:
        """Stop; returns when it has."""
        self._ended.set()
        if self.is_alive():
            self.join()
