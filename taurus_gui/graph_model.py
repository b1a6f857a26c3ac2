"""What `graph/status` and `graph/preview` answer, in words and grey levels for the window. Plain Python, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("node", "kind", "state", "rows", "rows/s", "MB/s", "queue", "credits", "dropped", "lag", "CPU", "memory")
"""As in `mambactl mdw top`."""


def say_headline(status: Mapping[str, Any]) -> str:
    """`halves of D.camera: running, arm 10: 924 of 1,500 frames came, 924 written, 239 frames/s`."""
    line = f"{status['graph']} of {status['device']}: {status['state']}"
    if status["arm"]:
        line += f", arm {status['arm']}: {status['produced']:,} of {status['frames']:,} frames came"
        line += f", {status['written']:,} written, {status['frames_per_s']:,.0f} frames/s"
    return line


def say_missing(status: Mapping[str, Any]) -> str:
    """`3 frames missing`; "" when none is."""
    missing = status["missing"]
    return f"{missing:,} {'frame' if missing == 1 else 'frames'} missing" if missing else ""


def list_cells(node: Mapping[str, Any]) -> tuple[str, ...]:
    """One node, by `COLUMNS`."""
    lag_s, megabytes = node["lag_s"], node["bytes_per_s"] / 1e6
    return (
        *(node["name"], node["kind"], node["state"], f"{node['rows']:,}", f"{node['rows_per_s']:,.0f}"),
        f"{megabytes:,.0f}" if megabytes >= 10 or not megabytes else f"{megabytes:.2g}",
        *(str(node["queued"]), str(node["credits"]), f"{node['dropped']:,}"),
        f"{lag_s * 1000:,.0f} ms" if lag_s < 10 else f"{lag_s:,.0f} s",
        *(f"{node['cpu_percent']:.0f} %", f"{node['memory_bytes'] / 1e6:,.0f} MB"),
    )


def make_grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey levels 0 … 255, shape (height, width), from the darkest to the brightest percent; NaN is black."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(image.astype(np.float64), nan=low) - low) / ((high - low) or 1.0)
    return (np.clip(scaled, 0.0, 1.0) * 255).astype(np.uint8)
