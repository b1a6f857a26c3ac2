"""What a raw file says about itself in NeXus: who, what, with which command, on which instrument, by which software.

Taken from `Job.metadata`, whose keys are those of a run's start document::

    title, proposal, user (or person), command, beamline, facility, sample (a name, or fields), energy_kev,
    devices  (name: {field: {value, units}}): settings before the arm
    detector (field: value, or {value, units}): fields of NXdetector as NXmx has them, such as x_pixel_size, distance
    packages (name: version): software

All of it is also kept as it came, as JSON in /entry/mdw/metadata.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from typing import Any

import h5py
import numpy as np

from mamba.data_worker.nodes import Job
from mamba.data_worker.sinks.layout import DATA, FRAMES

_WAVELENGTH_KEV_ANGSTROM = 12.398419843320026  # h c / e, exact in the SI of 2019


def make_class(parent: h5py.Group, path: str, nx_class: str) -> h5py.Group:
    """The group of that class, made if it is not there."""
    group = parent.require_group(path)
    group.attrs.setdefault("NX_class", nx_class)
    return group


def set_field(group: h5py.Group, name: str, value: Any, *, units: str = "") -> h5py.Dataset:
    """Write a field, or write it anew."""
    if name in group:
        del group[name]
    if isinstance(value, str):
        value = value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    field = group.create_dataset(name, data=value)
    if units:
        field.attrs["units"] = units
    return field


def format_now() -> str:
    """ISO 8601 with the local offset."""
    return datetime.fromtimestamp(time.time()).astimezone().isoformat(timespec="milliseconds")


def write_facts(entry: h5py.Group, job: Job) -> None:
    """Write what is known before the first frame."""
    facts = job.metadata
    set_field(entry, "title", str(facts.get("title") or f"{job.device or 'detector'}, arm {job.arm}"))
    set_field(entry, "start_time", format_now())
    version = metadata.version("mamba-beamline")
    set_field(entry, "program_name", "mamba").attrs["version"] = version
    if facts.get("proposal"):
        set_field(entry, "experiment_identifier", str(facts["proposal"]))
    person = facts.get("user") or facts.get("person")
    if person:
        _write_fields(make_class(entry, "user", "NXuser"), person)
    _write_fields(make_class(entry, "sample", "NXsample"), facts.get("sample") or "not named")
    _write_instrument(entry, job)
    _write_command(entry, facts)
    write_devices(entry, facts.get("devices"), when="before")
    versions = make_class(entry, "mdw/versions", "NXcollection")
    packages = {"mamba": version, "h5py": h5py.version.version, "hdf5": h5py.version.hdf5_version}
    for package, text in {**dict(facts.get("packages") or {}), **packages}.items():
        set_field(versions, str(package).replace("/", "_"), str(text))


def write_devices(entry: h5py.Group, devices: Any, *, when: str) -> None:
    """Write the settings of devices, under /entry/mdw/devices_before or devices_after."""
    for device, settings in devices.items() if isinstance(devices, Mapping) else ():
        group = make_class(entry, f"mdw/devices_{when}", "NXcollection")
        _write_fields(make_class(group, str(device), "NXcollection"), settings)


def _write_instrument(entry: h5py.Group, job: Job) -> None:
    facts = job.metadata
    instrument = make_class(entry, "instrument", "NXinstrument")
    set_field(instrument, "name", str(facts.get("beamline") or "not named"))
    source = make_class(instrument, "source", "NXsource")
    set_field(source, "name", str(facts.get("facility") or "not named"))
    set_field(source, "type", "Synchrotron X-ray Source")
    set_field(source, "probe", "x-ray")
    energy = facts.get("energy_kev")
    if isinstance(energy, (int, float)):
        mono = make_class(instrument, "monochromator", "NXmonochromator")
        set_field(mono, "energy", float(energy), units="keV")
        set_field(mono, "wavelength", _WAVELENGTH_KEV_ANGSTROM / energy, units="angstrom")
    detector = make_class(instrument, "detector", "NXdetector")
    set_field(detector, "local_name", job.device or "detector")
    if isinstance(facts.get("detector"), Mapping):
        _write_fields(detector, facts["detector"])
    if FRAMES in entry.file[DATA]:
        link(detector, "data", entry.file[f"{DATA}/{FRAMES}"])
    link(detector, "sequence_number", entry.file[f"{DATA}/frame_number"])


def link(group: h5py.Group, name: str, item: h5py.Dataset) -> None:
    """A hard link, and the attribute by which NeXus knows which of both is meant."""
    if group.get(name) != item:
        if name in group:
            del group[name]
        group[name] = item
    item.attrs.setdefault("target", item.name)


def _write_command(entry: h5py.Group, facts: Mapping[str, Any]) -> None:
    told = facts.get("command") or facts.get("mamba")
    command = told.get("command") if isinstance(told, Mapping) else told
    if command:
        note = make_class(entry, "command", "NXnote")
        set_field(note, "type", "text/x-python")
        set_field(note, "data", str(command))


def _write_fields(group: h5py.Group, fields: Any) -> None:
    """A name, or fields that are values or {value, units}."""
    for name, told in fields.items() if isinstance(fields, Mapping) else [("name", str(fields))]:
        value, units = (told.get("value"), told.get("units")) if isinstance(told, Mapping) else (told, "")
        if not isinstance(value, (str, int, float, bool)):
            numbers = np.asarray(value)
            value = numbers if numbers.dtype.kind in "biuf" else str(value)
        set_field(group, str(name).replace("/", "_"), value, units=str(units or ""))
