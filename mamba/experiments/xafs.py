"""The XAFS step scan: energy along the grid of an edge, every detector counting for as long as the point deserves.

The formulas are in `mamba.experiments.xafs_grid`; energies are keV on the device, in documents and in files.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from bluesky import plan_stubs, preprocessors
from bluesky.utils import Msg

from mamba.devices.names import key_of
from mamba.errors import BadValue, LimitExceeded
from mamba.experiments.xafs_grid import Grid, find_edge_energy, make_grid
from mamba.scans.nexus.layout import METADATA_KEY, FieldLayout, GroupLayout, Layout
from mamba.scans.shutter import with_shutter

__all__ = ["Grid", "find_edge_energy", "make_grid", "make_layout", "xafs_scan"]

Plan = Generator[Msg, Any, Any]


def xafs_scan(
    detectors: Sequence[Any],
    energy: Any,
    *,
    element: str = "Cu",
    edge: str = "K",
    time_scale: float = 1.0,
    k_max: float = 14.0,
    shutter: Any = None,
    md: dict[str, Any] | None = None,
) -> Plan:
    """Measure an absorption spectrum step by step.

    Args:
        detectors: the first counts the incoming, the second the transmitted beam; all are triggered and read at every
            point, and those with a `count_time` (s) count for the time of the point.
        energy: motor, keV.
        element: chemical symbol of the absorber.
        edge: level, "K" or "L3".
        time_scale: factor for the counting times; 1 means 0.5 s, growing with k to 4 s.
        k_max: where the scan ends, Å⁻¹.
        shutter: opened for the scan and closed however it ends; None leaves every shutter as it is.
        md: more metadata for the run, such as `{"sample": "Cu foil 7 µm"}`.

    Returns:
        The uid of the run.

    Raises:
        LimitExceeded: a point lies outside the limits of `energy`, or a time outside those of a counter.
        BadValue: no detectors, no such edge, or a factor that makes no sense; nothing moved.
    """
    detectors = list(detectors)
    if not detectors:
        raise BadValue("xafs_scan: no detectors", remedy="give the ion chambers: xafs_scan([D.i0, D.i1], M.energy)")
    grid = make_grid(element, edge, k_max=k_max, time_scale=time_scale)
    _check_limits(energy, grid)
    counting = [detector.count_time for detector in detectors if hasattr(detector, "count_time")]
    for signal in counting:
        for time_s in (float(grid.times_s.min()), float(grid.times_s.max())):
            signal.check_value(time_s)
    metadata = {**_describe_run(detectors, energy, grid), **(md or {})}

    @preprocessors.stage_decorator([*detectors, energy])
    @preprocessors.run_decorator(md=metadata)
    def measure() -> Plan:
        last_time_s = None
        for energy_kev, time_s in zip(grid.energies_kev.tolist(), grid.times_s.tolist(), strict=True):
            yield Msg("checkpoint")
            yield Msg("set", energy, energy_kev, group="point")
            # half of the points share one counting time; what has not changed is not sent
            if time_s != last_time_s:
                for signal in counting:
                    yield Msg("set", signal, time_s, group="point")
                last_time_s = time_s
            yield Msg("wait", None, group="point")
            yield from plan_stubs.trigger_and_read([*detectors, energy])

    return (yield from measure() if shutter is None else with_shutter(measure(), shutter))


def _check_limits(energy: Any, grid: Grid) -> None:
    low, high = getattr(energy, "limits", None) or (0.0, 0.0)
    if low >= high:
        return
    first, last = float(grid.energies_kev[0]), float(grid.energies_kev[-1])
    if first < low or last > high:
        raise LimitExceeded(
            f"{energy.name}: the scan goes from {first:.4f} to {last:.4f} keV; nothing moved",
            seen=f"limits {low:g} to {high:g} keV",
            remedy="take a smaller k_max, or another edge",
        )


def _describe_run(detectors: list[Any], energy: Any, grid: Grid) -> dict[str, Any]:
    x_keys = _hinted_keys(energy)
    metadata: dict[str, Any] = {
        "plan_name": "xafs_scan",
        "motors": [energy.name],
        "detectors": [detector.name for detector in detectors],
        "num_points": len(grid),
        "element": grid.element,
        "edge": grid.edge,
        "e0_ev": grid.e0_ev,
        "hints": {"dimensions": [(x_keys, "primary")]},
    }
    if len(detectors) > 1:
        i0, i1 = (_hinted_keys(detector)[0] for detector in detectors[:2])
        metadata[METADATA_KEY] = make_layout(x_keys[0], i0=i0, i1=i1, times_s=grid.times_s.tolist()).to_metadata()
    return metadata


def _hinted_keys(device: Any) -> list[str]:
    hints = getattr(device, "hints", None) or {}
    return [key_of(field) for field in hints.get("fields") or ()] or [key_of(device.name)]


def make_layout(energy: str, *, i0: str, i1: str, times_s: list[float]) -> Layout:
    """The NeXus application definition NXxas, and the absorption, from three recorded keys.

    Args:
        energy: key of the energy, keV.
        i0: key of the incoming beam, counts.
        i1: key of the transmitted beam, counts.
        times_s: counting time of each planned point, s.
    """
    energy_field = FieldLayout(key=energy)
    return Layout(
        definition="NXxas",
        default="absorption",
        groups=(
            GroupLayout(path="instrument/monochromator", nx_class="NXmonochromator", fields={"energy": energy_field}),
            GroupLayout(path="instrument/incoming_beam", nx_class="NXdetector", fields={"data": FieldLayout(key=i0)}),
            GroupLayout(path="instrument/absorbed_beam", nx_class="NXdetector", fields={"data": FieldLayout(key=i1)}),
            GroupLayout(
                path="monitor",
                nx_class="NXmonitor",
                fields={
                    "mode": FieldLayout(value="timer"),
                    "preset": FieldLayout(value=times_s, units="s", per_point=True),
                    "data": FieldLayout(key=i0),
                },
            ),
            GroupLayout(
                path="data",
                nx_class="NXdata",
                fields={
                    "energy": energy_field,
                    "absorbed_beam": FieldLayout(key=i1),
                    "mode": FieldLayout(value="Transmission"),
                },
                signal="absorbed_beam",
                axes="energy",
            ),
            # NXxas wants every NXdata of the entry to be its own; the absorption is a first step of processing
            GroupLayout(
                path="absorption",
                nx_class="NXprocess",
                fields={
                    "program": FieldLayout(value="mamba"),
                    "sequence_index": FieldLayout(value=1),
                },
                default="data",
            ),
            GroupLayout(
                path="absorption/data",
                nx_class="NXdata",
                fields={
                    "energy": energy_field,
                    "absorption": FieldLayout(log_ratio=(i0, i1), long_name="absorption −ln(I1/I0)"),
                },
                signal="absorption",
                axes="energy",
            ),
        ),
    )
