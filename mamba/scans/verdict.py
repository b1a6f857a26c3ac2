"""The honest verdict on a run: is everything there that was asked for?

A run that ended with `success` may still lack points, frames or a file. The verdict looks at what was planned, what the
documents say was measured, what the ledger says was written, and whether the files exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]

_PRODUCED, _WRITTEN = "_frames_produced", "_frames_written"
_REMEMBERED_RUNS = 1000


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one run.

    Attributes:
        uid: of the start document.
        problems: one sentence each; empty when all is well.
    """

    uid: str
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything is there."""
        return not self.problems


@dataclass
class RunRecord:
    """What the verdict needs to know of a run.

    Attributes:
        start: the start document.
        ledgers: detector's key → (frames produced, frames written), the last that was recorded.
    """

    start: Document
    ledgers: dict[str, tuple[int, int]] = field(default_factory=dict)


def judge_run(record: RunRecord, stop: Document, files: Sequence[Path]) -> Verdict:
    """The verdict on a finished run.

    Args:
        record: what was planned and what the ledgers said.
        stop: the stop document.
        files: files the run should have left, the master file first.
    """
    problems = []
    if stop.get("exit_status") != "success":
        reason = str(stop.get("reason") or "no reason given")
        problems.append(f"ended with {stop.get('exit_status')}: {reason}")
    planned = record.start.get("num_points")
    measured = (stop.get("num_events") or {}).get("primary", 0)
    if planned is not None and measured != planned:
        problems.append(f"{measured} of {planned} points were measured")
    asked = record.start.get("num_frames")
    for key, (produced, written) in record.ledgers.items():
        if produced != written:
            problems.append(f"{key}: {produced - written} of {produced} frames were not written")
        if asked is not None and produced != asked:
            problems.append(f"{key}: {produced} of {asked} frames were produced")
    if asked is not None and not record.ledgers:
        problems.append(f"no ledger says what became of the {asked} frames")
    if not files:
        problems.append("no file was written")
    problems.extend(f"{file}: the file is missing" for file in files if not file.is_file())
    return Verdict(str(record.start.get("uid")), tuple(problems))


class VerdictKeeper:
    """A consumer of documents that keeps the verdict on every run; subscribe it after the NeXus writer.

    Args:
        files_of: names the files of a run, by the uid of its start document.
    """

    def __init__(self, files_of: Callable[[str], Sequence[Path]]) -> None:
        self._files_of = files_of
        self._open: dict[str, RunRecord] = {}
        self._run_of: dict[str, str] = {}
        self._verdicts: dict[str, Verdict] = {}

    def __call__(self, name: str, doc: Document) -> None:
        """Take one document."""
        match name:
            case "start":
                self._open[doc["uid"]] = RunRecord(doc)
            case "descriptor" if any(key.endswith(_PRODUCED) for key in doc["data_keys"]):
                self._run_of[doc["uid"]] = doc["run_start"]
            case "event" if doc["descriptor"] in self._run_of:
                self._note_ledger(self._open[self._run_of[doc["descriptor"]]], doc["data"])
            case "stop":
                self._stop(doc)

    def verdict_of(self, uid: str) -> Verdict | None:
        """The verdict on the run with start uid `uid`; None for a run that is not finished or not known."""
        return self._verdicts.get(uid)

    def problems_of(self, uid: str) -> list[str]:
        """What is wrong with that run; empty when all is well or the run is not known."""
        verdict = self.verdict_of(uid)
        return [] if verdict is None else list(verdict.problems)

    def _note_ledger(self, record: RunRecord, data: Mapping[str, Any]) -> None:
        for key, produced in data.items():
            if key.endswith(_PRODUCED):
                device = key.removesuffix(_PRODUCED)
                record.ledgers[device] = (int(produced), int(data.get(device + _WRITTEN, 0)))

    def _stop(self, doc: Document) -> None:
        uid = doc["run_start"]
        self._run_of = {descriptor: run for descriptor, run in self._run_of.items() if run != uid}
        record = self._open.pop(uid, None)
        if record is None:
            return
        self._verdicts[uid] = judge_run(record, doc, self._files_of(uid))
        while len(self._verdicts) > _REMEMBERED_RUNS:
            del self._verdicts[next(iter(self._verdicts))]
