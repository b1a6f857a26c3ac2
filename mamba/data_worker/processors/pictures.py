"""Images that do not change during a run, such as a dark or a mask, and the HDF5 files they are kept in."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from mamba.data_worker.nodes import NodeParameters
from mamba.errors import DataError

_MOST_AVERAGED = 1000
"""Images of a dataset: more are a run, not a dark."""


def _be_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("write the whole path, from /: a node runs in a process with a folder of its own")
    return path


AbsoluteFile = Annotated[Path, AfterValidator(_be_absolute)]
"""A path from /; that it exists is found out when the graph is armed."""


class Picture(NodeParameters):
    """An image that does not change during a run: from a file, or the same number everywhere."""

    file: AbsoluteFile | None = Field(None, description="HDF5 file")
    dataset: str = Field("/entry/data/frames", min_length=1, description="one image, or several to be averaged")
    value: float | None = Field(None, allow_inf_nan=False, description="instead of a file: the same in every pixel")

    @model_validator(mode="after")
    def _one(self) -> Picture:
        if (self.file is None) == (self.value is None):
            raise ValueError("give a file or a value, not both")
        return self


def load_picture(node: str, picture: Picture, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The image, float64 of that shape; the mean where the dataset holds several.

    Raises:
        DataError: it cannot be read, has another shape, or holds numbers that are not finite.
    """
    if picture.file is None:
        return np.full(shape, picture.value, dtype=np.float64)
    image = read_image(node, picture.file, picture.dataset, shape).astype(np.float64)
    if not np.isfinite(image).all():
        bad = int(np.count_nonzero(~np.isfinite(image)))
        raise DataError(f"node {node!r}: {picture.file} {picture.dataset}", seen=f"{bad} pixels are not finite")
    return image


def read_image(node: str, path: Path, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A dataset of that shape, or the float64 mean of a dataset (n, *shape).

    Raises:
        DataError: the file or dataset is not there, or has another shape.
    """
    what = f"node {node!r}: cannot use {path} {name}"
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  # it reads what is packed
    try:
        with h5py.File(path) as file:
            found = file.get(name)
            if not isinstance(found, h5py.Dataset):
                raise DataError(what, seen="no such dataset", remedy=f"it has: {_list_datasets(file)}")
            if found.shape == shape:
                return np.asarray(found[()])
            if found.shape[1:] == shape and 0 < len(found) <= _MOST_AVERAGED:
                return _average(found)
            raise DataError(
                what,
                seen=f"shape {found.shape}, frames have {shape}",
                remedy=f"take one, or up to {_MOST_AVERAGED}, of the same detector with the same region and binning",
            )
    except OSError as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(what, seen=reason, remedy="check path and file, as seen from where the node runs") from None


def _average(dataset: h5py.Dataset) -> NDArray[np.float64]:
    total = np.zeros(dataset.shape[1:], dtype=np.float64)
    for image in dataset:
        total += image
    return total / len(dataset)


def _list_datasets(file: h5py.File) -> str:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(f"/{name}") if isinstance(item, h5py.Dataset) else None)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") or "none"
