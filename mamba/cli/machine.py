"""What this machine has of the programs and libraries that the optional parts of Mamba need."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from typing import Literal

Check = tuple[Literal["ok", "broken", "note"], str, str]
"""Verdict, what was found, what to do."""

_EXTRAS = {
    "windows": ("PyQt5", "taurus", "pyqtgraph"),
    "data-worker": ("ray", "hdf5plugin"),
    "epics": ("epics",),
    "science": ("scipy", "matplotlib", "nexusformat", "xraydb"),
}

# Shared libraries that Qt loads and pip cannot bring: Debian package by file name.
_OFFSCREEN = {"libGL.so.1": "libgl1", "libglib-2.0.so.0": "libglib2.0-0", "libfontconfig.so.1": "libfontconfig1"}
_SCREEN = {
    "libdbus-1.so.3": "libdbus-1-3",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
}


def check_machine() -> Iterator[Check]:
    """Extras of the distribution, and the libraries of the windows where those are installed."""
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if not missing:
            yield "ok", f"{extra}: {', '.join(modules)} installed", ""
        else:
            yield "note", f"{extra}: {', '.join(missing)} not installed", f"pip install 'mamba-beamline[{extra}]'"
    if importlib.util.find_spec("PyQt5") is not None:
        yield _check_libraries("windows offscreen", _OFFSCREEN, absent="broken")
        yield _check_libraries("windows on a screen", _SCREEN, absent="note")


def _check_libraries(name: str, packages: dict[str, str], *, absent: Literal["broken", "note"]) -> Check:
    missing = [package for file, package in packages.items() if not _can_load(file)]
    if missing:
        return absent, f"{name}: {len(missing)} libraries are missing", f"apt-get install {' '.join(missing)}"
    return "ok", f"{name}: the libraries are there", ""


def _can_load(file: str) -> bool:
    try:
        ctypes.CDLL(file)
    except OSError:
        return False
    return True
