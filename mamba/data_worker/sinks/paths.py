"""Where a raw file is put: a template such as `{proposal}/{sample}/{device}_{scan}` filled from the run's metadata."""

from __future__ import annotations

import re
import string
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mamba.data_worker.nodes import Job
from mamba.errors import DataError, find_nearest

_UNFIT = re.compile(r"[^\w.+=@-]+")


def list_fields(job: Job) -> dict[str, str | int]:
    """What a template may name: texts and whole numbers of the metadata, `scan`, `sample`, `device`, `arm`, `date`."""
    facts = {name: value for name, value in job.metadata.items() if isinstance(value, (str, int))}
    sample = job.metadata.get("sample")
    if isinstance(sample, Mapping) and "name" in sample:
        facts["sample"] = str(sample["name"])
    if "scan_id" in facts:
        facts.setdefault("scan", facts["scan_id"])
    ours: dict[str, str | int] = {"arm": job.arm, "date": time.strftime("%Y-%m-%d"), "name": job.file.stem}
    return {**facts, **ours, "device": job.device.rpartition(".")[2] or "detector"}


def resolve_path(template: str, job: Job) -> Path:
    """The file that a template means, below the folder of `job.file`; `.h5` is added.

    What does not fit a file's name, such as the slash of a sample's name, becomes `_`. Numbers may have a width:
    `{scan:05d}`.

    Raises:
        DataError: it names a field that is not there, or is no template.
    """
    if not template:
        return job.file
    fields = list_fields(job)
    try:
        parts = [_fill(part, fields) for part in template.strip("/").split("/")]
    except KeyError as error:
        name = str(error.args[0])
        raise DataError(
            f"path {template!r}: nothing is known of {{{name}}}", remedy=find_nearest(name, sorted(fields))
        ) from None
    except (ValueError, IndexError, AttributeError, TypeError) as error:
        raise DataError(
            f"path {template!r}: is no template", seen=str(error), remedy="such as {sample}/{scan:05d}"
        ) from None
    path = job.file.parent.joinpath(*parts)
    return path if path.suffix == ".h5" else path.with_name(f"{path.name}.h5")


def _fill(part: str, fields: Mapping[str, Any]) -> str:
    filled = ""
    for text, name, form, _ in string.Formatter().parse(part):
        filled += text
        if name is not None:
            value = format(fields[name], form or "")
            filled += _UNFIT.sub("_", value)
    if not filled.strip("."):
        raise ValueError(f"{part!r} becomes {filled!r}, which is no name")
    return filled
