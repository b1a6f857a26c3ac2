"""Watches the nodes of one arm from outside the actors: keeps the book, notices the dead, ends what has to end.

A node's death shows as the loss of its socket: at once when its process was killed, after two seconds when it was
stopped or its host is gone (ZeroMQ's heartbeats, which need no turn of the node's own threads). Whatever happens, the
arm ends with an account that adds up: all nodes are drained, the ledger is settled, the sink closes its file with it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from mamba.data_worker.ledger import Book, DatasetInfo, Ledger
from mamba.data_worker.link import Socket, open_socket
from mamba.data_worker.reports import Report, load_error
from mamba.errors import MambaError, NodeFailed

log = logging.getLogger(__name__)

_TICK_S = 0.05
_CAUSE_WITHIN_S = 2.5
"""How long after a cut edge its cause must be known; longer than a heartbeat needs to miss a stopped process."""
_END_WITHIN_S = 5.0
_DRAIN_WITHIN_S = 15.0
_RATE_OVER_S = 1.0
_PROGRESS_EVERY_S = 0.2

Account = dict[str, Any]
Recover = Callable[[Account], dict[str, DatasetInfo]]


@dataclass(frozen=True)
class Progress:
    """Where an arm stands.

    Attributes:
        produced: frame numbers known to exist.
        written: frames acknowledged by the file.
        missing: frames known to be lost.
        frames: how many were asked for.
        frames_per_s: arriving, over the last second.
        state: "starting", "armed", "running", "ending" or "done".
    """

    produced: int
    written: int
    missing: int
    frames: int
    frames_per_s: float
    state: str


class Supervisor(threading.Thread):
    """One arm's supervisor.

    Args:
        endpoint: where nodes report.
        nodes: their names.
        source: the one that takes the detector's stream.
        sink: the one whose acknowledgements count.
        file: what the sink writes.
        frames: how many were asked for.
        recover: finishes the file when its writer died.
        on_progress: told at most five times a second.
        end_detector: after a failure, ends the detector and says how many frames it had produced; None: not known.
        on_end: told once, with the nodes that are dead, before `done` is set; frees the actors.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        nodes: list[str],
        source: str,
        sink: str,
        file: Path,
        frames: int,
        recover: Recover,
        end_detector: Callable[[], int | None],
        on_progress: Callable[[Progress], None],
        on_end: Callable[[set[str]], None],
    ) -> None:
        super().__init__(name="mdw supervisor", daemon=True)
        self._source, self._sink, self._file, self._frames = source, sink, file, frames
        self._recover, self._on_progress, self._on_end = recover, on_progress, on_end
        self._end_detector = end_detector
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._socket, self._monitor = open_socket(self._context, zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.bind(endpoint)
        self._book = Book()
        self._waiting = set(nodes)  # not ready yet
        self._active = set(nodes)  # neither drained nor dead
        self._dead: set[str] = set()
        self._known: set[str] = set()
        self._suspect = False
        self._cut: tuple[float, str] | None = None
        self._stopping_since: float | None = None
        self._reason = ""
        self._first = self._last = 0.0
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._abort_reason: str | None = None
        self._abort_produced: int | None = None
        self._account: Account | None = None
        self._shown = 0.0
        self._datasets: dict[str, DatasetInfo] | None = None
        self.ready, self.done = threading.Event(), threading.Event()
        self.failure: MambaError | None = None
        self.ledger: Ledger | None = None
        self.progress = Progress(0, 0, 0, frames, 0.0, "starting")

    def abort(self, reason: str, produced: int | None = None) -> None:
        """End it from any thread; `produced`: what the detector says it had produced."""
        self._abort_produced = produced
        self._abort_reason = reason

    def withdraw(self) -> None:
        """Close without ever having run."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        self._context.term()

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
                self._on_end(self._dead)
            finally:
                # whoever waits must hear of the end, whatever went wrong in it
                self.ready.set()
                self.done.set()

    def _turn(self) -> None:
        if self._socket.poll(round(_TICK_S * 1000)):
            while self._socket.poll(0):
                identity, body = self._socket.recv_multipart()
                self._take(identity.decode(), json.loads(body))
        self._bury()
        self._check_deadlines()
        self._show("ending" if self._stopping_since else "running" if self._first else "armed")

    def _take(self, node: str, report: Report) -> None:
        self._known.add(node)
        match report["typ"]:
            case "ready":
                self._waiting.discard(node)
                if not self._waiting:
                    self.ready.set()
            case "received":
                self._take_received(report)
            case "repeated":
                self._book.duplicates += report["count"]
            case "ended":
                self._book.declare(report["produced"])
            case "lost":
                self._book.add_lost(report["first"], report["count"], node=node, reason=report["reason"])
            case "written":
                self._last = time.monotonic()
                for first, count in report["ranges"]:
                    self._book.add_written(first, count)
            case "cut":
                self._cut = self._cut or (time.monotonic() + _CAUSE_WITHIN_S, f"node {node}: {report['why']}")
            case "broken":
                self.failure = self.failure or load_error(report)
                self._end_source(report["code"])
            case "failed":
                self._fail(load_error(report))
            case "drained":
                self._active.discard(node)
            case "closed":
                self._datasets = {
                    name: DatasetInfo(Path(i["file"]), i["path"], tuple(i["shape"]), i["dtype"], i["units"])
                    for name, i in report["datasets"].items()
                }

    def _take_received(self, report: Report) -> None:
        now = time.monotonic()
        self._first = self._first or now - report["age_s"]
        for first, count in report["ranges"]:
            self._book.add_received(first, count)
        self._seen.append((now, len(self._book.received)))
        while len(self._seen) > 2 and self._seen[0][0] < now - _RATE_OVER_S:
            self._seen.popleft()

    def _bury(self) -> None:
        while self._monitor.poll(0):
            self._suspect |= recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED
        if not self._suspect:
            return
        # when the account is out, only the sink is still missed: the others leave on their own
        missed = self._known - self._dead if self._account is None else {self._sink} - self._dead
        dead = {node for node in missed if not self._post(node, {"typ": "ping"})}
        if dead and self._datasets is None:
            self._suspect = False
            self._dead |= dead
            self._active -= dead
            names = ", ".join(sorted(dead))
            self._fail(
                NodeFailed(
                    f"node {names}: its actor died",
                    seen=f"its socket closed after {len(self._book.received)} frames",
                    remedy="look at the memory and at the kernel's log; acquire again, it starts anew",
                )
            )

    def _post(self, node: str, message: Report) -> bool:
        try:
            self._socket.send_multipart([node.encode(), json.dumps(message).encode()], flags=zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        if self._abort_reason is not None and self._stopping_since is None:
            if self._abort_produced is not None:
                self._book.declare(self._abort_produced)
            self._end_source(self._abort_reason)
        if self._cut and now > self._cut[0] and self._stopping_since is None:
            self._fail(NodeFailed(self._cut[1]))
        if self._stopping_since and now > self._stopping_since + _END_WITHIN_S:
            self._stop_nodes(self._reason)
        if self._stopping_since and now > self._stopping_since + _DRAIN_WITHIN_S:
            names = ", ".join(sorted(self._active))
            self._dead |= self._active
            self._active = set()
            self._fail(NodeFailed(f"node {names}: did not stop", seen=f"waited {_DRAIN_WITHIN_S:g} s"))

    def _fail(self, error: MambaError) -> None:
        self.failure = self.failure or error
        self._stop_nodes(error.code)

    def _end_source(self, reason: str) -> None:
        """End the stream; what is on its way still gets to the file."""
        if self._stopping_since is None:
            self._stopping_since, self._reason = time.monotonic(), reason
            self._post(self._source, {"typ": "end"})

    def _stop_nodes(self, reason: str) -> None:
        if self._stopping_since is None:
            self._stopping_since, self._reason = time.monotonic(), reason
        for node in self._active & self._known:
            self._post(node, {"typ": "stop", "reason": reason})

    def _settle(self) -> None:
        if self.failure is not None and self._first:
            # a dead source says nothing of the frames that were sent and that it never saw
            self._book.declare(self._end_detector() or 0)
        missing = self._book.settle(last_node=self._sink, reason=self._reason or "not acknowledged")
        written, seconds = len(self._book.written), max(0.0, self._last - self._first)
        account: Account = {
            "produced": self._book.produced,
            "written": written,
            "missing": [list(gap) for gap in missing],
            "duplicates": self._book.duplicates,
            "reason": self._reason,
        }
        self._finish_nodes(account)
        self.ledger = Ledger(
            produced=self._book.produced,
            written=written,
            missing=missing,
            frames_per_s=written / seconds if seconds else 0.0,
            seconds=seconds,
            files=(self._file,),
            datasets=self._datasets or {},
            duplicates=self._book.duplicates,
            reason=self._reason,
        )
        self._show("done")

    def _finish_nodes(self, account: Account) -> None:
        deadline = time.monotonic() + _DRAIN_WITHIN_S
        self._account = account
        for node in self._known - self._dead:
            self._post(node, {"typ": "finish", "account": account})
        failed_before = self.failure
        while self._datasets is None and self._sink not in self._dead and time.monotonic() < deadline:
            self._turn()
            if self.failure is not failed_before and self._sink not in self._dead:
                return  # the sink could not close its file; the failure says why
        if self._sink in self._dead:
            try:
                self._datasets = self._recover(account)
            except MambaError as error:
                self.failure = self.failure or error

    def _show(self, state: str) -> None:
        book, now = self._book, time.monotonic()
        (then, before), (_, after) = self._seen[0], self._seen[-1]
        rate = (after - before) / (now - then) if now > then else 0.0
        previous, self.progress = (
            self.progress,
            Progress(book.produced, len(book.written), book.missing, self._frames, rate, state),
        )
        if state == "done" or (now - self._shown >= _PROGRESS_EVERY_S and previous != self.progress):
            self._shown = now
            self._on_progress(self.progress)
