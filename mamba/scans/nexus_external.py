"""Frames and other arrays that a detector's own writer put into files beside the master file.

Their documents are *stream resources* (which file, which dataset, for which recorded key) and *stream data* (how far it
has been filled). The master file links to them: no frame is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from mamba.scans.nexus_file import link_outside, make_group, plot_by_default, set_plot, write_field

Document = Mapping[str, Any]


class ExternalData:
    """The external arrays of one run.

    Attributes:
        files: the files they stand in, in the order of their documents.
    """

    def __init__(self, entry: Any) -> None:
        self._entry = entry
        self._keys: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._resources: list[tuple[Document, Path]] = []
        self.files: list[Path] = []

    def add_descriptor(self, doc: Document) -> None:
        """Note which keys stand outside, and whose they are."""
        owners = {key: name for name, keys in (doc.get("object_keys") or {}).items() for key in keys}
        for key, data_key in doc["data_keys"].items():
            if data_key.get("external"):
                self._keys[key] = (owners.get(key, key), data_key)

    def add_resource(self, doc: Document) -> None:
        """Link the dataset of one stream resource."""
        path = Path(unquote(urlparse(doc["uri"]).path))
        self._resources.append((doc, path))
        if path not in self.files:
            self.files.append(path)

    def finish(self) -> None:
        """Write links and plots for the datasets whose files are there."""
        plotted = False
        for doc, path in self._resources:
            if not path.is_file():
                continue
            key = doc["data_key"]
            device, data_key = self._keys.get(key, (key, {}))
            dataset = dataset_of(doc)
            detector = make_group(self._entry["instrument"], device, "NXdetector")
            name = "data" if key == device or len(data_key.get("shape") or ()) >= 3 else key
            link_outside(detector, name, file=path, path=dataset)
            plotted = self._plot(key, path, dataset) or plotted

    def _plot(self, key: str, path: Path, dataset: str) -> bool:
        """Make an NXdata of the dataset; the first one is the entry's default plot."""
        group_name = "data" if "data" not in self._entry else key
        group = make_group(self._entry, group_name, "NXdata")
        link_outside(group, key, file=path, path=dataset)
        rank = group[key].ndim
        set_plot(group, signal=key, axes=["."] * rank)
        write_field(group, "title", key)
        if group_name == "data":
            plot_by_default(self._entry, "data")
        return True


def dataset_of(resource: Document) -> str:
    """Path of the dataset inside the file of a stream resource."""
    parameters = resource.get("parameters") or resource.get("resource_kwargs") or {}
    return str(parameters.get("dataset") or parameters.get("path") or "/entry/data/data")
