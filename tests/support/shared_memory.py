"""Shared memory of ours whose maker is gone: nobody will remove it any more."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from mamba.orphans import RING_PREFIX, SHARED


def list_orphaned_memory() -> set[Path]:
    """Segments (mamba-PID-…) of processes that do not run; those of others who work here meanwhile are not meant."""
    return {file for file in SHARED.glob(f"{RING_PREFIX}*") if not psutil.pid_exists(int(file.name.split("-")[1]))}


def await_no_more(before: set[Path], timeout_s: float = 30.0) -> None:
    """Fail when there are orphans that were not there `before`.

    Another test process may have killed an actor of its own a moment ago; the next ring that is made sweeps what that
    one left. What nobody sweeps stays, and fails.
    """
    deadline = time.monotonic() + timeout_s
    while more := list_orphaned_memory() - before:
        assert time.monotonic() < deadline, f"shared memory stays: {sorted(map(str, more))}"
        time.sleep(0.1)  # between looks
