"""Frames and other arrays that a detector's own writer put into files beside the master file.

Their documents are *stream resources*: which file, which dataset, for which recorded key. The master file links to
them, so that no frame is copied; and to their *companions*, the datasets that stand beside the frames in the same
group with one row per frame: frame numbers, region sums, whatever a graph made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from mamba.scans.nexus.file import (
    copy_group,
    link_outside,
    list_companions,
    make_group,
    plot_by_default,
    set_plot,
    write_field,
)

Document = Mapping[str, Any]

FRAME_NUMBER = "frame_number"
"""Companion that says which frame stands in which row."""

_LEDGER_GROUP = "/entry/mdw"


@dataclass(frozen=True)
class _Source:
    """One external dataset: whose it is, and where it stands."""

    device: str
    file: Path
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def beside(self, name: str) -> str:
        """Path of a companion."""
        return f"{self.path.rpartition('/')[0]}/{name}"


class ExternalData:
    """The external arrays of one run.

    Attributes:
        files: the files they stand in, in the order of their documents.
    """

    def __init__(self, entry: Any) -> None:
        self._entry = entry
        self._owners: dict[str, str] = {}
        self._sources: list[_Source] = []
        self.files: list[Path] = []

    def add_descriptor(self, doc: Document) -> None:
        """Note which keys stand outside, and whose they are."""
        owners = {key: name for name, keys in (doc.get("object_keys") or {}).items() for key in keys}
        self._owners |= {key: owners.get(key, key) for key, kind in doc["data_keys"].items() if kind.get("external")}

    def add_resource(self, doc: Document) -> None:
        """Note the dataset of one stream resource; it is linked when the run ends and its file is complete."""
        path = Path(unquote(urlparse(doc["uri"]).path))
        parameters = doc.get("parameters") or {}
        dataset = str(parameters.get("dataset") or parameters.get("path") or "/entry/data/data")
        key = str(doc["data_key"])
        self._sources.append(_Source(self._owners.get(key, key), path, dataset))
        if path not in self.files:
            self.files.append(path)

    def finish(self) -> None:
        """Write links and plots for the datasets whose files are there."""
        for source in self._sources:
            if source.file.is_file():
                self._link(source)

    def _link(self, source: _Source) -> None:
        companions = list_companions(source.file, source.path)
        if source.path not in companions:
            return
        detector = make_group(self._entry["instrument"], source.device, "NXdetector")
        link_outside(detector, "data", file=source.file, path=source.path)
        if source.beside(FRAME_NUMBER) in companions:
            link_outside(detector, "sequence_number", file=source.file, path=source.beside(FRAME_NUMBER))
        if _LEDGER_GROUP in companions:
            collection = make_group(self._entry, "collection", "NXcollection")
            copy_group(collection, f"{source.device}_ledger", file=source.file, path=_LEDGER_GROUP)
        group_name = "data" if "data" not in self._entry else f"{source.device}_data"
        self._plot(group_name, source, source.name, companions)
        if group_name == "data":
            plot_by_default(self._entry, "data")
        for path, rank in companions.items():
            name = path.rpartition("/")[2]
            if path not in (source.path, source.beside(FRAME_NUMBER), _LEDGER_GROUP) and rank:
                self._plot(f"{source.device}_{name}", source, name, companions)

    def _plot(self, group_name: str, source: _Source, name: str, companions: Mapping[str, int]) -> None:
        group = make_group(self._entry, group_name, "NXdata")
        link_outside(group, name, file=source.file, path=source.beside(name))
        axes = ["."] * companions[source.beside(name)]
        if source.beside(FRAME_NUMBER) in companions:
            link_outside(group, FRAME_NUMBER, file=source.file, path=source.beside(FRAME_NUMBER))
            axes[0] = FRAME_NUMBER
            group.attrs[f"{FRAME_NUMBER}_indices"] = 0
        set_plot(group, signal=name, axes=axes)
        write_field(group, "title", f"{name.replace('_', ' ')} of {source.device}")
