"""Makes the groups and empty datasets of a raw file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.nodes import Flow, Job
from mamba.data_worker.sinks.columns import create_column, keep_gaps
from mamba.data_worker.sinks.facts import make_class, write_facts
from mamba.data_worker.sinks.frames import Compression, create_frames
from mamba.data_worker.sinks.layout import CHECKSUMS, FRAMES, NUMBER, GroupLayout, dump_layout


@dataclass(frozen=True)
class EntryPlan:
    """What a raw file is made of."""

    job: Job
    inputs: dict[str, Flow]
    groups: list[GroupLayout]
    compression: Compression


def make_entry(file: h5py.File, plan: EntryPlan) -> None:
    """Make everything that is there before the first frame."""
    job = plan.job
    entry = make_class(file, "entry", "NXentry")
    file.attrs["default"] = "entry"
    entry.attrs["default"] = "data"
    mdw = make_class(entry, "mdw", "NXcollection")
    mdw.attrs.update({"arm": job.arm, "device": job.device, "frames_asked": job.frames})
    mdw["graph"] = job.graph
    mdw["metadata"] = json.dumps(job.metadata)
    make_class(file, CHECKSUMS, "NXcollection").attrs["kind"] = "xxh3_64 of a chunk's bytes; 0: nothing there"
    for group in plan.groups:
        _make_group(file, group, plan)
    write_facts(entry, job)
    mdw["layout"] = dump_layout(plan.groups)  # the last: whose file has none holds nothing


def _make_group(file: h5py.File, layout: GroupLayout, plan: EntryPlan) -> None:
    group = make_class(file, layout.path, "NXdata")
    signal = {**layout.images, **layout.columns}[layout.leader]
    group.attrs.update({"signal": signal, "axes": [NUMBER, *["."] * len(plan.inputs[layout.leader].shape)]})
    group.attrs[f"{NUMBER}_indices"] = 0
    for flow, name in layout.images.items():
        form = plan.inputs[flow]
        made = create_frames(group, name, form.dtype, form.shape, compression=plan.compression)
        label = f"{plan.job.device or 'detector'} frames" if name == FRAMES else name
        made.attrs.update({"units": form.units or "counts", "long_name": label})
        if flow not in layout.split:
            _make_sums(file, layout, name, np.uint64)
        _describe_axis(group, name, form)
    for flow, name in layout.columns.items():
        form = plan.inputs[flow]
        kind = keep_gaps(form.dtype)
        made = create_column(group, name, kind, form.shape, fill=kind.type(np.nan))
        made.attrs.update({"units": form.units, "long_name": name, "columns": list(form.columns)})
        _make_sums(file, layout, name, np.uint64)
        _describe_axis(group, name, form)
    numbers = create_column(group, NUMBER, np.int64, (), fill=-1)
    numbers.attrs["long_name"] = "frame number" if layout.every == 1 else f"first of {layout.every} frame numbers"
    _make_sums(file, layout, NUMBER, np.uint64)


def _make_sums(file: h5py.File, layout: GroupLayout, name: str, dtype: Any) -> None:
    path = layout.checksums(name)
    parent, _, leaf = path.rpartition("/")
    create_column(make_class(file, parent, "NXcollection"), leaf, dtype, (), fill=0)


def _describe_axis(group: h5py.Group, name: str, form: Flow) -> None:
    """Values along the last axis; of its own group, so that viewers plot it against them."""
    if form.axis is None:
        return
    own = make_class(group.parent, name, "NXdata")
    axis = own.create_dataset(form.axis.name, data=np.array(form.axis.values))
    axis.attrs.update({"units": form.axis.units, "long_name": form.axis.name})
    own[name] = group[name]
    own.attrs.update({"signal": name, "axes": [*["."] * len(form.shape), form.axis.name]})
    own.attrs[f"{form.axis.name}_indices"] = len(form.shape)
