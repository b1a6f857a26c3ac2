"""`mambactl mdw recover` and `verify`, by hand and by command."""

import random
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from mamba.cli import cli
from mamba.data_worker.sinks.commits import name_journals
from mamba.data_worker.sinks.recovery import find_held, recover_file
from mamba.data_worker.sinks.superblock import mend_superblock
from mamba.data_worker.sinks.verification import verify_file
from mamba.errors import DataError
from tests.data_worker.kill_writer import KilledFile
from tests.data_worker.test_sink import ACCOUNT, frames, open_sink, rows


def make_file(path: Path, **parameters: object) -> None:
    sink = open_sink(path, **parameters)
    for first in range(0, 40, 4):
        sink.process(frames(first, 4))
        sink.process(rows(first, 4))
    sink.flush()
    sink.close({**ACCOUNT, "produced": 40, "written": 40, "missing": []})


@pytest.mark.parametrize("access", ["plain", "swmr"])
def test_recover_mends_what_a_dead_writer_left(tmp_path: Path, access: str) -> None:
    path = tmp_path / "a.h5"
    file = KilledFile(path, 400, random.Random(3), parameters={"access": access})
    file.run(kill_after_told=5) if access == "swmr" else file.run(die_at=400)
    assert file.kills == 1
    result = CliRunner().invoke(cli, ["mdw", "recover", str(path)])
    assert result.exception is None, result.output
    assert "mended" in result.output
    assert "/entry/data/spectrum" in result.output
    safe = [n for first, count in file.safe for n in range(first, first + count)]
    with h5py.File(path) as h5:
        numbers = h5["entry/data/frame_number"][:]
        assert set(safe) <= set(numbers.tolist())
        assert h5["entry/mdw/written"][()] == len(numbers)
        np.testing.assert_array_equal(h5["entry/data/frames"][:, 0, 0], numbers)
    assert not any(journal.exists() for journal in name_journals(path))
    assert not any(checked.bad for checked in verify_file(path))
    assert not recover_file(path).mended


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_verify_names_the_block_that_changed(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.h5"
    make_file(path, compression=compression)
    good = CliRunner().invoke(cli, ["mdw", "verify", str(path)])
    assert "bad" not in good.output
    with h5py.File(path) as file:
        chunk = file["entry/data/frames"].id.get_chunk_info_by_coord((17, 0, 0))
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size - 1)
        byte = raw.read(1)[0]
        raw.seek(-1, 1)
        raw.write(bytes([byte ^ 1]))
    checked = {c.path: c for c in verify_file(path)}
    assert checked["/entry/data/frames"].bad == ((17, 17),)
    assert checked["/entry/data/frames"].numbers == ((17, 17),)
    assert not checked["/entry/data/sums"].bad
    result = CliRunner().invoke(cli, ["mdw", "verify", str(path)], standalone_mode=False)
    assert result.return_value == 1
    assert "rows 17; frames 17" in result.output


def test_verify_finds_a_changed_row(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    make_file(path)
    with h5py.File(path, "r+") as file:
        file["entry/data/sums"][5, 0] += 1
    assert [c.path for c in verify_file(path) if c.bad] == ["/entry/data/sums"]


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    sink = open_sink(path)
    with pytest.raises(DataError, match="another program writes it"):
        recover_file(path)
    sink.discard()
    assert not list(tmp_path.iterdir())


def test_what_is_no_raw_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(DataError, match="not there"):
        recover_file(path)
    with h5py.File(path, "w") as file:
        file["a"] = 1
    before = path.read_bytes()
    with pytest.raises(DataError, match="holds nothing"):
        recover_file(path)
    with pytest.raises(DataError, match="no checksums"):
        list(verify_file(path))
    path.write_text("no HDF5 at all")
    with pytest.raises(DataError, match="cannot be opened"):
        recover_file(path)
    assert [item.name for item in tmp_path.iterdir()] == ["a.h5"]
    assert len(before) > 0


@pytest.mark.parametrize("kept", [0, 12, 24, 36, 48])
def test_who_dies_in_mending_a_superblock_leaves_it_to_be_mended(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.h5"
    killed = KilledFile(path, 400, random.Random(3), parameters={"access": "swmr"})
    killed.run(kill_after_told=30)
    before = path.read_bytes()[:48]
    assert mend_superblock(path)
    after = path.read_bytes()[:48]
    with path.open("r+b") as file:
        file.write(after[:kept] + before[kept:])
    held = {n for first, count in recover_file(path).numbers for n in range(first, first + count)}
    safe = {n for first, count in killed.safe for n in range(first, first + count)}
    assert safe
    assert safe <= held
    assert not mend_superblock(path)


def test_what_a_dead_writer_has_committed_is_held_whoever_was_told(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.h5")
    sink.process(frames(0, 4))
    sink.process(frames(8, 4))
    sink.flush()  # the writer dies before anybody hears of it
    sink.process(frames(4, 4))
    sink._writeback.close()
    sink._file.abandon()
    assert find_held(tmp_path / "a.h5") == [(0, 4), (8, 4)]
