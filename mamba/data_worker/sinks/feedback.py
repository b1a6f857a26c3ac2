"""Sink: each row to the console at once, for functions and plans that steer by it (`mamba.data_worker.feedback`)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mamba.data_worker.console_link import ConsoleSender
from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.nodes import Flow, Item, Job, Sink
from mamba.errors import GraphInvalid

_LARGEST_ROW_BYTES = 64 * 1024


class FeedbackSink(Sink):
    """Rows of up to 64 KiB to functions and plans in the console, at once.

    Give its edge the policy `latest` where only the newest counts.
    """

    keeps = False

    def plan(self, inputs: dict[str, Flow]) -> None:
        """Any flow of small rows."""
        (flow,) = inputs.values()
        if flow.row_bytes > _LARGEST_ROW_BYTES:
            raise GraphInvalid(
                f"node {self.name!r}: rows are too large to steer by",
                seen=f"{flow.row_bytes} bytes each, of shape {flow.shape}",
                remedy="reduce them first, such as by region_sums; a preview shows pictures",
            )

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Tell the console what will come.

        Raises:
            NodeFailed: there is no console.
        """
        (flow,) = inputs.values()
        self._form = {"shape": flow.shape, "dtype": flow.dtype}
        self._sender = ConsoleSender(self.name, job.console)
        form = asdict(flow)
        self._sender.send("begin", {key: form[key] for key in ("shape", "dtype", "units", "columns")})

    def process(self, item: Item) -> None:
        """Send the rows."""
        head: dict[str, Any] = {**self._form, "first": item.first, "count": item.count, "time": item.time}
        self._sender.send("rows", head, item.data)

    def end(self) -> None:
        """Say that nothing more comes."""
        self._sender.send("end", {})

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Leave the console."""
        self._sender.close()
        return {}

    def discard(self) -> None:
        """Leave the console."""
        self._sender.close()
