"""The master file of one run, from its start document to its stop document."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from mamba.devices.names import key_of
from mamba.scans.documents import find_x_key
from mamba.scans.nexus.entry import write_configuration, write_start, write_stop
from mamba.scans.nexus.external import ExternalData
from mamba.scans.nexus.file import (
    check_room,
    create_file,
    format_time,
    link_field,
    make_column,
    make_group,
    plot_by_default,
    set_plot,
    write_field,
)
from mamba.scans.nexus.layout import FieldLayout, GroupLayout, Layout, read_layout
from mamba.scans.nexus.streams import StreamColumns

log = logging.getLogger(__name__)

_unclosable: list[RunFile] = []
"""Files that could not be closed: HDF5 crashes when their objects are freed."""

Document = Mapping[str, Any]

PRIMARY = "primary"
"""The stream with the points of a scan."""


class RunFile:
    """One run's master file while it is being written.

    Attributes:
        path: the file.
        external: frames and other arrays that stand in files of their own.
    """

    def __init__(self, path: Path, start: Document) -> None:
        self.path = path
        self.start = start
        self._file = create_file(path)
        self._entry = write_start(self._file, start)
        self._streams: dict[str, StreamColumns] = {}
        self._layout = _layout_or_none(start)
        self._cut_at_end: list[Any] = []
        self.external = ExternalData(self._entry)
        self._file.flush()

    def add_descriptor(self, doc: Document) -> None:
        """Make the fields of a stream."""
        self.external.add_descriptor(doc)
        write_configuration(self._entry, doc)
        if all(data_key.get("external") for data_key in doc["data_keys"].values()):
            self._file.flush()
            return
        started = self.start["time"]
        stream = StreamColumns(self._entry, doc, start_time=started, start_text=format_time(started))
        self._streams[doc["uid"]] = stream
        if doc["name"] == PRIMARY:
            self._link_devices(doc, stream)
            if self._layout is None or not self._apply_layout(self._layout, stream):
                self._plot_signals(doc, stream)
        self._file.flush()

    def add_event(self, doc: Document) -> None:
        """Take one point; it reaches the file with the next `write`."""
        if doc["descriptor"] in self._streams:
            self._streams[doc["descriptor"]].add(doc["time"], doc["data"])

    def add_page(self, doc: Document) -> None:
        """Take several points."""
        for row, time in enumerate(doc["time"] if doc["descriptor"] in self._streams else ()):
            self._streams[doc["descriptor"]].add(time, {key: column[row] for key, column in doc["data"].items()})

    def write(self) -> None:
        """Append what waits and flush: from here on it survives the end of this process.

        Raises:
            DiskFull: what waits goes on waiting.
        """
        check_room(self.path)
        written = [stream.write() for stream in self._streams.values()]
        if any(written):
            self._file.flush()

    def finish(self, stop: Document) -> None:
        """Write the end of the run and close the file."""
        try:
            self.write()
            self._cut_constants()
            self.external.finish()
            write_stop(self._entry, stop, planned={name: self.start.get(name) for name in ("num_points", "num_frames")})
        finally:
            self.close()

    def close(self) -> None:
        """Close the file; doing it twice changes nothing."""
        if self._file:
            try:
                self._file.close()
            except (OSError, RuntimeError):
                _unclosable.append(self)
                raise

    def _link_devices(self, doc: Document, stream: StreamColumns) -> None:
        motors = {key_of(str(name)) for name in self.start.get("motors") or ()}
        instrument = self._entry["instrument"]
        for device, keys in (doc.get("object_keys") or {}).items():
            recorded = [key for key in keys if key in stream.fields]
            if not recorded:
                continue
            main = next((key for key in _hinted(doc, device) if key in stream.fields), recorded[0])
            group = make_group(instrument, device, "NXpositioner" if device in motors else "NXdetector")
            if device in motors:
                write_field(group, "name", device)
            else:
                write_field(group, "local_name", device)
            link_field(group, "value" if device in motors else "data", stream.fields[main])

    def _plot_signals(self, doc: Document, stream: StreamColumns) -> None:
        """The plot of a run without a layout: what its detectors hint at, against what its plan scans."""
        motors = {key_of(str(name)) for name in self.start.get("motors") or ()}
        hinted = [
            key for device in doc.get("object_keys") or {} if device not in motors for key in _hinted(doc, device)
        ]
        signals = [key for key in hinted if key in stream.fields and _is_plottable(stream.fields[key])]
        if not signals:
            return
        data = make_group(self._entry, "data", "NXdata")
        axis: Any = stream.fields.get(find_x_key(self.start) or "", stream.time)
        axis_name = axis.name.rpartition("/")[2]
        for key in signals:
            link_field(data, key, stream.fields[key])
        link_field(data, axis_name, axis)
        set_plot(data, signal=signals[0], axes=[axis_name], auxiliary=signals[1:])
        write_field(data, "title", str(self._entry["title"][()].decode()))
        plot_by_default(self._entry, "data")

    def _apply_layout(self, layout: Layout, stream: StreamColumns) -> bool:
        missing = layout.keys() - set(stream.fields)
        if missing:
            log.warning("%s: not %s, these keys were not recorded: %s", self.path, layout.definition, sorted(missing))
            return False
        for group in layout.groups:
            self._apply_group(group, stream)
        if layout.definition:
            write_field(self._entry, "definition", layout.definition)
        plot_by_default(self._entry, layout.default)
        return True

    def _apply_group(self, layout: GroupLayout, stream: StreamColumns) -> None:
        group = make_group(self._entry, layout.path, layout.nx_class)
        for name, field in layout.fields.items():
            if field.key is not None:
                link_field(group, name, stream.fields[field.key])
            elif field.log_ratio is not None:
                column = make_column(group, name, dtype="f8")
                column.attrs["long_name"] = field.long_name or name
                stream.derive_log_ratio(column, i0=field.log_ratio[0], i1=field.log_ratio[1])
            else:
                self._write_constant(group, name, field)
        if layout.signal:
            set_plot(group, signal=layout.signal, axes=[layout.axes] if layout.axes else [])
        if layout.default:
            plot_by_default(group, layout.default)

    def _write_constant(self, group: Any, name: str, field: FieldLayout) -> None:
        if not field.per_point:
            write_field(group, name, field.value, units=field.units, long_name=field.long_name)
            return
        values = np.asarray(field.value, dtype=float)
        column = make_column(group, name, dtype="f8")
        column.resize(len(values), axis=0)
        column[:] = values
        column.attrs["units"] = field.units
        self._cut_at_end.append(column)

    def _cut_constants(self) -> None:
        """A run that ended early has fewer points than were planned."""
        counts = [stream.count for stream in self._streams.values() if stream.group.name.endswith(f"/{PRIMARY}")]
        for column in self._cut_at_end:
            if counts and counts[0] < column.shape[0]:
                column.resize(counts[0], axis=0)


def _layout_or_none(start: Document) -> Layout | None:
    try:
        return read_layout(dict(start))
    except ValidationError as error:
        log.warning(
            "scan %s: its NeXus layout is not understood, a plain entry is written: %s", start["scan_id"], error
        )
        return None


def _hinted(doc: Document, device: str) -> list[str]:
    hint = (doc.get("hints") or {}).get(device) or {}
    return [str(key) for key in hint.get("fields") or ()]


def _is_plottable(field: Any) -> bool:
    return field.ndim == 1 and field.dtype.kind in "biuf"
