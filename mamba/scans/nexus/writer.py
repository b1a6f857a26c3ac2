"""NeXus master files: one per run, `<scan_id:05d>_<plan>.nxs`, readable at any moment and after any death.

*Master file*: who, what, how and every scalar of a run; frames stay in the detector's own files, linked.
Points go to the file at most once a second, then it is flushed: what was flushed survives a killed console.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mamba.scans.nexus.run import RunFile

Document = Mapping[str, Any]

_WRITE_PERIOD_S = 1.0
_REMEMBERED_RUNS = 1000


class NexusWriter:
    """A consumer of documents that writes one master file per run.

    Args:
        directory: where files go; made with the first run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.RLock()
        self._open: dict[str, RunFile] = {}
        self._run_of: dict[str, str] = {}
        self._files: dict[str, list[Path]] = {}
        self._problems: dict[str, list[str]] = {}
        self._last_write = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, name: str, doc: Document) -> None:
        """Take one document.

        Raises:
            OSError, DiskFull: the file cannot be written; what was flushed before stays readable.
        """
        with self._lock:
            match name:
                case "start":
                    self._start(doc)
                case "descriptor":
                    self._run_of[doc["uid"]] = doc["run_start"]
                    self._with_run(doc["run_start"], lambda run: run.add_descriptor(doc))
                case "event":
                    self._with_run(self._run_of.get(doc["descriptor"]), lambda run: run.add_event(doc))
                    self._write_soon()
                case "event_page":
                    self._with_run(self._run_of.get(doc["descriptor"]), lambda run: run.add_page(doc))
                    self._write_soon()
                case "stream_resource":
                    self._with_run(doc.get("run_start"), lambda run: run.external.add_resource(doc))
                case "stop":
                    self._stop(doc)

    def files_of(self, uid: str) -> list[Path]:
        """Files of the run with start uid `uid`: its master file, then the files it links to."""
        with self._lock:
            return list(self._files.get(uid, ()))

    def problems_of(self, uid: str) -> list[str]:
        """What is missing in the file of the finished run `uid`; empty when it is complete."""
        with self._lock:
            return list(self._problems.get(uid, ()))

    def _start(self, doc: Document) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        plan = re.sub(r"\W+", "_", str(doc.get("plan_name") or "run"))
        stem = f"{int(doc.get('scan_id') or 0):05d}_{plan}"
        for attempt in range(1, 1000):
            path = self.directory / (f"{stem}.nxs" if attempt == 1 else f"{stem}-{attempt}.nxs")
            try:
                run = RunFile(path, doc)
            except FileExistsError:
                continue
            self._open[doc["uid"]] = run
            self._remember(doc["uid"], [path])
            return

    def _with_run(self, uid: str | None, act: Any) -> None:
        run = self._open.get(uid or "")
        if run is not None:
            act(run)

    def _stop(self, doc: Document) -> None:
        uid = doc["run_start"]
        run = self._open.pop(uid, None)
        self._run_of = {descriptor: of for descriptor, of in self._run_of.items() if of != uid}
        if run is not None:
            self._remember(uid, [run.path, *run.external.files])
            try:
                run.finish(doc)
            except Exception as error:
                what = getattr(error, "what", None) or str(error).partition("\n")[0]
                self._problems[uid] = [f"the file ends before the run did: {what}"]
                raise

    def _remember(self, uid: str, files: list[Path]) -> None:
        self._files[uid] = files
        while len(self._files) > _REMEMBERED_RUNS:
            oldest = next(iter(self._files))
            del self._files[oldest]
            self._problems.pop(oldest, None)

    def _write_soon(self) -> None:
        """Write now if the last time was long enough ago, else when it will have been."""
        wait = self._last_write + _WRITE_PERIOD_S - time.monotonic()
        if wait <= 0:
            self._write()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # not on the run engine's loop (a monitored signal): the next point writes
                return
            self._timer = loop.call_later(wait, self._write)

    def _write(self) -> None:
        with self._lock:
            self._timer = None
            self._last_write = time.monotonic()
            for run in self._open.values():
                run.write()
