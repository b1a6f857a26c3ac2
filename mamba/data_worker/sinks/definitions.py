"""NeXus by technique: what an application definition wants, made of the flows and facts that are in the file.

The *fields* of a definition are told in the graph: the name of a flow, `flow.column` of one with columns, or a value::

    definition: NXxas
    fields: {energy: points.energy, incoming_beam: points.i0, absorbed_beam: points.i1, mode: Transmission}

Frames are linked; columns, which are small, are copied when the file is closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.nodes import Flow
from mamba.data_worker.sinks.account import MDW
from mamba.data_worker.sinks.facts import format_now, link, make_class, set_field
from mamba.data_worker.sinks.layout import DATA, FRAMES, NUMBER, is_image, load_layout
from mamba.errors import GraphInvalid, find_nearest

Definition = Literal["NXdata", "NXtomo", "NXxas", "NXazint1d"]
Fields = Mapping[str, str | float | bool]

_INVALID_IMAGE = 3
_CLAIMED = {
    "NXtomo": ("data", "image_key", "rotation_angle"),
    "NXxas": ("energy", "absorbed_beam", "mode"),
    "NXazint1d": ("I", "radial_axis"),
}
"""Names that a definition takes in /entry/data."""


class _Rule(NamedTuple):
    """Fields that are rows, and must be told; fields that are values, with what they are if not told."""

    rows: tuple[str, ...]
    values: dict[str, str | float | bool]
    frames: bool = False


_RULES = {
    "NXdata": _Rule((), {}),
    "NXtomo": _Rule(("rotation_angle",), {"image_key": 0}, frames=True),
    "NXxas": _Rule(("energy", "incoming_beam", "absorbed_beam"), {"mode": "Transmission"}),
    "NXazint1d": _Rule(
        ("I",),
        {
            "solid_angle_applied": False,
            "polarization_applied": False,
            "normalization_applied": False,
            "program": "mamba",
            "reference": "https://pyfai.readthedocs.io",
        },
    ),
}


def check_fields(node: str, definition: Definition, fields: Fields, inputs: dict[str, Flow]) -> None:
    """See that a definition can be kept.

    Raises:
        GraphInvalid: a field is missing, unknown, or names no flow that has it.
    """
    rule = _RULES[definition]
    known = [*rule.rows, *rule.values]
    for name in fields:
        if name not in known:
            raise GraphInvalid(
                f"node {node!r}: {definition} has no field {name!r}", remedy=find_nearest(name, known) if known else ""
            )
    for name in rule.rows:
        told = fields.get(name)
        if not isinstance(told, str) or not _find_flow(told, inputs):
            raise GraphInvalid(
                f"node {node!r}: {definition} needs {name}, the name of a flow or flow.column",
                seen=repr(told) if told is not None else "nothing",
                remedy=f"fields: {{{name}: …}}; its inputs are {', '.join(inputs)}",
            )
    _check_names(node, definition, fields, inputs)
    if rule.frames and not any(is_image(flow) for flow in inputs.values()):
        raise GraphInvalid(f"node {node!r}: {definition} needs frames", seen=", ".join(inputs), remedy="mend the edges")
    if definition == "NXazint1d" and inputs[str(fields["I"])].axis is None:
        raise GraphInvalid(f"node {node!r}: NXazint1d needs a spectrum with its axis", seen=f"{fields['I']} has none")


def _check_names(node: str, definition: Definition, fields: Fields, inputs: dict[str, Flow]) -> None:
    for name in _CLAIMED.get(definition, ()):
        itself = fields.get(name) == name and name != "image_key"
        if name in inputs and not (itself and (name == "I" or not inputs[name].shape)):
            raise GraphInvalid(
                f"node {node!r}: {definition} has a field {name!r} of its own", remedy=f"rename the node {name!r}"
            )


def _find_flow(told: str, inputs: dict[str, Flow]) -> bool:
    if told in inputs:
        return True
    flow, _, column = told.rpartition(".")
    return flow in inputs and column in inputs[flow].columns


def note_definition(file: h5py.File, definition: Definition, fields: Fields) -> None:
    """Say in a new file what its end must be, so that whoever ends it can."""
    file[MDW].attrs.update({"definition": definition, "fields": json.dumps(dict(fields))})


def write_definition(file: h5py.File) -> None:
    """Write what the noted definition wants, when all rows are there; may be done again."""
    definition, fields = file[MDW].attrs.get("definition", "NXdata"), json.loads(file[MDW].attrs.get("fields", "{}"))
    if definition == "NXdata":
        return
    entry = file["entry"]
    told = {**_RULES[definition].values, **fields}
    set_field(entry, "definition", definition)
    for name, group in entry.items():
        if name != "data" and group.attrs.get("NX_class") == "NXdata":
            group.attrs["NX_class"] = "NXcollection"  # a definition wants its fields in every NXdata of its entry
    {"NXtomo": _write_tomo, "NXxas": _write_xas, "NXazint1d": _write_azint}[definition](entry, told)


def _read_rows(entry: h5py.Group, told: Any) -> tuple[NDArray[Any], str]:
    """One number per frame, and the unit: of a flow, of a column, or the same for all."""
    for group in load_layout(entry.file[f"{MDW}/layout"].asstr()[()]):
        for flow, name in group.columns.items():
            dataset = entry.file[f"{group.path}/{name}"]
            units = str(dataset.attrs.get("units", ""))
            if told == flow:
                return dataset[:].reshape(len(dataset), -1)[:, 0], units
            columns = list(dataset.attrs.get("columns", ()))
            if isinstance(told, str) and told.rpartition(".")[0] == flow and told.rpartition(".")[2] in columns:
                return dataset[:, columns.index(told.rpartition(".")[2])], units
    return np.full(len(entry.file[f"{DATA}/{NUMBER}"]), told), ""


def _place_rows(entry: h5py.Group, group: h5py.Group, name: str, told: Any, *, units: str) -> h5py.Dataset:
    """A field with one number per frame: the flow itself where it is one, else a copy."""
    column = entry["data"].get(str(told))
    if isinstance(column, h5py.Dataset) and column.ndim == 1 and column.dtype.kind == "f":
        link(group, name, column)
        column.attrs["target"] = f"{group.name}/{name}"  # NXdata has the link, by the definitions
        return column
    values, told_units = _read_rows(entry, told)
    return set_field(group, name, values.astype(np.float64), units=told_units or units)


def _write_tomo(entry: h5py.Group, told: dict[str, Any]) -> None:
    detector, data = entry["instrument/detector"], entry["data"]
    keys, _ = _read_rows(entry, told["image_key"])
    keys = np.where(np.isfinite(keys), keys, _INVALID_IMAGE).astype(np.int64)
    key = set_field(detector, "image_key", keys)
    angle = _place_rows(entry, entry["sample"], "rotation_angle", told["rotation_angle"], units="degrees")
    link(data, "data", data[FRAMES])
    link(data, "image_key", key)
    link(data, "rotation_angle", angle)
    data.attrs["signal"] = "data"


def _write_xas(entry: h5py.Group, told: dict[str, Any]) -> None:
    instrument = entry["instrument"]
    mono = make_class(instrument, "monochromator", "NXmonochromator")
    energy = _place_rows(entry, mono, "energy", told["energy"], units="eV")
    beams = {
        name: _place_rows(entry, make_class(instrument, name, "NXdetector"), "data", told[name], units="counts")
        for name in ("incoming_beam", "absorbed_beam")
    }
    monitor = make_class(entry, "monitor", "NXmonitor")
    set_field(monitor, "mode", "timer")
    set_field(monitor, "preset", 0.0, units="s")
    link(monitor, "data", beams["incoming_beam"])
    plot = entry["data"]
    link(plot, "energy", energy)
    link(plot, "absorbed_beam", beams["absorbed_beam"])
    set_field(plot, "mode", str(told["mode"]))
    plot.attrs.update({"signal": "absorbed_beam", "axes": ["energy"], "energy_indices": 0})


def _write_azint(entry: h5py.Group, told: dict[str, Any]) -> None:
    for name in ("solid_angle_applied", "polarization_applied", "normalization_applied"):
        set_field(entry, name, bool(told[name]))
    reduction = make_class(entry, "reduction", "NXprocess")
    set_field(reduction, "program", str(told["program"]))
    set_field(reduction, "version", entry["program_name"].attrs["version"])
    set_field(reduction, "date", format_now())
    set_field(reduction, "reference", str(told["reference"]))
    parameters = make_class(reduction, "input", "NXparameters")
    set_field(parameters, "graph", entry["mdw/graph"].asstr()[()])
    own = entry[str(told["I"])]
    axis_name = str(own.attrs["axes"][-1])
    plot, axis = entry["data"], own[axis_name]
    values = set_field(plot, "radial_axis", axis[:])
    angle = axis_name.lower().startswith(("2t", "2θ", "tth"))
    values.attrs["long_name"] = "2theta" if angle else "q"
    values.attrs["units"] = axis.attrs["units"]
    intensity = own[str(told["I"])]
    intensity.attrs.update({"long_name": "intensity", "units": "arbitrary units"})
    link(plot, "I", intensity)
    plot.attrs.update({"signal": "I", "axes": [".", "radial_axis"], "interpretation": "spectrum"})
