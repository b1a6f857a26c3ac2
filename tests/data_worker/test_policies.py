"""Each policy with each bad reader, over a real edge to a real process: what arrives, what is given up, exactly.

*Slow*: it takes nothing until all were offered. *Dead*: killed before the first, and nobody comes in its place. *Late*:
it comes when half were offered. *Dying*: killed with blocks in its hands while more come; another takes its place.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mamba.data_worker import link
from mamba.data_worker.edges import EdgePlan, Port, format_port
from mamba.data_worker.frame import Block, End
from mamba.data_worker.graph import Policy
from mamba.data_worker.nodes import Flow
from tests.support.edge_reader import EdgeReader, Nest
from tests.support.frame_feeder import make_frame

FRAMES, SLOTS, SHAPE = 40, 8, (128, 384)
HALF, IN_HAND, BEFORE = 20, 2, 5


class Origin:
    """A node's output with one edge; offers frames one by one, and keeps account of each."""

    def __init__(self, folder: Path, policy: Policy, nest: Nest) -> None:
        self._nest = nest
        self.plan = EdgePlan("camera", "out", "file", "camera", policy, f"unix://{folder}/e", "token", SLOTS, False)
        form, ring = format_port(Flow(SHAPE, "uint16"), SLOTS)
        assert ring is not None
        self.port = Port([self.plan], form, ring)
        self.edge = self.port.edges[0]
        self.offered = 0
        self.lost: list[int] = []
        self.back: list[int] = []
        self.readers: list[EdgeReader] = []

    def start_reader(self) -> EdgeReader:
        """A reader that is connected."""
        reader = EdgeReader(self._nest, self.plan.endpoint, self.plan.token)
        self.readers.append(reader)
        self.await_that(lambda: self.edge.link.connected)
        reader.process = reader.hear()
        return reader

    def await_that(self, holds: Callable[[], bool], within_s: float = 20.0) -> None:
        """Look after the edge until something holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            self.back += self.port.collect()
            assert time.monotonic() < deadline

    def offer(self, until: int) -> None:
        """Offer frames up to number `until`, or until the edge makes its origin wait."""
        self.back += self.port.collect()
        while self.offered < until and self.port.ready:
            number = self.offered
            given_up = self.port.put(Block(1, 0, number, 1), make_frame(number, SHAPE)[None], number)
            self.lost += [block.first for _, block in given_up]
            self.offered += 1
            self.back += self.port.collect()

    def offer_in_step(self, reader: EdgeReader, until: int) -> list[int]:
        """Offer frames that the reader takes and gives back one by one."""
        seen = []
        while self.offered < until:
            self.offer(self.offered + 1)
            seen += reader.ask("take 1")
            reader.ask("release")
            self.await_that(lambda: self.edge.link.under_way == 0)
        return seen

    def finish(self, reader: EdgeReader | None) -> list[int]:
        """Offer what is left, end, and have the reader take all of it."""
        if reader is not None:
            reader.tell("drain")
        self.offer(FRAMES)
        while self.offered < FRAMES:
            self.await_that(lambda: self.port.ready)
            self.offer(FRAMES)
        self.port.end(End(1, FRAMES))
        self.await_that(lambda: self.port.finished and not self.port.held)
        return list(reader.hear()) if reader is not None else []

    def kill(self, reader: EdgeReader) -> None:
        """Kill it; returns when that was noticed."""
        os.kill(reader.process, signal.SIGKILL)
        self.await_that(lambda: not self.edge.link.connected)

    def close(self) -> None:
        """Close both ends."""
        self.port.close()
        for reader in self.readers:
            reader.close()


@dataclass
class Seen:
    """What each reader took, and how many frames had been offered when the edge first made the origin wait."""

    first: list[int]
    second: list[int]
    offered: int


def be_slow(origin: Origin) -> Seen:
    """The reader looks on until all were offered."""
    reader = origin.start_reader()
    origin.offer(FRAMES)
    offered = origin.offered
    return Seen(origin.finish(reader), [], offered)


def be_dead(origin: Origin) -> Seen:
    """The reader was killed before the first frame."""
    origin.kill(origin.start_reader())
    origin.offer(FRAMES)
    offered = origin.offered
    return Seen(origin.finish(None), [], offered)


def be_late(origin: Origin) -> Seen:
    """The reader comes after half of the frames."""
    origin.offer(HALF)
    offered = origin.offered
    reader = origin.start_reader()
    origin.back += origin.port.collect()  # what waited for it goes now
    seen = reader.ask(f"take {origin.edge.link.under_way}")
    reader.ask("release")
    origin.await_that(lambda: origin.edge.link.under_way == 0)
    seen += origin.offer_in_step(reader, FRAMES)
    return Seen(seen + origin.finish(reader), [], offered)


def be_dying(origin: Origin) -> Seen:
    """The reader is killed with frames in its hands; more are offered, then another one comes."""
    reader = origin.start_reader()
    seen = origin.offer_in_step(reader, BEFORE)
    origin.offer(BEFORE + IN_HAND)
    seen += reader.ask(f"take {origin.edge.link.under_way}")
    origin.kill(reader)
    origin.offer(BEFORE + IN_HAND + 10)
    offered = origin.offered
    other = origin.start_reader()
    origin.back += origin.port.collect()
    again = other.ask(f"take {origin.edge.link.under_way}")
    other.ask("release")
    origin.await_that(lambda: origin.edge.link.under_way == 0)
    again += origin.offer_in_step(other, FRAMES)
    return Seen(seen, again + origin.finish(other), offered)


ALL = list(range(FRAMES))
# (policy, reader): seen by the first, by the second, offered before the origin waited, sent, given up
TABLE: dict[tuple[Policy, Callable[[Origin], Seen]], tuple[list[int], list[int], int, int, list[int]]] = {
    ("wait", be_slow): (ALL, [], SLOTS, FRAMES, []),
    ("drop", be_slow): ([0, 1], [], FRAMES, 2, ALL[2:]),
    ("latest", be_slow): ([0, 39], [], FRAMES, 2, ALL[1:39]),
    ("wait", be_dead): ([], [], SLOTS, SLOTS, ALL[SLOTS:]),
    ("drop", be_dead): ([], [], FRAMES, 0, ALL),
    ("latest", be_dead): ([], [], FRAMES, 0, ALL),
    ("wait", be_late): (ALL, [], SLOTS, FRAMES, []),
    ("drop", be_late): (ALL[HALF:], [], HALF, HALF, ALL[:HALF]),
    ("latest", be_late): (ALL[HALF - 1 :], [], HALF, HALF + 1, ALL[: HALF - 1]),
    ("wait", be_dying): (ALL[:7], ALL[5:], BEFORE + SLOTS, FRAMES, []),
    ("drop", be_dying): (ALL[:7], ALL[17:], 17, 30, ALL[7:17]),
    ("latest", be_dying): (ALL[:6], ALL[16:], 17, 30, ALL[6:16]),
}


@pytest.fixture(scope="module")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nest]:
    """One for all, so that a reader costs no start of Python."""
    with Nest(tmp_path_factory.mktemp("nest")) as made:
        yield made


@pytest.mark.parametrize(("policy", "behave"), TABLE, ids=lambda each: getattr(each, "__name__", each))
def test_what_arrives_and_what_is_given_up_is_exact(
    tmp_path: Path, policy: Policy, behave: Callable[[Origin], Seen], nest: Nest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if behave is be_dead:
        monkeypatch.setattr(link, "RESUME_WITHIN_S", 0.5)  # nobody comes in its place
    first, second, offered, sent, given_up = TABLE[policy, behave]
    origin = Origin(tmp_path, policy, nest)
    try:
        seen = behave(origin)
        assert (seen.first, seen.second, seen.offered) == (first, second, offered)
        assert (origin.edge.sent, origin.edge.given_up) == (sent, len(given_up))
        assert sent + len(given_up) == FRAMES
        # every slot came back to its origin, once
        assert sorted(origin.back) == ALL
        assert set(origin.lost) <= set(given_up)
        assert len(origin.lost) == len(set(origin.lost))
    finally:
        origin.close()
