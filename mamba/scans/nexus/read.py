"""Reading back what a run left: the spectrum of an XAFS scan, the frames and sums of an acquisition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from mamba.errors import DataError

_EV_PER = {"eV": 1.0, "keV": 1000.0}


@dataclass(frozen=True)
class RunHeader:
    """Who, what, when: `start_time` and `end_time` are ISO 8601, empty for a run that never ended."""

    title: str
    beamline: str
    person: str
    sample: str
    start_time: str
    end_time: str
    exit_status: str


@dataclass(frozen=True)
class Spectrum:
    """One absorption spectrum: energies in eV and −ln(I1/I0), both of shape (n,), in the order they were measured."""

    header: RunHeader
    energy_ev: NDArray[np.float64]
    absorption: NDArray[np.float64]


@dataclass(frozen=True)
class RegionBox:
    """A region of a frame in pixels: columns x … x+width-1, rows y … y+height-1."""

    name: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Acquisition:
    """The frames of one run, and what the ledger says of them.

    Attributes:
        header: who, what, when.
        files: files the frames stand in.
        frame_number: number of the frame in each row; shape (n,).
        region_sums: sum of each region, counts; shape (n, regions), without columns where there are none.
        regions: the regions, in the order of the columns, as far as the file tells where they are.
        middle_frame: one frame out of the middle; shape (height, width).
        produced, written: numbers of frames.
        missing: first and last frame number of each missing range.
        frames_per_s: rate of the acquisition, 0 where it is not told.
    """

    header: RunHeader
    files: tuple[Path, ...]
    frame_number: NDArray[np.int64]
    region_sums: NDArray[np.float64]
    regions: tuple[RegionBox, ...]
    middle_frame: NDArray[Any]
    produced: int
    written: int
    missing: tuple[tuple[int, int], ...]
    frames_per_s: float


def read_spectrum(path: Path, *, entry: str = "entry") -> Spectrum:
    """Read the absorption spectrum of a run.

    Raises:
        DataError: the file cannot be opened, or holds no absorption over energy.
    """
    with _open_entry(path, entry) as group:
        data = group.get("absorption/data")
        if data is None or "energy" not in data or "absorption" not in data:
            raise DataError(f"{path}: holds no absorption over energy", remedy="take the file of an XAFS scan")
        unit = str(data["energy"].attrs.get("units", "eV"))
        energy_ev = data["energy"][()] * _EV_PER.get(unit, 1.0)
        return Spectrum(_read_header(group), energy_ev, data["absorption"][()])


def read_acquisition(path: Path, *, entry: str = "entry") -> Acquisition:
    """Read the frames' side of a run; one frame is loaded, not all.

    Raises:
        DataError: the file or a raw file cannot be opened, or it holds no frames.
    """
    with _open_entry(path, entry) as group:
        data = group.get("data")
        if data is None or data.attrs.get("signal") not in data:
            raise DataError(
                f"{path}: holds no frames", remedy="take the file of an acquisition, with its raw file beside it"
            )
        frames = data[data.attrs["signal"]]
        if frames.ndim != 3 or not len(frames):
            raise DataError(f"{path}: holds no frames", seen=f"an array of shape {frames.shape}")
        numbers = data["frame_number"][()] if "frame_number" in data else np.arange(len(frames))
        sums = _find_sums(group)
        ledger = _find_ledger(group)
        counts = _read_counts(group)
        return Acquisition(
            header=_read_header(group),
            files=(Path(frames.file.filename),),
            frame_number=numbers,
            region_sums=np.empty((len(frames), 0)) if sums is None else sums[()],
            regions=_read_regions(ledger),
            middle_frame=frames[len(frames) // 2],
            produced=int(counts.get("produced", 0)),
            written=int(counts.get("written", 0)),
            missing=_read_missing(ledger),
            frames_per_s=float(counts.get("per_s", 0.0)),
        )


@contextmanager
def _open_entry(path: Path, entry: str) -> Iterator[Any]:
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened", seen=str(error), remedy="look whether the run left it") from None
    with file:
        if entry not in file:
            raise DataError(f"{path}: holds no {entry!r}", seen=", ".join(file) or "an empty file")
        yield file[entry]


def _read_header(entry: Any) -> RunHeader:
    def text(path: str) -> str:
        return str(entry[path].asstr()[()]) if path in entry else ""

    return RunHeader(
        title=text("title"),
        beamline=text("instrument/name"),
        person=text("user/name"),
        sample=text("sample/name"),
        start_time=text("start_time"),
        end_time=text("end_time"),
        exit_status=text("collection/exit_status"),
    )


def _find_sums(entry: Any) -> Any:
    for group in entry.values():
        if isinstance(group, h5py.Group) and (name := str(group.attrs.get("signal", ""))).endswith("sums"):
            return group.get(name)
    return None


def _find_ledger(entry: Any) -> Any:
    return next((entry["collection"][name] for name in entry["collection"] if name.endswith("_ledger")), None)


def _read_counts(entry: Any) -> dict[str, float]:
    """Last values of the stream `ledger`: produced, written, missing, per_s."""
    stream = entry.get("streams/ledger")
    if stream is None:
        return {}
    return {
        name.rpartition("_frames_")[2]: float(column[-1])
        for name, column in stream.items()
        if "_frames_" in name and len(column)
    }


def _read_missing(ledger: Any) -> tuple[tuple[int, int], ...]:
    if ledger is None or "missing" not in ledger:
        return ()
    missing = ledger["missing"]
    return tuple((int(first), int(last)) for first, last in zip(missing["first"], missing["last"], strict=True))


def _read_regions(ledger: Any) -> tuple[RegionBox, ...]:
    """The regions out of the graph, YAML, that the ledger carries; none where a graph sums no regions."""
    if ledger is None or "graph" not in ledger:
        return ()
    graph = yaml.safe_load(ledger["graph"].asstr()[()])
    return tuple(
        RegionBox(region["name"], region["x"], region["y"], region["width"], region["height"])
        for node in graph.get("nodes", ())
        for region in node.get("parameters", {}).get("regions", ())
    )
