"""Several runs in one NeXus file, one entry each; frames stay where they are and are linked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py

from mamba.errors import DataError
from mamba.scans.nexus.file import create_file, link_outside

FIRST_ENTRY = "entry"
"""Name of the first run's entry, which viewers plot by default."""


def combine(paths: Sequence[Path], out: Path) -> Path:
    """Write one file with the entries of several master files.

    The first becomes `entry`, one with frames `entry_frames`, any other `entry_<plan>`; a name that is taken gets a
    number. Links to raw files are made relative to the new file.

    Args:
        paths: master files of runs.
        out: the new file; an existing one is never touched.

    Raises:
        DataError: `out` exists, there is nothing to combine, or a file holds no entry.
    """
    if not paths:
        raise DataError(f"{out}: nothing to combine", remedy="name one master file or more")
    try:
        file = create_file(out)
    except FileExistsError:
        raise DataError(f"{out}: exists", remedy="give another name; files are never overwritten") from None
    with file:
        for path in paths:
            with h5py.File(path, "r", locking=False) as source:
                if FIRST_ENTRY not in source:
                    raise DataError(f"{path}: holds no entry", seen=", ".join(source) or "an empty file")
                name = _name_entry(file, source[FIRST_ENTRY])
                source.copy(FIRST_ENTRY, file, name=name)
            _mend_links(file[name], path, old=f"/{FIRST_ENTRY}/", new=f"/{name}/")
    return out


def _name_entry(file: Any, entry: Any) -> str:
    if not len(file):
        return FIRST_ENTRY
    plan = entry["collection/plan"].asstr()[()] if "collection/plan" in entry else "run"
    name = f"{FIRST_ENTRY}_frames" if _has_frames(entry) else f"{FIRST_ENTRY}_{plan}"
    number, free = 2, name
    while free in file:
        number, free = number + 1, f"{name}_{number}"
    return free


def _has_frames(entry: Any) -> bool:
    data = entry.get("data")
    return data is not None and any(isinstance(data.get(name, getlink=True), h5py.ExternalLink) for name in data)


def _mend_links(group: Any, source: Path, *, old: str, new: str) -> None:
    """External links count from the folder of their file, and targets name their entry; both have changed."""
    for name in list(group):
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            link_outside(group, name, file=source.absolute().parent / link.filename, path=link.path)
            continue
        item = group[name]
        target = item.attrs.get("target")
        if isinstance(target, str) and target.startswith(old):
            item.attrs["target"] = new + target.removeprefix(old)
        if isinstance(item, h5py.Group):
            _mend_links(item, source, old=old, new=new)
