"""What an actor does, without Ray: holds the nodes of one group, and runs each in a thread for one arm at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mamba.data_worker.edges import EdgePlan, OutEdge, format_messages
from mamba.data_worker.graph import NodeSpec, build_node
from mamba.data_worker.loops import NodeLoop, SourceLoop, StepLoop
from mamba.data_worker.nodes import Flow, Job, Sink
from mamba.data_worker.reports import Reporter, dump_error
from mamba.data_worker.stream import FrameReceiver
from mamba.errors import MambaError

_JOIN_S = 10.0


class GroupWorker:
    """The nodes of one group; every method answers JSON with `err` ("" or a code) so that no object is pickled."""

    def __init__(self) -> None:
        self._loops: list[NodeLoop] = []

    def identify(self) -> str:
        """Process id."""
        return json.dumps({"err": "", "pid": os.getpid()})

    def prepare(self, order: str) -> str:
        """Make nodes, files and the origins' ends of edges, for one arm."""
        plan = json.loads(order)
        try:
            for node in plan["nodes"]:
                self._loops.append(self._make_loop(node, plan))
        except MambaError as error:
            self._discard()
            return json.dumps({"err": error.code, **dump_error(error)})
        return json.dumps({"err": ""})

    def _make_loop(self, plan: dict[str, Any], order: dict[str, Any]) -> NodeLoop:
        node = build_node(NodeSpec.model_validate(plan["spec"]))
        inputs = {name: Flow.load(raw) for name, raw in plan["inputs"].items()}
        ins = [EdgePlan(**edge) for edge in plan["ins"]]
        node.plan(inputs)
        job = Job(**{**order["job"], "file": Path(order["job"]["file"])})
        reporter = Reporter(order["control"], node.name)
        if not ins:
            receiver = FrameReceiver(order["endpoint"], order["data_format"])
            outs = [OutEdge(EdgePlan(**edge), receiver.format) for edge in plan["outs"]]
            return SourceLoop(node, reporter, outs, receiver)
        node.open(job, inputs)
        flows = {name: Flow.load(raw) for name, raw in plan["outputs"].items()}
        edges = [EdgePlan(**edge) for edge in plan["outs"]]
        outs = [OutEdge(edge, format_messages(flows[edge.output])) for edge in edges]
        return StepLoop(node, reporter, outs, ins)

    def start(self) -> str:
        """Let the nodes run."""
        for loop in self._loops:
            loop.start()
        return json.dumps({"err": ""})

    def finish(self) -> str:
        """Wait until all nodes of the arm are through."""
        for loop in self._loops:
            loop.join(_JOIN_S)
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
