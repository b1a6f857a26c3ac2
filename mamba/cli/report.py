"""What the demo shows of its two runs: a picture, and the figures a person would ask for. Read from the files alone."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mamba.alignment.edge import Edge, find_edge
from mamba.scans.nexus.check import validate_file
from mamba.scans.nexus.read import Acquisition, RunHeader, Spectrum, read_acquisition, read_spectrum

INK, MUTED, BLUE, RED = "#1f2933", "#7b8794", "#1f6fb2", "#c8372d"
REGION_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7")
"""Okabe and Ito 2008: told apart by everybody, and on dark frames."""

ZOOM_EV = (-18.0, 28.0)
"""What the panel of the derivative shows, relative to the edge."""


def draw_report(spectrum_file: Path, frames_file: Path, out: Path) -> None:
    """Draw spectrum, its derivative, a frame with its regions and the sums of the regions into one PNG.

    Args:
        spectrum_file: NeXus file of an XAFS scan.
        frames_file: NeXus file of an acquisition.
        out: the picture, replaced if it is there.

    Raises:
        DataError: a file cannot be read, or does not hold what its panel needs.
        BadValue: the spectrum shows no edge.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache at the first use
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    spectrum, acquisition = read_spectrum(spectrum_file), read_acquisition(frames_file)
    edge = find_edge(spectrum.energy_ev, spectrum.absorption)
    with rc_context(_STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.03, hspace=0.04, rect=(0, 0.025, 1, 0.975))
        figure = Figure(figsize=(13.2, 9.2), layout=layout)
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, 2)
        _draw_spectrum(panels[0, 0], spectrum, edge)
        _draw_derivative(panels[0, 1], spectrum, edge)
        _draw_frame(figure, panels[1, 0], acquisition)
        _draw_sums(panels[1, 1], acquisition)
        figure.suptitle(_headline(spectrum.header), x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
        sources = "   ·   ".join(path.name for path in (spectrum_file, frames_file, *acquisition.files))
        figure.text(0.012, 0.012, f"from {sources}", fontsize=8.5, color=MUTED)
        figure.savefig(out, dpi=150, metadata={"Software": "mamba", "Title": _headline(spectrum.header)})


_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelsize": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def _headline(header: RunHeader) -> str:
    parts = [header.beamline, header.person]
    if header.start_time:
        parts.append(f"{datetime.fromisoformat(header.start_time):%-d %B %Y, %H:%M}")
    return "   ·   ".join(part for part in parts if part)


def _draw_spectrum(axes: Any, spectrum: Spectrum, edge: Edge) -> None:
    order = np.argsort(spectrum.energy_ev)
    axes.plot(spectrum.energy_ev[order], spectrum.absorption[order], color=BLUE, lw=1.4)
    axes.axvline(edge.e0_ev, color=RED, lw=1.1, ls=(0, (5, 3)))
    axes.annotate(
        f"$E_0$ = {edge.e0_ev:.2f} eV",
        (edge.e0_ev, 0.06),
        xycoords=("data", "axes fraction"),
        xytext=(8, 0),
        textcoords="offset points",
        color=RED,
        fontweight="bold",
    )
    sample = spectrum.header.sample if spectrum.header.sample != "not named" else "the sample"
    axes.set_title(f"Absorption of {sample}, {len(order)} points")
    axes.set_xlabel("Photon energy (eV)")
    axes.set_ylabel(r"Absorption  $\mu d = -\ln(I_1/I_0)$")
    axes.margins(x=0.015)


def _draw_derivative(axes: Any, spectrum: Spectrum, edge: Edge) -> None:
    shown = (edge.energy_ev > edge.e0_ev + ZOOM_EV[0]) & (edge.energy_ev < edge.e0_ev + ZOOM_EV[1])
    energy, slope = edge.energy_ev[shown], edge.derivative[shown]
    top = float(slope.max())
    axes.fill_between(energy, slope, color=BLUE, alpha=0.10, lw=0)
    axes.plot(energy, slope, color=BLUE, lw=1.4, marker="o", ms=2.6, mew=0)
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.axvline(edge.e0_ev, color=RED, lw=1.1, ls=(0, (5, 3)))
    axes.plot([edge.e0_ev], [top], marker="o", ms=8, mfc="none", mec=RED, mew=1.6)
    axes.annotate(
        f"maximum at {edge.e0_ev:.2f} eV",
        (edge.e0_ev, top),
        xytext=(14, -4),
        textcoords="offset points",
        color=RED,
        fontweight="bold",
    )
    axes.set_title(f"Its derivative across the edge, fitted within ±{edge.window_ev:g} eV")
    axes.set_xlabel("Photon energy (eV)")
    axes.set_ylabel(r"d$(\mu d)$/d$E$  (eV$^{-1}$)")
    axes.set_xlim(edge.e0_ev + ZOOM_EV[0], edge.e0_ev + ZOOM_EV[1])
    axes.set_ylim(top=1.12 * top)


def _draw_frame(figure: Any, axes: Any, acquisition: Acquisition) -> None:
    from matplotlib.colors import PowerNorm
    from matplotlib.patches import Rectangle

    frame = acquisition.middle_frame
    # the first pixels carry the frame's number, not light; percentiles keep single pixels from setting the scale
    low, high = np.percentile(frame[1:], (1.0, 99.9))
    # square root: counting noise is as wide in the dark as in the light
    shades = PowerNorm(0.5, vmin=float(low), vmax=float(max(high, low + 1)), clip=True)
    image = axes.imshow(frame, cmap="magma", norm=shades, origin="upper", interpolation="nearest")
    for region, color in zip(acquisition.regions, _colors(len(acquisition.regions)), strict=True):
        corner = (region.x - 0.5, region.y - 0.5)
        axes.add_patch(Rectangle(corner, region.width, region.height, fill=False, ec=color, lw=1.8))
        axes.annotate(
            _plain(region.name),
            (region.x, region.y),
            xytext=(0, 4),
            textcoords="offset points",
            color=color,
            fontweight="bold",
        )
    number = int(acquisition.frame_number[len(acquisition.frame_number) // 2])
    axes.set_title(f"Frame {number:,} of {acquisition.produced:,}, {frame.shape[1]} × {frame.shape[0]} pixels")
    axes.set_xlabel("Column (pixel)")
    axes.set_ylabel("Row (pixel)")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label("Counts per pixel")
    bar.outline.set_visible(False)


def _draw_sums(axes: Any, acquisition: Acquisition) -> None:
    names = [_plain(region.name) for region in acquisition.regions]
    order = np.argsort(acquisition.frame_number)
    unit, unit_name = _scale(acquisition.region_sums)
    for column, color in enumerate(_colors(acquisition.region_sums.shape[1])):
        label = names[column] if column < len(names) else f"region {column + 1}"
        values = acquisition.region_sums[order, column] / unit
        axes.plot(acquisition.frame_number[order], values, color=color, lw=1.5, label=label)
    for first, last in acquisition.missing:
        axes.axvspan(first - 0.5, last + 0.5, color=RED, alpha=0.25, lw=0)
    lost = acquisition.produced - acquisition.written
    rate = f" at {acquisition.frames_per_s:,.0f} frames/s" if acquisition.frames_per_s else ""
    axes.set_title(f"Region sums: {acquisition.written:,} frames written{rate}, {lost:,} missing")
    axes.set_xlabel("Frame number")
    axes.set_ylabel(f"Sum over the region ({unit_name})")
    axes.margins(x=0.01, y=0.16)
    axes.legend(loc="upper center", ncols=4, fontsize=9.5, handlelength=1.1, handletextpad=0.5, columnspacing=1.2)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _scale(sums: Any) -> tuple[float, str]:
    """A power of a thousand that leaves one to three digits before the point, and the unit it makes of counts."""
    largest = float(np.nanmax(np.abs(sums), initial=0.0))
    power = 3 * int(np.log10(largest) // 3) if largest >= 1000 else 0
    return 10.0**power, f"$10^{power}$ counts" if power else "counts"


def _colors(count: int) -> list[str]:
    return [REGION_COLORS[i % len(REGION_COLORS)] for i in range(count)]


def summarise(spectrum_file: Path, frames_file: Path) -> dict[str, Any]:
    """The figures of the two runs.

    Returns:
        `e0_ev` (eV), `points`, `frames_produced`, `frames_written`, `missing_ranges` (list of [first, last]),
        `frames_per_s`, `seconds` (both runs together) and `files` (as text, master files first).

    Raises:
        DataError, BadValue: as `draw_report`.
    """
    spectrum, acquisition = read_spectrum(spectrum_file), read_acquisition(frames_file)
    edge = find_edge(spectrum.energy_ev, spectrum.absorption)
    seconds = _duration_s(spectrum.header) + _duration_s(acquisition.header)
    return {
        "e0_ev": round(edge.e0_ev, 3),
        "points": len(spectrum.energy_ev),
        "frames_produced": acquisition.produced,
        "frames_written": acquisition.written,
        "missing_ranges": [list(gap) for gap in acquisition.missing],
        "frames_per_s": round(acquisition.frames_per_s, 1),
        "seconds": round(seconds, 2),
        "files": [str(path) for path in (spectrum_file, frames_file, *acquisition.files)],
    }


def _duration_s(header: RunHeader) -> float:
    if not (header.start_time and header.end_time):
        return 0.0
    return (datetime.fromisoformat(header.end_time) - datetime.fromisoformat(header.start_time)).total_seconds()


def validate_nexus(file: Path) -> list[str]:
    """What the NeXus definitions find wrong in a file, one line each; empty when it is valid."""
    return list(validate_file(file).errors)
