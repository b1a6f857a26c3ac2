"""Documents of the run engine → notices for windows: pure functions, and one class with the memory they need.

*Expression*: the name of a device as one types it (`M.energy`). *Key*: the name under which a value is recorded
(`M_energy`). A notice about a point carries scalars only; arrays and frames stay in files.

===============  ====================================================================================================
scan/start       `id, uid, plan, command_id, origin, person, motors, detectors, num_points, x, time`; `x` is the key
                 of the horizontal axis, or None for a run against time
scan/descriptor  `id, uid, stream, keys`: key → `{units, dtype, shape}`
scan/point       `id, uid, stream, n, data, time`; `n` counts from 1 within the stream
scan/stop        `id, uid, exit_status, reason, num_points, files, problems, time`
===============  ====================================================================================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mamba.devices.names import key_of
from mamba.wire import notices

log = logging.getLogger(__name__)

Document = Mapping[str, Any]
"""A document of the run engine; anything may be missing from it."""

NoticeFields = tuple[str, dict[str, Any]]
"""The `typ` of a notice and its fields."""

_NOTHING: Mapping[str, Document] = {}


def notices_of(name: str, doc: Document, known: Mapping[str, Document] = _NOTHING) -> list[NoticeFields]:
    """The notices that say what one document says; never raises, whatever the document lacks.

    Args:
        name: kind of document; kinds without a notice (stream_resource, datum, …) give an empty list.
        doc: the document.
        known: earlier start documents and descriptors by uid; without them `id`, `uid` and `stream` may be None.
    """
    make = _MAKERS.get(name)
    if make is None:
        return []
    try:
        return make(doc, known)
    except Exception:  # documents come from anybody's plan; an odd one costs its notice, not the run
        log.warning("%s document: no notice could be made of it", name, exc_info=True)
        return []


def _start(doc: Document, known: Mapping[str, Document]) -> list[NoticeFields]:
    command = doc.get("mamba")
    command = command if isinstance(command, Mapping) else {}
    fields = {
        "id": doc.get("scan_id"),
        "uid": doc.get("uid"),
        "plan": doc.get("plan_name") or "",
        "command_id": command.get("command_id"),
        "origin": command.get("origin"),
        "person": command.get("person"),
        "motors": _strings(doc.get("motors")),
        "detectors": _strings(doc.get("detectors")),
        "num_points": doc.get("num_points"),
        "x": find_x_key(doc),
        "time": doc.get("time"),
    }
    return [("scan/start", fields)]


def find_x_key(start: Document) -> str | None:
    """Key of the first scanned dimension as the plan's hints name it; None for a run against time."""
    hints = start.get("hints")
    dimensions = hints.get("dimensions") if isinstance(hints, Mapping) else None
    try:
        field = dimensions[0][0][0]  # type: ignore[index]  # whatever is missing is caught below
    except (TypeError, IndexError, KeyError):
        return None
    return key_of(field) if isinstance(field, str) and field != "time" else None


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, Iterable) else []


def _descriptor(doc: Document, known: Mapping[str, Document]) -> list[NoticeFields]:
    uid = doc.get("run_start")
    keys = {
        key: {"units": entry.get("units") or "", "dtype": entry.get("dtype"), "shape": _shape(entry.get("shape"))}
        for key, entry in (doc.get("data_keys") or {}).items()
    }
    return [("scan/descriptor", {"id": _scan_id(uid, known), "uid": uid, "stream": doc.get("name"), "keys": keys})]


def _shape(value: object) -> list[int]:
    return [int(n) for n in value] if isinstance(value, Sequence) else []


def _scan_id(uid: str | None, known: Mapping[str, Document]) -> int | None:
    return known.get(uid, {}).get("scan_id") if uid else None


def _event(doc: Document, known: Mapping[str, Document]) -> list[NoticeFields]:
    return [_point(doc, known, doc.get("data") or {}, doc.get("seq_num"), doc.get("time"))]


def _point(doc: Document, known: Mapping[str, Document], data: Mapping[str, Any], n: Any, time: Any) -> NoticeFields:
    descriptor = known.get(doc.get("descriptor") or "", {})
    uid = descriptor.get("run_start")
    scalars = {key: scalar for key, value in data.items() if (scalar := _as_scalar(value)) is not None}
    return "scan/point", {
        "id": _scan_id(uid, known),
        "uid": uid,
        "stream": descriptor.get("name"),
        "n": n,
        "data": scalars,
        "time": time,
    }


def _as_scalar(value: Any) -> bool | int | float | str | None:
    if isinstance(value, (bool, int, float, str)):
        # numpy's float64 is a float and its str_ a str; what goes out is Python's own
        return value.item() if hasattr(value, "item") else value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        item = value.item()
        return item if isinstance(item, (bool, int, float, str)) else None
    return None


def _event_page(doc: Document, known: Mapping[str, Document]) -> list[NoticeFields]:
    columns = doc.get("data") or {}
    numbers, times = doc.get("seq_num") or [], doc.get("time") or []
    return [
        _point(doc, known, {key: column[row] for key, column in columns.items()}, number, times[row])
        for row, number in enumerate(numbers)
    ]


def _stop(doc: Document, known: Mapping[str, Document]) -> list[NoticeFields]:
    uid = doc.get("run_start")
    events = doc.get("num_events")
    counts = events if isinstance(events, Mapping) else {}
    fields = {
        "id": _scan_id(uid, known),
        "uid": uid,
        "exit_status": doc.get("exit_status"),
        "reason": doc.get("reason") or "",
        "num_points": counts.get("primary", max(counts.values(), default=0)),
        "files": [],
        "problems": [],
        "time": doc.get("time"),
    }
    return [("scan/stop", fields)]


_MAKERS: dict[str, Callable[[Document, Mapping[str, Document]], list[NoticeFields]]] = {
    "start": _start,
    "descriptor": _descriptor,
    "event": _event,
    "event_page": _event_page,
    "stop": _stop,
}


class DocumentNotices:
    """A consumer of documents that publishes them as notices; subscribe it after the NeXus writer.

    Args:
        files_of: names the files of a finished run, by the uid of its start document.
        problems_of: names what is wrong with a finished run; empty when all is well.
        publish: where notices go; `mamba.wire.notices.publish` unless given.
    """

    def __init__(
        self,
        *,
        files_of: Callable[[str], Sequence[Path | str]] | None = None,
        problems_of: Callable[[str], Sequence[str]] | None = None,
        publish: Callable[..., None] = notices.publish,
    ) -> None:
        self._files_of, self._problems_of, self._publish = files_of, problems_of, publish
        self._known: dict[str, Document] = {}

    def __call__(self, name: str, doc: Document) -> None:
        """Publish what `doc` says."""
        for typ, fields in self.convert(name, doc):
            self._publish(typ, **fields)

    def convert(self, name: str, doc: Document) -> list[NoticeFields]:
        """The notices of one document, with what earlier ones of the same run said."""
        uid = doc.get("uid")
        if name in ("start", "descriptor") and isinstance(uid, str):
            self._known[uid] = doc
        result = notices_of(name, doc, self._known)
        if name == "stop":
            self._finish(str(doc.get("run_start")), result)
        return result

    def _finish(self, uid: str, result: list[NoticeFields]) -> None:
        for _, fields in result:
            if self._files_of is not None:
                fields["files"] = [str(path) for path in self._files_of(uid)]
            if self._problems_of is not None:
                fields["problems"] = list(self._problems_of(uid))
        self._known = {key: doc for key, doc in self._known.items() if key != uid and doc.get("run_start") != uid}
