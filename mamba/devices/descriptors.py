"""Descriptors that name their objects by key: the one place where bluesky must be told about dotted device names.

bluesky writes `obj.name` into `object_keys`, `configuration` and `hints` of a descriptor, and event-model refuses a
dot there (`^([^./]+)$`), so that a run with a device named `M.energy` fails at its first reading. The run bundler of
bluesky 1.15 composes every descriptor through its `_compose_descriptor`, set when the run opens; it gets one that
replaces the dots in these three fields, and in the keys that hints name. Nothing else changes, and a device without
dots is recorded as ever. `tests/devices/test_names.py` fails when bluesky no longer works that way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from bluesky.bundlers import RunBundler

_MARK = "_mamba_records_by_key"


def record_objects_by_key() -> None:
    """Let every run of this process accept devices with dotted names; calling it again changes nothing."""
    if hasattr(RunBundler.open_run, _MARK):
        return
    open_run = RunBundler.open_run

    @functools.wraps(open_run)
    async def open_run_by_key(bundler: Any, *args: Any, **kwargs: Any) -> Any:
        """Open the run, then replace what composes its descriptors."""
        uid = await open_run(bundler, *args, **kwargs)
        bundler._compose_descriptor = _compose_by_key(bundler._compose_descriptor)
        return uid

    setattr(open_run_by_key, _MARK, open_run)
    RunBundler.open_run = open_run_by_key


def _compose_by_key(compose: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(compose)
    def compose_by_key(name: str, data_keys: dict[str, Any], **fields: Any) -> Any:
        for field in ("object_keys", "configuration", "hints"):
            if fields.get(field):
                fields[field] = {key.replace(".", "_"): value for key, value in fields[field].items()}
        for key, hints in (fields.get("hints") or {}).items():
            if "fields" in hints:
                fields["hints"][key] = {**hints, "fields": [field.replace(".", "_") for field in hints["fields"]]}
        for data_key in data_keys.values():
            if "object_name" in data_key:
                data_key["object_name"] = data_key["object_name"].replace(".", "_")
        return compose(name, data_keys, **fields)

    return compose_by_key
