"""What the entry of every run says about itself: who, what, with which command, on which beamline, how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from mamba.scans.nexus.file import format_time, make_group, write_field

Document = Mapping[str, Any]

_SYNCHROTRON = "Synchrotron X-ray Source"


def write_start(file: Any, start: Document) -> Any:
    """Write everything a start document says; returns the entry."""
    entry = make_group(file, "entry", "NXentry")
    plan = str(start.get("plan_name") or "run")
    command = _command_of(start)
    write_field(entry, "title", f"Scan {start.get('scan_id', '')}: {command.get('command') or plan}")
    write_field(entry, "start_time", format_time(start["time"]))
    write_field(entry, "entry_identifier", start["uid"])
    write_field(entry, "program_name", "mamba").attrs["version"] = metadata.version("mamba-beamline")
    if isinstance(start.get("proposal"), str) and start["proposal"]:
        write_field(entry, "experiment_identifier", start["proposal"])
    person = command.get("person") or start.get("person")
    if person:
        write_field(make_group(entry, "user", "NXuser"), "name", str(person))
    _write_sample(entry, start.get("sample"))
    _write_instrument(entry, start)
    if command:
        _write_command(entry, command, start)
    collection = make_group(entry, "collection", "NXcollection")
    write_field(collection, "scan_id", int(start.get("scan_id") or 0))
    write_field(collection, "plan", plan)
    write_field(collection, "start_document", to_json(start))
    versions = make_group(collection, "versions", "NXcollection")
    for package, version in dict(start.get("packages") or start.get("versions") or {}).items():
        write_field(versions, package.replace("-", "_"), str(version))
    return entry


def write_stop(entry: Any, stop: Document, *, planned: Mapping[str, int | None]) -> None:
    """Write how the run ended; `planned`: what was to be measured, by the name of its count."""
    write_field(entry, "end_time", format_time(stop["time"]))
    collection = make_group(entry, "collection", "NXcollection")
    write_field(collection, "stop_document", to_json(stop))
    write_field(collection, "exit_status", str(stop.get("exit_status")))
    write_field(collection, "reason", str(stop.get("reason") or ""))
    for name, count in planned.items():
        if count is not None:
            write_field(collection, f"{name}_planned", count)
    write_field(collection, "num_points", int((stop.get("num_events") or {}).get("primary", 0)))


def write_configuration(entry: Any, descriptor: Document) -> None:
    """Write the settings of the devices, which do not change from point to point, each with its unit."""
    for device, settings in (descriptor.get("configuration") or {}).items():
        if not settings.get("data"):
            continue
        group = make_group(make_group(entry, "collection", "NXcollection"), "configuration", "NXcollection")
        group = make_group(group, device, "NXcollection")
        for key, value in settings["data"].items():
            units = str(settings.get("data_keys", {}).get(key, {}).get("units") or "")
            write_field(group, key, _storable(value), units=units)


def to_json(doc: Document) -> str:
    """A document as JSON text; what JSON does not know becomes its text."""
    return json.dumps(doc, default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value))


def _storable(value: Any) -> Any:
    if value is None or (isinstance(value, (dict, tuple, list)) and not _is_numeric(value)):
        return to_json({"value": value})
    return value


def _is_numeric(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, (int, float)) for item in value) and bool(value)


def _command_of(start: Document) -> Mapping[str, Any]:
    command = start.get("mamba")
    return command if isinstance(command, Mapping) else {}


def _write_sample(entry: Any, sample: Any) -> None:
    group = make_group(entry, "sample", "NXsample")
    fields = dict(sample) if isinstance(sample, Mapping) else {"name": str(sample or "not named")}
    write_field(group, "name", str(fields.pop("name", "not named")))
    for name, value in fields.items():
        write_field(group, name, _storable(value))


def _write_instrument(entry: Any, start: Document) -> None:
    instrument = make_group(entry, "instrument", "NXinstrument")
    write_field(instrument, "name", str(start.get("beamline") or "not named"))
    source = make_group(instrument, "source", "NXsource")
    write_field(source, "type", _SYNCHROTRON)
    write_field(source, "name", str(start.get("facility") or "not named"))
    write_field(source, "probe", "x-ray")


def _write_command(entry: Any, command: Mapping[str, Any], start: Document) -> None:
    note = make_group(entry, "command", "NXnote")
    write_field(note, "type", "text/x-python")
    write_field(note, "data", str(command.get("command") or ""))
    write_field(note, "date", format_time(start["time"]))
    if command.get("person"):
        write_field(note, "author", str(command["person"]))
    origin, number = command.get("origin") or "console", command.get("command_id") or "none"
    write_field(note, "description", f"the command that started this run; origin: {origin}; command id: {number}")
