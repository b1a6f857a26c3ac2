"""A wire that loses, repeats and reorders what a detector sends: the ledger equals what the detector knows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import pytest

from mamba.data_worker.ledger import Ledger
from tests.data_worker.conftest import REGIONS, Start, make_graph
from tests.support.frame_feeder import make_frame

SHAPE = (32, 48)
SECONDS = 900


def check_truth(ledger: Ledger, told: dict[str, Any]) -> None:
    """Counts, ranges and numbers are those of the detector, in the ledger and in the file."""
    lost = set(told["dropped"])
    assert (ledger.produced, ledger.written, ledger.duplicates) == (told["produced"], told["sent"], told["repeated"])
    assert [n for gap in ledger.missing for n in range(gap.first, gap.last + 1)] == sorted(lost)
    assert {(gap.node, gap.reason) for gap in ledger.missing} == {("detector", "not sent")}
    assert all(one.last + 1 < next_one.first for one, next_one in pairwise(ledger.missing)), "ranges are whole"
    with h5py.File(ledger.files[0]) as file:
        mdw, numbers = file["entry/mdw"], file["entry/data/frame_number"][:].tolist()
        counts = [int(mdw[name][()]) for name in ("produced", "written", "duplicates")]
        assert counts == [ledger.produced, ledger.written, ledger.duplicates]
        assert mdw["missing/first"][:].tolist() == [gap.first for gap in ledger.missing]
        assert mdw["missing/last"][:].tolist() == [gap.last for gap in ledger.missing]
        assert sorted(numbers) == [n for n in range(ledger.produced) if n not in lost]
        sums = file["entry/data/region_sums"][:]
        for row in range(0, len(numbers), max(1, len(numbers) // 5000)):
            frame = make_frame(numbers[row], SHAPE)
            np.testing.assert_array_equal(file["entry/data/frames"][row], frame)
            assert sums[row].tolist() == [frame[r["y"] :, r["x"] :][: r["height"], : r["width"]].sum() for r in REGIONS]


def acquire(start: Start, frames: int, transport: str) -> Ledger:
    """One arm over a bad wire, checked."""
    feeder, armed = start(
        make_graph(), frames=frames, shape=SHAPE, block_frames=2, slots=16, transport=transport, wire={"seed": frames}
    )
    ledger = armed.wait(SECONDS)
    told = feeder.read()
    assert told["repeated"] > 0
    assert told["dropped"]
    check_truth(ledger, told)
    return ledger


@pytest.mark.parametrize("transport", ["ring", "zmq"])
def test_the_ledger_of_a_bad_wire_is_the_truth(start: Start, transport: str) -> None:
    acquire(start, 1500, transport)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 60)
def test_a_hundred_thousand_frames_over_a_bad_wire(start: Start) -> None:
    ledger = acquire(start, 100_000, "ring")
    print(
        f"soak: {ledger.produced} frames: {ledger.written} written, {ledger.missing_frames} missing in"
        f" {len(ledger.missing)} ranges, {ledger.duplicates} came twice; {ledger.frames_per_s:.0f} frames/s"
    )
