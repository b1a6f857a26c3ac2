"""Software devices with the faces of the beamline's own: an energy, two counters on a copper foil, a camera."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ophyd import Component, Device, Kind, Signal
from ophyd.sim import SynAxis
from ophyd.status import Status

from mamba.data_worker.ledger import DatasetInfo, Ledger, MissingRange

FOIL = Path(__file__).parents[2] / "tango_servers" / "virtual_beamline" / "data" / "cu_metal_rt.xdi"


def read_foil() -> tuple[np.ndarray, np.ndarray]:
    """Energies (eV) and absorption of the measured copper foil; the offset of its amplifiers is taken off."""
    energy_ev, _, _, absorption = np.loadtxt(FOIL, comments="#", unpack=True)
    return energy_ev, absorption - absorption.min() + 0.2


class Energy(SynAxis):
    """A motor in keV with limits, recorded as M_energy."""

    limits = (4.0, 40.0)

    def __init__(self) -> None:
        super().__init__(name="M_energy", value=9.0)
        self.moves: list[float] = []

    def set(self, value: float) -> Any:
        self.moves.append(value)
        return super().set(value)

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        for data_key in described.values():
            data_key["units"] = "keV"
        return described


class _Counts(Signal):
    def describe(self) -> dict[str, Any]:
        described = super().describe()
        described[self.name].update(units="counts", dtype="number")
        return described


class _Seconds(Signal):
    def describe(self) -> dict[str, Any]:
        described = super().describe()
        described[self.name].update(units="s", dtype="number")
        return described


class Counter(Device):
    """An ion chamber: counts = rate(energy) × count time, with Poisson noise."""

    counts = Component(_Counts, value=0.0, kind=Kind.hinted)
    count_time = Component(_Seconds, value=1.0, kind=Kind.normal)

    def __init__(self, name: str, rate: Callable[[], float], *, seed: int = 0) -> None:
        super().__init__("", name=name)
        self.counts.name = name
        self._rate = rate
        self._random = np.random.default_rng(seed)

    def trigger(self) -> Status:
        self.counts.put(float(self._random.poisson(self._rate() * self.count_time.get())))
        status = Status(self)
        status.set_finished()
        return status


def make_spectrometer(rate_hz: float = 1e8) -> tuple[Energy, Counter, Counter]:
    """Energy, incoming and transmitted counter on the copper foil."""
    energy = Energy()
    foil_ev, absorption = read_foil()

    def transmitted() -> float:
        return rate_hz * float(np.exp(-np.interp(energy.position * 1000, foil_ev, absorption)))

    return energy, Counter("D_i0", lambda: rate_hz, seed=1), Counter("D_i1", transmitted, seed=2)


@dataclass
class Camera:
    """A camera without hardware: writes real HDF5 as the data worker does, frame by frame, in a thread.

    `lose` names frames that are not written; `gate` is waited for before the last frame; `fail` is raised at the end,
    after `write_before_failing` frames.
    """

    directory: Path
    name: str = "D_camera"
    overflow_policy: str = "hold"
    lose: frozenset[int] = frozenset()
    edges: dict[str, dict[str, int]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    gate: threading.Event | None = None
    fail: Exception | None = None
    write_before_failing: int = 0
    shape: tuple[int, int] = (32, 48)
    calls: list[str] = field(default_factory=list)
    parent: None = None
    ledger: Ledger | None = None

    def __hash__(self) -> int:
        return id(self)

    def stage(self) -> list[Any]:
        self.calls.append("stage")
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        return [self]

    def unstage(self) -> list[Any]:
        self.calls.append("unstage")
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)
        return [self]

    def prepare(self, value: dict[str, Any]) -> Status:
        self.calls.append("prepare")
        self._frames = value["frames"]
        return _finished(self)

    def kickoff(self) -> Status:
        self.calls.append("kickoff")
        return _finished(self)

    def complete(self) -> Status:
        self.calls.append("complete")
        status = Status(self)
        self._thread = threading.Thread(target=self._run, args=(status,), name="simulated camera")
        self._thread.start()
        return status

    def stop(self, *, success: bool = False) -> None:
        self.calls.append(f"stop {success}")
        self._end.set()

    def _run(self, status: Status) -> None:
        try:
            if self.gate is not None:
                while not (self.gate.wait(0.01) or self._end.is_set()):
                    pass
            if self.fail is not None:
                if self.write_before_failing:
                    self._write(self.write_before_failing)
                raise self.fail
            produced = self._frames if not self._end.is_set() else self._frames // 2
            self._write(produced)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to who waits for the status
            status.set_exception(error)
        else:
            status.set_finished()

    def _write(self, produced: int) -> None:
        numbers = np.array([n for n in range(produced) if n not in self.lose])
        path = self.directory / "camera_00001.h5"
        sums = np.stack([1000 + 100 * r + 50 * np.sin(numbers / 20 + r) for r in range(4)], axis=1)
        with h5py.File(path, "w") as file:
            frames = file.create_dataset(
                "entry/data/frames",
                (len(numbers), *self.shape),
                "u2",
                chunks=(1, *self.shape),
                maxshape=(None, *self.shape),
            )
            for row, number in enumerate(numbers):
                frames[row] = self.frame(int(number))
            frames.attrs["units"] = "counts"
            file["entry/data/region_sums"] = sums
            file["entry/data/region_sums"].attrs["units"] = "counts"
            file["entry/data/frame_number"] = numbers
            file["entry"].attrs["NX_class"] = "NXentry"
            file["entry/data"].attrs.update(NX_class="NXdata", signal="frames", axes=["frame_number", ".", "."])
            file.create_group("entry/mdw").attrs["NX_class"] = "NXcollection"
            file["entry/mdw/produced"], file["entry/mdw/written"] = produced, len(numbers)
            file["entry/mdw/graph"] = json.dumps({"nodes": [{"parameters": {"regions": self.regions()}}]})
            gaps = file.create_group("entry/mdw/missing")
            gaps.attrs["NX_class"] = "NXcollection"
            gaps["first"] = gaps["last"] = np.array(sorted(n for n in self.lose if n < produced), dtype=np.int64)
        missing = tuple(MissingRange(n, n, "writer", "lost by the test") for n in sorted(self.lose) if n < produced)
        self.ledger = Ledger(
            produced=produced,
            written=len(numbers),
            missing=missing,
            edges=self.edges,
            nodes=self.nodes,
            frames_per_s=100.0,
            seconds=produced / 100,
            files=(path,),
            datasets={
                "frames": DatasetInfo(path, "/entry/data/frames", (len(numbers), *self.shape), "uint16", "counts")
            },
        )

    def regions(self) -> list[dict[str, Any]]:
        """The four regions, around the spots."""
        height, width = self.shape
        h, w = height // 8, width // 8
        centres = [(fx * width, fy * height) for fy in (0.25, 0.75) for fx in (0.25, 0.75)]
        return [
            {"name": name, "x": int(x - w / 2), "y": int(y - h / 2), "width": w, "height": h}
            for name, (x, y) in zip(("a", "b", "c", "d"), centres, strict=True)
        ]

    def frame(self, number: int) -> np.ndarray:
        """The frame of a number: four spots on a ramp."""
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        picture = 100 + number % 50 + 0.0 * x
        for fy in (0.25, 0.75):
            for fx in (0.25, 0.75):
                picture += 800 * np.exp(-((y - fy * self.shape[0]) ** 2 + (x - fx * self.shape[1]) ** 2) / 8)
        return picture.astype("u2")

    def read(self) -> dict[str, Any]:
        ledger = self.ledger
        assert ledger is not None
        counts = {
            "frames_produced": ledger.produced,
            "frames_written": ledger.written,
            "frames_missing": ledger.produced - ledger.written,
            "frames_per_s": ledger.frames_per_s,
        }
        return {f"{self.name}_{key}": {"value": value, "timestamp": 0.0} for key, value in counts.items()}

    def describe(self) -> dict[str, Any]:
        keys = ("frames_produced", "frames_written", "frames_missing", "frames_per_s")
        return {f"{self.name}_{key}": {"source": "ledger", "dtype": "integer", "shape": []} for key in keys}

    def read_configuration(self) -> dict[str, Any]:
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        return {}

    def describe_collect(self) -> dict[str, Any]:
        shape = [1, *self.shape]
        return {
            f"{self.name}_frames": {
                "source": "sim",
                "dtype": "array",
                "dtype_numpy": "<u2",
                "shape": shape,
                "external": "STREAM:",
                "units": "counts",
            }
        }

    def get_index(self) -> int:
        return 0 if self.ledger is None else self.ledger.written

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        assert self.ledger is not None
        rows = self.ledger.written
        uid = str(uuid.uuid4())
        yield (
            "stream_resource",
            {
                "uid": uid,
                "data_key": f"{self.name}_frames",
                "mimetype": "application/x-hdf5",
                "uri": f"file://localhost{self.ledger.files[0].absolute()}",
                "parameters": {"dataset": "/entry/data/frames", "chunk_shape": [1, *self.shape]},
            },
        )
        yield (
            "stream_datum",
            {
                "uid": f"{uid}/0",
                "stream_resource": uid,
                "descriptor": "",
                "indices": {"start": 0, "stop": rows},
                "seq_nums": {"start": 0, "stop": 0},
            },
        )


def _finished(owner: Any) -> Status:
    status = Status(owner)
    status.set_finished()
    return status
