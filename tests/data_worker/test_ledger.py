import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from mamba.data_worker.ledger import Book, Ledger, MissingRange, RangeSet
from mamba.errors import DataError
from mamba.wire.values import decode, encode


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 9))
def test_ranges_of_numbers_in_any_order(numbers: list[int], width: int) -> None:
    added = RangeSet()
    for number in numbers:
        added.add(number, width)
    assert list(RangeSet.of(np.array(numbers, np.int64), width)) == list(added)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=40))
def test_ranges_behave_as_a_set(adds: list[tuple[int, int]]) -> None:
    ranges, truth = RangeSet(), set[int]()
    for first, count in adds:
        new = set(range(first, first + count)) - truth
        assert ranges.add(first, count) == len(new)
        truth |= new
    assert len(ranges) == len(truth)
    assert {n for first, count in ranges for n in range(first, first + count)} == truth
    assert {n for a, b in ranges.gaps(5, 50) for n in range(a, b)} == set(range(5, 50)) - truth
    assert {n for a, b in ranges.overlaps(5, 50) for n in range(a, b)} == set(range(5, 50)) & truth
    assert all((n in ranges) == (n in truth) for n in range(75))


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(0, 2**32))
def test_the_account_equals_the_truth_under_loss_repeats_and_disorder(produced: int, seed: int) -> None:
    rng = random.Random(seed)
    sent = [n for n in range(produced) if rng.random() > 0.1]
    arrived = sent + [n for n in sent if rng.random() < 0.1]  # a new source in the place of a dead one
    rng.shuffle(arrived)
    dropped = {n for n in sent if rng.random() < 0.1}
    written = [n for n in sent if n not in dropped and rng.random() > 0.05]
    book = Book()
    for n in arrived:
        book.add_received(n, 1)
    for n in rng.sample(sorted(dropped), len(dropped)):
        book.add_lost(n, 1, node="camera", reason="drop")
    for n in written + written[::3]:
        book.add_written(n, 1)
    book.declare(produced)
    missing = book.settle(last_node="file", reason="aborted")
    ledger = Ledger(produced=book.produced, written=len(book.written), missing=missing)
    told = {(n, gap.node, gap.reason) for gap in missing for n in range(gap.first, gap.last + 1)}
    truth = {(n, "detector", "not sent") for n in set(range(produced)) - set(sent)}
    truth |= {(n, "camera", "drop") for n in dropped}
    truth |= {(n, "file", "aborted") for n in set(sent) - dropped - set(written)}
    assert told == truth
    assert ledger.produced == ledger.written + ledger.missing_frames == produced
    assert book.duplicates == 0


def test_neighbouring_ranges_of_one_cause_are_one() -> None:
    book = Book()
    book.declare(10)
    for n in (4, 3, 5):
        book.add_lost(n, 1, node="camera", reason="drop")
    for n in (0, 1, 2, 6, 7, 8, 9):
        book.add_received(n, 1)
        book.add_written(n, 1)
    assert book.settle(last_node="file", reason="") == (MissingRange(3, 5, "camera", "drop"),)


def test_a_frame_given_up_and_written_after_all_is_written() -> None:
    book = Book()
    book.add_received(0, 2)
    book.add_lost(0, 2, node="camera", reason="drop")
    book.add_written(1, 1)
    assert book.settle(last_node="file", reason="") == (MissingRange(0, 0, "camera", "drop"),)


def test_an_account_that_does_not_add_up_cannot_be_made() -> None:
    with pytest.raises(DataError, match="does not add up"):
        Ledger(produced=10, written=8, missing=(MissingRange(0, 0, "file", "lost"),))


def test_what_a_side_branch_dropped_is_not_missing_once_it_is_written() -> None:
    book = Book()
    book.add_received(0, 100)
    book.add_lost(10, 40, node="camera", reason="reader behind")
    assert book.missing == 0, "they are on their way by another edge"
    book.add_written(0, 90)
    assert book.missing == 0
    book.add_written(90, 10)
    assert book.missing == 0
    assert book.settle(last_node="file", reason="") == ()


def test_a_frame_is_missing_once_the_file_has_passed_it_over() -> None:
    book = Book()
    book.add_received(0, 100)
    book.add_lost(10, 5, node="camera", reason="drop: file was behind")
    book.add_written(0, 10)
    assert book.missing == 0
    book.add_written(15, 20)
    assert book.missing == 5
    book.add_received(103, 2)
    assert book.missing == 8, "the detector skipped three more, and nobody can bring those"
    book.add_written(35, 65)
    book.add_written(103, 2)
    assert sum(gap.frames for gap in book.settle(last_node="file", reason="")) == book.missing == 8


EDGES = {"camera → file": {"sent": 2000, "dropped": 0}, "camera → spots": {"sent": 1993, "dropped": 7}}


def show_at_prompt(ledger: Ledger) -> str:
    return pretty(ledger, max_width=120)


def test_at_the_prompt_a_complete_ledger_is_a_line_and_its_file() -> None:
    ledger = Ledger(600, 600, frames_per_s=50.11, seconds=11.97, files=(Path("/data/camera_00001.h5"),))
    assert show_at_prompt(ledger).splitlines() == [
        "600 of 600 frames written, 0 missing; 12.0 s, 50 frames/s",
        "  file:     /data/camera_00001.h5",
    ]
    assert repr(decode(encode(ledger))) == show_at_prompt(ledger), "windows and mambactl run show it alike"


def test_at_the_prompt_a_ledger_names_what_is_missing_and_why() -> None:
    ranges = (MissingRange(3, 5, "camera", "drop: file was behind"), MissingRange(9, 9, "detector", "not sent"))
    other = {"produced": 2000, "written": 1990}
    ledger = Ledger(
        2000,
        1996,
        ranges,
        duplicates=2,
        reason="aborted",
        notes=("group file: died",),
        others={"b": other},
        edges=EDGES,
    )
    assert show_at_prompt(ledger).splitlines()[0].startswith("1,996 of 2,000 frames written, 4 missing; ")
    assert show_at_prompt(ledger).splitlines()[1:] == [
        "  missing:  3–5 (3 frames), lost at camera: drop: file was behind",
        "  missing:  9 (1 frame), lost at detector: not sent",
        "  dropped:  camera → spots: 7, since it was behind",
        "  repeated: 2; frames that came again, each is in the file once",
        "  ended:    aborted",
        "  note:     group file: died",
        "  b: 1,990 of 2,000 frames written",
    ]


def test_a_ledger_with_thousands_of_gaps_stays_on_the_screen_and_adds_up() -> None:
    gaps = tuple(MissingRange(n, n, "camera", "drop") for n in range(0, 4000, 2))
    text = show_at_prompt(Ledger(4000, 2000, gaps))
    assert len(text.splitlines()) < 12
    assert "1,992 more, in 1,992 ranges" in text
