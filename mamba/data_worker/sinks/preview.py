"""Sink: now and then the newest frame, made small, for whoever looks (`mamba.data_worker.previews`)."""

from __future__ import annotations

import functools
import math
import time
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mamba.data_worker.console_link import ConsoleSender
from mamba.data_worker.ledger import DatasetInfo
from mamba.data_worker.nodes import Flow, Item, Job, NodeParameters, Sink
from mamba.errors import GraphInvalid


class PreviewParameters(NodeParameters):
    """How often and how large."""

    rate: float = Field(5.0, gt=0, le=25, json_schema_extra={"units": "Hz"}, description="most pictures in a second")
    pixels: int = Field(65536, ge=16, le=1_048_576, json_schema_extra={"units": "pixels"}, description="most in one")
    binning: Literal["max", "mean", "pick"] = Field(
        "max", description="how pixels become one: max keeps single spots, pick takes every n-th and costs least"
    )


def make_small(frame: NDArray[Any], pixels: int, binning: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """A frame of at most `pixels` pixels, and how many rows and columns of the frame are one of it.

    What does not fill a whole bin at the far edges is left out.
    """
    step = max(1, math.ceil((frame.size / pixels) ** (1 / frame.ndim)))
    steps = tuple(min(step, n) for n in frame.shape)
    while math.prod(n // s for n, s in zip(frame.shape, steps, strict=True)) > pixels:
        steps = tuple(min(s + 1, n) for n, s in zip(frame.shape, steps, strict=True))
    cut = frame[tuple(slice(n // s * s) for n, s in zip(frame.shape, steps, strict=True))]
    if binning == "pick":
        return cut[tuple(slice(None, None, s) for s in steps)].copy(), steps
    whole: NDArray[Any] = cut if binning == "max" else cut.astype(np.float64)
    for axis, s in enumerate(steps):
        # NumPy's own reduction over a short axis takes ten times as long
        parts = [whole[(*(slice(None),) * axis, slice(at, None, s))] for at in range(s)]
        whole = functools.reduce(np.maximum if binning == "max" else np.add, parts)
    small = whole if binning == "max" else whole / math.prod(steps)
    return np.array(small, frame.dtype), steps


class PreviewSink(Sink):
    """The newest image or curve, made small, for windows; the last one of an arm is always shown.

    An edge with the policy `latest` to it costs the graph nothing but that.
    """

    takes = PreviewParameters
    keeps = False

    @property
    def settings(self) -> PreviewParameters:
        """The parameters."""
        assert isinstance(self.parameters, PreviewParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> None:
        """Images and curves."""
        (flow,) = inputs.values()
        if len(flow.shape) not in (1, 2):
            raise GraphInvalid(
                f"node {self.name!r}: it shows images and curves", seen=f"shape {flow.shape}", remedy="mend the edges"
            )

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Connect to the console.

        Raises:
            NodeFailed: there is none.
        """
        (flow,) = inputs.values()
        self._sender = ConsoleSender(self.name, job.console)
        self._about = {"device": job.device, "arm": job.arm, "full_shape": flow.shape}
        self._kept = np.empty(flow.shape, flow.dtype)
        self._waiting: tuple[int, float] | None = None
        self._shown = -math.inf

    def process(self, item: Item) -> None:
        """Show the item's last frame when it is time, else keep it."""
        if self._is_due():
            self._show(item.last, item.time, item.data[-1])
        else:
            np.copyto(self._kept, item.data[-1])
            self._waiting = item.last, item.time

    def _is_due(self) -> bool:
        return time.monotonic() - self._shown >= 1 / self.settings.rate

    def _show(self, number: int, made: float, frame: NDArray[Any]) -> None:
        image, step = make_small(frame, self.settings.pixels, self.settings.binning)
        form = {"number": number, "time": made, "shape": image.shape, "dtype": image.dtype.str, "step": step}
        self._sender.send("preview", {**self._about, **form}, image)
        self._waiting, self._shown = None, time.monotonic()

    def _show_kept(self) -> None:
        if self._waiting is not None:
            self._show(*self._waiting, self._kept)

    def flush(self) -> list[tuple[int, int]]:
        """Show what waits when it is time; nothing is kept."""
        if self._is_due():
            self._show_kept()
        return []

    def end(self) -> None:
        """Show the last frame."""
        self._show_kept()

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Leave the console."""
        self._sender.close()
        return {}

    def discard(self) -> None:
        """Leave the console."""
        self._sender.close()
