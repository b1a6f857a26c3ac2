"""Shared memory of ours whose maker is gone: nobody will remove it any more."""

from __future__ import annotations

from pathlib import Path

import psutil

from mamba.data_worker.ring import PREFIX, SHARED


def list_orphaned_memory() -> set[Path]:
    """Segments (mamba-PID-…) of processes that do not run; those of others who work here meanwhile are not meant."""
    return {file for file in SHARED.glob(f"{PREFIX}*") if not psutil.pid_exists(int(file.name.split("-")[1]))}
