"""The books of one arm: what nodes report goes in, accounts and the ledger come out.

Each sink that keeps has one; writers that share a flow have one together, by the name of the node they stand for.
"""

from __future__ import annotations

import time
from collections import deque

from mamba.data_worker.ledger import Account, Book, DatasetInfo, Ledger, MissingRange, RangeSet
from mamba.data_worker.meters import NodeProgress, Progress
from mamba.data_worker.planning import ArmPlan
from mamba.data_worker.reports import Report

_RATE_OVER_S = 1.0


class Books:
    """Belongs to the supervisor's thread.

    Attributes:
        main: the book of the first sink; its file is the run's.
    """

    def __init__(self, plan: ArmPlan) -> None:
        self._source, self._frames = plan.source, plan.job.frames
        self._downstream, self._joined = plan.downstream, plan.joined
        owners = {writer: name for name, joined in plan.joined.items() for writer in joined.shares}
        self._names = {sink: owners.get(sink, sink) for sink in plan.sinks}
        self._books = {name: Book() for name in self._names.values()}
        self._written = {writer: RangeSet() for writer in owners}
        self.main = next(iter(self._books.values()))
        shown = {name: joined.file for name, joined in plan.joined.items()}
        self._files = (*({**plan.files, **shown}[name] for name in self._books), *(plan.files[w] for w in owners))
        self._began = self._last = 0.0
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    @property
    def began(self) -> bool:
        """A frame has come."""
        return self._began > 0

    @property
    def safe(self) -> int:
        """Frames that are written, all files together."""
        return sum(len(book.written) for book in self._books.values())

    def take(self, node: str, report: Report) -> None:
        """Take `received`, `repeated`, `ended`, `lost` or `written` in; frames are counted as the first source's."""
        match report["typ"]:
            case "lost":
                for name in {self._names[sink] for sink in self._downstream[report["to"]]}:
                    self._books[name].add_lost(report["first"], report["count"], node=node, reason=report["reason"])
            case "written":
                self._last = time.monotonic()
                for first, count in report["ranges"]:
                    self._books[self._names[node]].add_written(first, count)
                    if node in self._written:
                        self._written[node].add(first, count)
            case "ended" if node == self._source:
                self.declare(report["produced"])
            case "repeated" if node == self._source:
                for book in self._books.values():
                    book.duplicates += report["count"]
            case "received" if node == self._source:
                self._take_received(report)

    def _take_received(self, report: Report) -> None:
        now = time.monotonic()
        self._began = self._began or now - report["age_s"]
        for book in self._books.values():
            for first, count in report["ranges"]:
                book.add_received(first, count)
        self._seen.append((now, len(self.main.received)))
        while len(self._seen) > 2 and self._seen[0][0] < now - _RATE_OVER_S:
            self._seen.popleft()

    def declare(self, produced: int) -> None:
        """So many frame numbers existed."""
        for book in self._books.values():
            book.declare(produced)

    def describe(self, state: str, nodes: tuple[NodeProgress, ...]) -> Progress:
        """Where the arm stands."""
        (then, before), (now, after) = self._seen[0], (time.monotonic(), self._seen[-1][1])
        rate = (after - before) / (now - then) if now > then else 0.0
        main = self.main
        return Progress(main.produced, len(main.written), main.missing, self._frames, rate, state, nodes)

    def settle(self, *, reason: str, notes: list[str], edges: dict[str, dict[str, int]]) -> dict[str, Account]:
        """The account of each file: of a sink, or of several writers together."""
        accounts = {}
        for name, book in self._books.items():
            missing = book.settle(last_node=name, reason=reason or "not acknowledged")
            accounts[name] = book.make_account(missing, reason=reason, notes=notes, edges=edges)
        return accounts

    def share(self, accounts: dict[str, Account]) -> dict[str, Account]:
        """The account of each sink: of a writer that shares a flow, what is said of its own frame numbers."""
        found = {}
        for sink, name in self._names.items():
            account = found[sink] = accounts[name]
            if sink in self._written:
                share, own = self._joined[name].shares[sink], self._written[sink]
                gaps = [
                    [a, b - 1, *why] for first, last, *why in account["missing"] for a, b in share.cut(first, last + 1)
                ]
                counts = {"produced": share.count_own(account["produced"]), "written": len(own), "missing": gaps}
                found[sink] = {**account, **counts}
        return found

    def make_ledger(self, accounts: dict[str, Account], datasets: dict[str, dict[str, DatasetInfo]]) -> Ledger:
        """The ledger of the arm: the first sink's account, with those of the others.

        Raises:
            DataError: it does not add up.
        """
        (main, account), *others = accounts.items()
        seconds = max(0.0, self._last - self._began)
        return Ledger(
            produced=account["produced"],
            written=account["written"],
            missing=tuple(MissingRange(*gap) for gap in account["missing"]),
            frames_per_s=account["written"] / seconds if seconds else 0.0,
            seconds=seconds,
            files=self._files,
            datasets=datasets.get(main, {}),
            duplicates=account["duplicates"],
            reason=account["reason"],
            notes=tuple(account["notes"]),
            edges=account["edges"],
            others=dict(others),
        )
