"""Sink: what comes in as bluesky documents, a run of its own per arm, told as notices `mdw/document`.

One event per frame number, with the values of all inputs; events travel in pages. `seq_num` is the frame number plus
one: a frame that was lost is a number that is missing. Uids follow from arm, node and file, so that an actor that takes
the work over goes on with the same run; an event that comes twice has the same uid.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.console_link import ConsoleSender
from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.nodes import Flow, Item, Job, NodeParameters, Sink
from mamba.errors import GraphInvalid

_LARGEST_ROW_BYTES = 64 * 1024
_LARGEST_PAGE_BYTES = 2**20


class DocumentsParameters(NodeParameters):
    """How large pages may grow."""

    page_events: int = Field(
        1000, ge=1, le=100_000, json_schema_extra={"units": "events"}, description="most in a page"
    )


class DocumentsSink(Sink):
    """Values as bluesky documents, told as notices: a run per arm, an event per frame number that all inputs have."""

    takes = DocumentsParameters
    inputs = (1, 32)
    joins = True
    keeps = False

    def plan(self, inputs: dict[str, Flow]) -> None:
        """Rows of up to 64 KiB in all, with as many frames to a row in each input."""
        size = sum(flow.row_bytes for flow in inputs.values())
        if size > _LARGEST_ROW_BYTES:
            large = max(inputs, key=lambda name: inputs[name].row_bytes)
            raise GraphInvalid(
                f"node {self.name!r}: too much for a document",
                seen=f"{size} bytes per frame, {inputs[large].row_bytes} of them from {large!r}",
                remedy="images go to a file, which the run's documents name",
            )
        if len({flow.every for flow in inputs.values()}) > 1:
            seen = ", ".join(f"{name}: every {flow.every}" for name, flow in inputs.items())
            raise GraphInvalid(f"node {self.name!r}: its inputs have different numbers of frames to a row", seen=seen)
        keys = [key for name, flow in inputs.items() for key in _keys(name, flow)]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise GraphInvalid(
                f"node {self.name!r}: two values would be called {min(twice)!r}",
                remedy="give an edge an 'as' of its own",
            )

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Begin the run.

        Raises:
            NodeFailed: there is no console.
        """
        self._flows, self._resumed = inputs, job.resume
        self._sender = ConsoleSender(self.name, job.console)
        self._space = uuid.uuid5(uuid.NAMESPACE_OID, f"{job.file}/{job.arm}/{self.name}")
        self._run, self._descriptor = (str(uuid.uuid5(self._space, name)) for name in ("run", "descriptor"))
        self._pages: list[tuple[NDArray[np.int64], NDArray[Any], dict[str, NDArray[Any]]]] = []
        self._waiting = self._events = 0
        row_bytes = max(1, sum(flow.row_bytes for flow in inputs.values()))
        assert isinstance(self.parameters, DocumentsParameters)
        self._most = max(1, min(self.parameters.page_events, _LARGEST_PAGE_BYTES // row_bytes))
        if not job.resume:
            self._begin(job)

    def _begin(self, job: Job) -> None:
        now = time.time()
        about = {"plan_name": "mdw", "device": job.device, "arm": job.arm, "file": str(job.file)}
        self._tell("start", {"uid": self._run, "time": now, **about, "metadata": job.metadata})
        data_keys = {
            key: about for name, flow in self._flows.items() for key, about in _describe(self.name, name, flow).items()
        }
        self._tell(
            "descriptor",
            {
                "uid": self._descriptor,
                "run_start": self._run,
                "time": now,
                "name": "primary",
                "data_keys": data_keys,
                "object_keys": {self.name: list(data_keys)},
                "hints": {},
                "configuration": {},
            },
        )

    def _tell(self, name: str, doc: dict[str, Any]) -> None:
        self._sender.send("document", {"name": name, "doc": doc})

    def process(self, item: Item) -> None:
        """Put the rows on the next page."""
        columns: dict[str, NDArray[Any]] = {}
        for name, rows in item.arrays.items():
            flow = self._flows[name]
            parts = rows.T if flow.columns else [rows]
            columns |= {key: np.array(part) for key, part in zip(_keys(name, flow), parts, strict=True)}
        numbers = np.arange(item.first, item.first + item.count)
        times = np.full(item.count, item.time or time.time())
        self._pages.append((numbers, times, columns))
        self._waiting += item.count
        if self._waiting >= self._most:
            self._turn()

    def _turn(self) -> None:
        """Send what is on the page, in pages that are not too large."""
        pages, self._pages, self._waiting = self._pages, [], 0
        if not pages:
            return
        numbers, times = (np.concatenate([page[at] for page in pages]) for at in (0, 1))
        data = {key: np.concatenate([page[2][key] for page in pages]) for key in pages[0][2]}
        for at in range(0, len(numbers), self._most):
            part = slice(at, at + self._most)
            self._send_page(
                numbers[part].tolist(), times[part].tolist(), {k: v[part].tolist() for k, v in data.items()}
            )

    def _send_page(self, numbers: list[int], times: list[float], data: dict[str, list[Any]]) -> None:
        self._events += len(numbers)
        page = {
            "descriptor": self._descriptor,
            "uid": [str(uuid.uuid5(self._space, str(number))) for number in numbers],
            "seq_num": [number + 1 for number in numbers],
            "time": times,
            "data": data,
            "timestamps": dict.fromkeys(data, times),
            "filled": {},
        }
        self._tell("event_page", page)

    def flush(self) -> list[tuple[int, int]]:
        """Send what waits, so that nobody is further behind than half a second; nothing is kept."""
        self._turn()
        return []

    def end(self) -> None:
        """Send the last page."""
        self._turn()

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """End the run, with the reason of the ledger."""
        self._turn()
        reason = account["reason"]
        stop = {
            "uid": str(uuid.uuid5(self._space, "stop")),
            "run_start": self._run,
            "time": time.time(),
            "exit_status": "abort" if reason else "success",
            "reason": reason,
        }
        if not self._resumed:  # an actor that was replaced took its count along
            stop["num_events"] = {"primary": self._events}
        self._tell("stop", stop)
        self._sender.close()
        return {}

    def discard(self) -> None:
        """Leave the console."""
        self._sender.close()


def _keys(name: str, flow: Flow) -> list[str]:
    base = name.replace(".", "_")  # event-model takes no dots
    return [f"{base}_{column}" for column in flow.columns] or [base]


def _describe(node: str, name: str, flow: Flow) -> dict[str, dict[str, Any]]:
    shape = [] if flow.columns else list(flow.shape)
    kind = {"u": "integer", "i": "integer", "b": "boolean"}.get(np.dtype(flow.dtype).kind, "number")
    about = {"source": f"MDW:{node}", "dtype": "array" if shape else kind, "shape": shape, "units": flow.units}
    about["dtype_numpy"] = np.dtype(flow.dtype).str
    about["object_name"] = node
    return {key: dict(about) for key in _keys(name, flow)}
