"""Watches the nodes of one arm from outside the actors: keeps the books, replaces the dead, ends what has to end.

A node's death shows as the loss of its socket, at once. An actor that says nothing for two seconds and whose process is
stopped is killed. Its group gets a new actor, to which the nodes before it send again what had not been released.
Whatever happens, the arm ends with an account that adds up: all nodes are drained, the ledgers are settled, each sink
closes its file with its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mamba.data_worker.books import Books
from mamba.data_worker.changes import Change
from mamba.data_worker.ledger import Account, DatasetInfo, Ledger
from mamba.data_worker.meters import Progress
from mamba.data_worker.node_table import NodeTable
from mamba.data_worker.planning import ArmPlan
from mamba.data_worker.replacements import Replacements
from mamba.data_worker.reports import Collector, Report, load_error
from mamba.errors import DataError, MambaError, NodeFailed

log = logging.getLogger(__name__)

_TICK_S = 0.05
_END_WITHIN_S = 5.0
_DRAIN_WITHIN_S = 15.0
_PROGRESS_EVERY_S = 0.2

Recover = Callable[[Path, Account], dict[str, DatasetInfo]]
FindHeld = Callable[[Path], list[tuple[int, int]]]
Join = Callable[[Path, list[Path], Account], dict[str, DatasetInfo]]


@dataclass(frozen=True)
class Actions:
    """What a supervisor has done by others.

    Attributes:
        find_held: the frames that the file of a dead writer holds.
        recover: finishes that file.
        join: makes the file that shows what several writers wrote.
        end_detector: after a failure, ends the detector and says how many frames it had produced; None: not known.
        replace: ends a group's actor, if it still lives, and starts another that resumes; called in a thread.
        kill: ends a group's actor at once.
        lives: whether a group's actor does; looks, and does not ask it.
        is_stopped: whether the process of a group's actor is (SIGSTOP); likewise.
        on_progress: told at most five times a second.
        on_end: told once, with the groups that are dead, before `done` is set; frees the actors.
    """

    find_held: FindHeld
    recover: Recover
    join: Join
    end_detector: Callable[[], int | None]
    replace: Callable[[str], None]
    kill: Callable[[str], None]
    lives: Callable[[str], bool]
    is_stopped: Callable[[str], bool]
    on_progress: Callable[[Progress], None]
    on_end: Callable[[set[str]], None]


class Supervisor(threading.Thread):
    """One arm's supervisor."""

    def __init__(self, plan: ArmPlan, actions: Actions) -> None:
        super().__init__(name="mdw supervisor", daemon=True)
        self._plan, self._do = plan, actions
        self._nodes = Collector(plan.control)
        self._books = Books(plan)
        self._table = NodeTable(plan)
        self._waiting = set(plan.groups)  # not ready yet
        self._active = set(plan.groups)  # neither drained nor dead for good
        self._calls: SimpleQueue[tuple[Callable[[], None], threading.Event]] = SimpleQueue()
        self._replacements = Replacements(actions.replace, actions.lives)
        self._dead: set[str] = set()  # nodes
        self._known: set[str] = set()
        self._suspect = False
        self._stopping_since: float | None = None
        self._reason = ""
        self._notes: list[str] = []
        self._abort_reason: str | None = None
        self._abort_produced: int | None = None
        self._settled = False
        self._shown = 0.0
        self._datasets: dict[str, dict[str, DatasetInfo]] = {}
        self.ready, self.done = threading.Event(), threading.Event()
        self.failure: MambaError | None = None
        self.ledger: Ledger | None = None
        self.progress = Progress(0, 0, 0, plan.job.frames, 0.0, "starting")

    def abort(self, reason: str, produced: int | None = None) -> None:
        """End it from any thread; `produced`: what the detector says it had produced."""
        self._abort_produced = produced
        self._abort_reason = reason

    def retire(self, change: Change) -> None:
        """Let nodes go that a change takes out; returns when nothing is sent to them any more.

        Raises:
            DataError: the arm is at its end.
        """
        self._call(lambda: self._retire(change))

    def adopt(self, change: Change) -> None:
        """Take over the plan of a change, and have what stays serve the new nodes.

        Raises:
            DataError: the arm is at its end.
        """
        self._call(lambda: self._adopt(change))

    def _call(self, step: Callable[[], None]) -> None:
        done = threading.Event()
        self._calls.put((step, done))
        while not done.wait(_TICK_S):
            if self.done.is_set() or not self.is_alive():
                raise DataError("graph: it has ended, and cannot be changed any more", remedy="arm it again")

    def _retire(self, change: Change) -> None:
        for origin, readers in change.detach.items():
            self._nodes.post(origin, {"typ": "detach", "readers": readers})
        for names in (self._active, self._waiting, self._known, self._dead):
            names -= change.removed

    def _adopt(self, change: Change) -> None:
        self._plan = change.plan
        self._table.change(change.plan, removed=change.removed, added=change.added)
        self._active |= change.added
        self._waiting |= change.added
        for origin, edges in change.attach.items():
            self._nodes.post(origin, {"typ": "attach", "edges": edges})
        self._note(f"{change.note}, after {len(self._books.main.written)} frames were safe")

    def withdraw(self) -> None:
        """Close without ever having run."""
        self._nodes.close()

    def run(self) -> None:
        """Supervise until the account is settled."""
        try:
            while self._active:
                self._turn()
            self._settle()
        except Exception as error:
            log.exception("supervisor: failed")
            self.failure = self.failure or NodeFailed("graph: its supervisor failed", seen=repr(error)[:200])
        finally:
            self.withdraw()
            try:
                self._do.on_end({self._plan.groups[node] for node in self._dead})
            finally:
                # whoever waits must hear of the end, whatever went wrong in it
                self.ready.set()
                self.done.set()

    def _turn(self) -> None:
        for node, report in self._nodes.take(_TICK_S):
            self._take(node, report)
        self._bury()
        self._take_replaced()
        while not self._calls.empty():
            step, done = self._calls.get()
            step()
            done.set()
        self._check_deadlines()
        self._show("ending" if self._stopping_since else "running" if self._books.began else "armed")

    # --- what nodes tell ---

    def _take(self, node: str, report: Report) -> None:
        if report["typ"] == "meters":
            self._table.take(node.rstrip("/"), report)
            return
        if node not in self._plan.groups:
            return  # it was taken out
        self._known.add(node)
        match report["typ"]:
            case "ready":
                self._take_ready(node)
            case "received" | "repeated" | "ended" | "lost" | "written" | "paired":
                self._books.take(node, report)
            case "cut":
                self._fail(NodeFailed(f"node {node}: {report['why']}"))
            case "broken":
                self.failure = self.failure or load_error(report)
                self._end_source(report["code"])
            case "failed":
                self._take_failed(node, load_error(report))
            case "drained":
                self._table.take_last(node, report)
                self._active.discard(node)
            case "closed":
                self._datasets[node] = {name: DatasetInfo.load(raw) for name, raw in report["datasets"].items()}

    def _take_ready(self, node: str) -> None:
        self._waiting.discard(node)
        self._table.set_state(node, "running")
        if not self._waiting and not self.ready.is_set():
            self._shown = 0.0  # who waited for it looks at once
            self._show("armed")
            self.ready.set()
        group = self._plan.groups[node]
        if group in self._replacements and not self._plan.nodes_of(group) & self._waiting:
            self._replacements.note_ready(group)

    def _take_failed(self, node: str, error: MambaError) -> None:
        self._table.set_state(node, "failed")
        if self._plan.needs(node) or not self.ready.is_set():
            self._fail(error)
        else:
            self._note(f"{error.what}: {error.seen}; no file depends on it, the others go on")

    def _note(self, text: str) -> None:
        log.warning("%s", text)
        self._notes.append(text)

    # --- the dead ---

    def _bury(self) -> None:
        self._suspect |= self._nodes.notice_loss()
        if not self._suspect:
            return
        # when the account is out, only the sinks are still missed: the others leave on their own
        missed = set(self._plan.sinks) - set(self._datasets) if self._settled else self._known
        here = {node for node in missed - self._dead if self._plan.groups[node] not in self._replacements}
        dead = {node for node in here if not self._nodes.post(node, {"typ": "ping"})}
        if not dead:
            return
        self._suspect = False
        for group in sorted({self._plan.groups[node] for node in dead}):
            self._mourn(group)

    def _mourn(self, group: str) -> None:
        nodes = self._plan.nodes_of(group)
        names = ", ".join(sorted(nodes))
        if self._may_replace(group):
            self._note(f"node {names}: its actor died after {len(self._books.main.written)} frames were safe")
            self._waiting |= nodes & self._active
            self._known -= nodes
            for node in nodes:
                self._table.set_state(node, "replaced")
            self._replacements.begin(group)
            return
        unfinished, safe = nodes & self._active, self._is_all_safe()
        self._dead |= nodes
        self._active -= nodes
        if safe:
            self._stop_nodes("")  # a sink's file is finished from outside
            return
        if not unfinished:
            return
        self._fail(
            NodeFailed(
                f"node {names}: its actor died",
                seen=f"its socket closed after {len(self._books.main.received)} frames",
                remedy="look at the memory and at the kernel's log; acquire again, it starts anew",
            )
        )

    def _is_all_safe(self) -> bool:
        """All sources, or all sinks that keep, are through: a node is that when what it gave is safe."""
        return not self._plan.sources & self._active or not set(self._plan.sinks) & self._active

    def _may_replace(self, group: str) -> bool:
        nodes = self._plan.nodes_of(group)
        if self._settled or self._stopping_since is not None or not self.ready.is_set():
            return False
        # a source that is through has nothing to come back for
        if not nodes & self._active or nodes & self._plan.sources - self._active or self._is_all_safe():
            return False
        return self._replacements.count_death(group, self._books.safe)

    def _take_replaced(self) -> None:
        failed, died, arrived = self._replacements.look()
        for group, seconds in arrived:
            self._note(f"group {group}: a new actor took over after {seconds:.1f} s")
            for each in sorted(self._plan.nodes_of(group) & self._plan.remembers):
                self._note(f"node {each}: it began anew with it; what it had gathered is not in its results")
        for group in died:
            self._mourn(group)
        for group, error in failed:
            if self._do.lives(group):
                self._do.kill(group)  # it may hold the file, which is finished from outside
            nodes = self._plan.nodes_of(group)
            self._dead |= nodes
            self._active -= nodes
            self._waiting -= nodes
            if any(self._plan.needs(node) for node in nodes):
                self._fail(error)
            else:
                self._note(f"{error.what}: {error.seen}; no file depends on it, the others go on")

    # --- ends ---

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        if self._abort_reason is not None and self._stopping_since is None:
            if self._abort_produced is not None:
                self._books.declare(self._abort_produced)
            self._end_source(self._abort_reason)
        if self._stopping_since is None:
            for group, why in [*self._table.find_offenders(), *self._find_stopped()]:
                if group not in self._replacements:
                    self._note(why)
                    self._do.kill(group)
        if self._stopping_since and now > self._stopping_since + _END_WITHIN_S:
            self._stop_nodes(self._reason)
        if self._stopping_since and now > self._stopping_since + _DRAIN_WITHIN_S:
            names = ", ".join(sorted(self._active))
            self._dead |= self._active
            self._active = set()
            self._fail(NodeFailed(f"node {names}: did not stop", seen=f"waited {_DRAIN_WITHIN_S:g} s"))

    def _find_stopped(self) -> list[tuple[str, str]]:
        silent = [group for group in self._table.find_silent() if group not in self._replacements]
        stopped = [
            (group, ", ".join(sorted(self._plan.nodes_of(group)))) for group in silent if self._do.is_stopped(group)
        ]
        return [(group, f"node {names}: its actor's process is stopped") for group, names in stopped]

    def _fail(self, error: MambaError) -> None:
        self.failure = self.failure or error
        self._stop_nodes(error.code)

    def _end_source(self, reason: str) -> None:
        """End the stream; what is on its way still gets to the file."""
        if self._stopping_since is None:
            self._stopping_since, self._reason = time.monotonic(), reason
            for order in self._plan.orders.values():
                for node in order["nodes"]:
                    if not node["ins"]:
                        self._nodes.post(node["spec"]["name"], {"typ": "end"})

    def _stop_nodes(self, reason: str) -> None:
        if self._stopping_since is None:
            self._stopping_since, self._reason = time.monotonic(), reason
        for group in self._replacements.away:
            # whoever comes now comes too late
            self._dead |= self._plan.nodes_of(group)
            self._active -= self._plan.nodes_of(group)
        for node in self._active & self._known:
            self._nodes.post(node, {"typ": "stop", "reason": reason})

    def _settle(self) -> None:
        if self.failure is not None and self._books.began:
            # a dead source says nothing of the frames that were sent and that it never saw
            self._books.declare(self._do.end_detector() or 0)
        for sink in set(self._plan.sinks) & self._dead:
            self._count_held(sink)
        accounts = self._books.settle(
            reason=self._reason, notes=self._notes, edges=self._table.edges, rows=self._table.rows
        )
        self._finish_nodes(self._books.share(accounts))
        self._join_files(accounts)
        self.ledger = self._books.make_ledger(accounts, self._datasets)
        self._show("done")

    def _count_held(self, sink: str) -> None:
        """A writer that is killed may have committed frames, and its word of it died on the way."""
        try:
            held = self._do.find_held(self._plan.files[sink])
        except MambaError as error:
            self.failure = self.failure or error
        else:
            self._books.take(sink, {"typ": "written", "ranges": held})

    def _finish_nodes(self, accounts: dict[str, Account]) -> None:
        deadline = time.monotonic() + _DRAIN_WITHIN_S
        self._settled = True
        main = accounts[self._plan.sinks[0]]
        for node in self._known - self._dead:
            self._nodes.post(node, {"typ": "finish", "account": accounts.get(node, main)})
        failed_before = self.failure
        while self._missing_files() and time.monotonic() < deadline:
            self._turn()
            if self.failure is not failed_before and self._missing_files():
                break  # a sink could not close its file; the failure says why
        for sink in set(self._plan.sinks) & self._dead:
            try:
                self._datasets[sink] = self._do.recover(self._plan.files[sink], accounts[sink])
            except MambaError as error:
                self.failure = self.failure or error

    def _join_files(self, accounts: dict[str, Account]) -> None:
        for name, joined in self._plan.joined.items():
            try:
                parts = [self._plan.files[writer] for writer in joined.shares]
                self._datasets[name] = self._do.join(joined.file, parts, accounts[name])
            except MambaError as error:
                self.failure = self.failure or error

    def _missing_files(self) -> set[str]:
        return set(self._plan.sinks) - set(self._datasets) - self._dead

    def _show(self, state: str) -> None:
        now = time.monotonic()
        if state != "done" and now - self._shown < _PROGRESS_EVERY_S:
            return
        previous, self.progress = self.progress, self._books.describe(state, self._table.read())
        self._shown = now
        if state == "done" or previous != self.progress:
            self._do.on_progress(self.progress)
