"""Which kinds of nodes a graph may name: ours, and those of installed packages.

A package adds its own by entry points of the group `mamba.nodes`::

    [project.entry-points."mamba.nodes"]
    our_correction = "our_package.nodes:OurCorrection"
"""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from mamba.data_worker.nodes import Node
from mamba.errors import GraphInvalid, find_nearest

GROUP = "mamba.nodes"

_OURS = {
    "stream": "mamba.data_worker.sources.stream:StreamSource",
    "dark_flat": "mamba.data_worker.processors.dark_flat:DarkFlat",
    "mask": "mamba.data_worker.processors.mask:Mask",
    "threshold": "mamba.data_worker.processors.threshold:Threshold",
    "channel": "mamba.data_worker.processors.channel:Channel",
    "rebin": "mamba.data_worker.processors.rebin:Rebin",
    "frame_values": "mamba.data_worker.processors.frame_values:FrameValues",
    "combine_frames": "mamba.data_worker.processors.combine_frames:CombineFrames",
    "points": "mamba.data_worker.sources.points:PointsSource",
    "tango_events": "mamba.data_worker.sources.tango_events:TangoEvents",
    "zmq_subscribe": "mamba.data_worker.sources.zmq_subscribe:ZmqSubscribe",
    "hdf5_replay": "mamba.data_worker.sources.hdf5_replay:Hdf5Replay",
    "dectris": "mamba.data_worker.sources.dectris.source:DectrisSource",
    "match_times": "mamba.data_worker.processors.match_times:MatchTimes",
    "region_sums": "mamba.data_worker.processors.region_sums:RegionSums",
    "centroid": "mamba.data_worker.processors.centroid:Centroid",
    "peak_fit": "mamba.data_worker.processors.peak_fit:PeakFit",
    "azimuthal": "mamba.data_worker.processors.azimuthal:Azimuthal",
    "xafs_bin": "mamba.data_worker.processors.xafs_bin:XafsBin",
    "python": "mamba.data_worker.processors.python_file:PythonFile",
    "rolling": "mamba.data_worker.processors.rolling:Rolling",
    "expression": "mamba.data_worker.processors.expression:Expression",
    "hdf5": "mamba.data_worker.sinks.hdf5:Hdf5Sink",
    "zmq_republish": "mamba.data_worker.sinks.zmq_republish:ZmqRepublish",
    "preview": "mamba.data_worker.sinks.preview:PreviewSink",
    "feedback": "mamba.data_worker.sinks.feedback:FeedbackSink",
    "documents": "mamba.data_worker.sinks.documents:DocumentsSink",
}


@functools.cache
def _find_installed() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def _table() -> dict[str, str]:
    return {**_find_installed(), **_OURS}


def list_kinds() -> list[str]:
    """All kinds a graph may name; ours win over a package's of the same name."""
    return sorted(_table())


def find_kind(kind: str) -> type[Node]:
    """The class of a kind; loaded when first asked for, so that a graph without files needs no HDF5.

    Raises:
        GraphInvalid: no such kind (names the nearest), or its package cannot be loaded.
    """
    if kind not in _table():
        raise GraphInvalid(f"node kind {kind!r}: unknown", remedy=find_nearest(kind, list_kinds()))
    place = _table()[kind]
    module, _, name = place.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001  # whatever a package raises while it is imported, it is broken
        seen = f"{type(error).__name__}: {error}"
        raise GraphInvalid(
            f"node kind {kind!r}: cannot be loaded from {place}", seen=seen, remedy="mend or remove its package"
        ) from None
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise GraphInvalid(f"node kind {kind!r}: {place} is not a node", remedy="derive it from nodes.Node")
    return cls


@dataclass(frozen=True)
class KindPage:
    """What a person or a window has to know of a kind; JSON-able with `dataclasses.asdict`.

    Attributes:
        kind: its name in a graph.
        role: "source", "processor" or "sink".
        doc: its class's docstring.
        place: module and class.
        inputs: how many: (least, most).
        outputs: their names; one called "out" needs no name.
        joins: it gets the same frame numbers of all its inputs at once.
        parameters: JSON schema of its parameters: types, defaults, limits, units and doc.
        error: why its package cannot be loaded; then the rest is empty.
    """

    kind: str
    role: str = ""
    doc: str = ""
    place: str = ""
    inputs: tuple[int, int] = (0, 0)
    outputs: tuple[str, ...] = ()
    joins: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def describe_kind(kind: str) -> KindPage:
    """The page of a kind.

    Raises:
        GraphInvalid: as `find_kind`.
    """
    cls = find_kind(kind)
    role = "source" if cls.inputs == (0, 0) else "processor" if cls.outputs else "sink"
    return KindPage(
        kind,
        role,
        inspect.cleandoc(cls.__doc__ or ""),
        _table()[kind],
        cls.inputs,
        cls.outputs,
        cls.joins,
        cls.takes.model_json_schema(),
    )


def describe_kinds() -> list[KindPage]:
    """The pages of all kinds; one whose package is broken says so and hides no other."""
    pages = []
    for kind in list_kinds():
        try:
            pages.append(describe_kind(kind))
        except GraphInvalid as error:
            pages.append(KindPage(kind, place=_table()[kind], error=str(error)))
    return pages
