"""One file that shows what several writers wrote, each in a file of its own, in the order of frame numbers.

Frames are one virtual dataset; rows, which are small, and frame numbers are copied. The file is made at the end, beside
the others, and gets its name when it is whole: who finds it finds all of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.ledger import Account, DatasetInfo, RangeSet
from mamba.data_worker.sinks.account import MDW, describe_datasets, write_account
from mamba.data_worker.sinks.columns import Column, create_column
from mamba.data_worker.sinks.commits import remove_journals
from mamba.data_worker.sinks.container import Container, explain_unopened
from mamba.data_worker.sinks.definitions import write_definition
from mamba.data_worker.sinks.facts import make_class
from mamba.data_worker.sinks.layout import NUMBER, GroupLayout, dump_layout, load_layout
from mamba.data_worker.sinks.parts import choose_fill, escape_source
from mamba.errors import DataError

_WINDOW_BYTES = 8 << 20
_Sources = list[tuple[Path, h5py.File]]


class Runs(NamedTuple):
    """Rows of one file in the other: `repeats` runs of `length` rows, the first to row `first`, each `step` further on.

    They are rows `row` to `row + repeats * length` of the file they come from.
    """

    row: int
    first: int
    step: int
    repeats: int
    length: int


def find_runs(places: NDArray[np.int64]) -> Iterator[Runs]:
    """Where the rows of a file go, `places[row]`, in as few words as HDF5 has for it."""
    if not len(places):
        return
    rows = np.concatenate([[0], np.flatnonzero(np.diff(places) != 1) + 1, [len(places)]])
    lengths, firsts = np.diff(rows), places[rows[:-1]]
    at = 0
    while at < len(firsts):
        end, step = at + 1, int(lengths[at])
        if end < len(firsts) and firsts[end] - firsts[at] > step:
            step = int(firsts[end] - firsts[at])
            while end < len(firsts) and lengths[end] == lengths[at] and firsts[end] - firsts[end - 1] == step:
                end += 1
        yield Runs(int(rows[at]), int(firsts[at]), step, end - at, int(lengths[at]))
        at = end


def join_files(path: Path, parts: list[Path], account: Account | None = None) -> dict[str, DatasetInfo]:
    """Make the file that shows what is in `parts`, which are closed.

    Args:
        path: the file; must not exist.
        parts: the writers' files.
        account: of all together; without it, it says that every number up to the highest existed.

    Raises:
        DataError: it exists or cannot be made; a part cannot be opened.
    """
    new = path.with_name(f".{path.name}.new")  # what a process left there that died in this
    _remove(new)
    with ExitStack() as stack:
        sources = [(part, stack.enter_context(_open_part(part))) for part in parts]
        container = Container(new, new=True)
        try:
            _make(container.h5, sources, account)
            kept = describe_datasets(container.h5, path)
            container.close()
            os.link(new, path)
        except FileExistsError:
            raise DataError(f"{path}: exists", remedy="give another name; files are never overwritten") from None
        except (OSError, RuntimeError) as error:
            raise explain_unopened(path, error, new=True) from None
        finally:
            container.abandon()
            _remove(new)
    return kept


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    remove_journals(file)


def _open_part(part: Path) -> h5py.File:
    try:
        file = h5py.File(part, "r", locking=False)
    except OSError as error:
        raise _explain_part(part, str(error)) from None
    if f"{MDW}/reason" not in file:
        file.close()
        raise _explain_part(part, "its writer did not close it")
    return file


def _explain_part(part: Path, seen: str) -> DataError:
    joint = part.with_name(re.sub(r"_writer\d+$", "", part.stem) + part.suffix)
    return DataError(f"{part}: cannot be joined", seen=seen, remedy=f"mambactl mdw recover {joint}")


def _make(file: h5py.File, sources: _Sources, account: Account | None) -> None:
    first = sources[0][1]
    layouts = load_layout(first[f"{MDW}/layout"].asstr()[()])
    shown: dict[int, h5py.Dataset] = {}
    for layout in layouts:
        _show_group(file, layout, sources, shown)
    _copy(first, file, shown)
    mdw = file[MDW]
    mdw["checksums"].attrs.update(first[f"{MDW}/checksums"].attrs)
    del mdw["layout"]
    mdw["layout"] = dump_layout([replace(each, split=dict.fromkeys(each.images, 0)) for each in layouts])
    mdw.pop("parts", None)
    mdw.create_dataset("parts", data=[part.name for part, _ in sources], dtype=h5py.string_dtype())
    write_account(file, account or guess_account(file[f"{layouts[0].path}/{NUMBER}"][:], layouts[0].every))
    _join_missing_rows(mdw["missing_rows"], [source for _, source in sources])
    write_definition(file)


def guess_account(numbers: NDArray[np.int64], every: int) -> Account:
    """The account of a file whose ledger nobody has any more: every number up to the highest existed."""
    held = RangeSet.of(numbers, every)
    return {
        "produced": held.end,
        "written": len(held),
        "missing": [[first, end - 1, "file", "not in the file"] for first, end in held.gaps(0, held.end)],
        "duplicates": 0,
        "reason": "recovered: its writer died",
    }


def _show_group(file: h5py.File, layout: GroupLayout, sources: _Sources, shown: dict[int, h5py.Dataset]) -> None:
    group = make_class(file, layout.path, "NXdata")
    first = sources[0][1][layout.path]
    numbers = [source[f"{layout.path}/{NUMBER}"][:] for _, source in sources]
    together = np.concatenate(numbers)
    places = np.empty(len(together), dtype=np.int64)
    places[np.argsort(together, kind="stable")] = np.arange(len(together))
    places_of = np.split(places, np.cumsum([len(each) for each in numbers])[:-1])
    for name in layout.images.values():
        shown[_address(first[name])] = _show_frames(group, name, sources, places_of)
    for name in (NUMBER, *layout.columns.values()):
        shown[_address(first[name])] = _copy_rows(group, name, layout, sources, places_of)


def _show_frames(group: h5py.Group, name: str, sources: _Sources, places_of: list[NDArray[np.int64]]) -> h5py.Dataset:
    old = sources[0][1][group.name][name]
    layout = h5py.VirtualLayout((sum(map(len, places_of)), *old.shape[1:]), old.dtype)
    for (part, _), places in zip(sources, places_of, strict=True):
        whole = (len(places), *old.shape[1:])
        for runs in find_runs(places):
            source = h5py.VirtualSource(escape_source(part.name), escape_source(old.name), whole)
            there = h5py.MultiBlockSlice(runs.first, runs.step, runs.repeats, runs.length)
            layout[there] = source[runs.row : runs.row + runs.repeats * runs.length]
    made = group.create_virtual_dataset(name, layout, fillvalue=choose_fill(old.dtype))
    made.attrs.update(old.attrs)
    return made


def _copy_rows(
    group: h5py.Group, name: str, layout: GroupLayout, sources: _Sources, places_of: list[NDArray[np.int64]]
) -> h5py.Dataset:
    """A window at a time, since a spectrum for each of many frames need not fit into memory."""
    old = sources[0][1][group.name][name]
    made = create_column(group, name, old.dtype, old.shape[1:], fill=old.fillvalue)
    made.attrs.update(old.attrs)
    sums = layout.checksums(name)
    parent, _, leaf = sums.rpartition("/")
    column = Column(made, create_column(make_class(group.file, parent, "NXcollection"), leaf, np.uint64, (), fill=0))
    count, step = sum(map(len, places_of)), max(1, _WINDOW_BYTES // max(1, old.dtype.itemsize * old[:1].size))
    for begin in range(0, count, step):
        end = min(count, begin + step)
        rows = np.empty((end - begin, *old.shape[1:]), old.dtype)
        for (_, source), places in zip(sources, places_of, strict=True):
            _fill_window(rows, source[group.name][name], places, begin)
        column.put(begin, rows)
        column.flush(end)
    return made


def _fill_window(rows: NDArray[Any], source: h5py.Dataset, places: NDArray[np.int64], begin: int) -> None:
    inside = np.flatnonzero((places >= begin) & (places < begin + len(rows)))
    if len(inside):  # about consecutive: writers take their frames in order, but for what came again
        low, high = int(inside[0]), int(inside[-1]) + 1
        rows[places[inside] - begin] = source[low:high][inside - low]


def _copy(source: h5py.Group, made: h5py.Group, shown: dict[int, h5py.Dataset]) -> None:
    """Everything else, from the first file; links to what is shown become links again."""
    made.attrs.update(source.attrs)
    for name, item in source.items():
        if item.name == f"/{MDW}/checksums" or (name in made and isinstance(item, h5py.Dataset)):
            continue
        if isinstance(item, h5py.Group):
            _copy(item, made.require_group(name), shown)
        elif _address(item) in shown:
            made[name] = shown[_address(item)]
        else:
            source.copy(item, made, name)


def _address(item: h5py.Dataset) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _join_missing_rows(gone: h5py.Group, sources: list[h5py.File]) -> None:
    tables = [source[f"{MDW}/missing_rows"] for source in sources]
    for name in sorted({name for table in tables for name in table}):
        gone[name] = np.sort(np.concatenate([table[name][:] for table in tables if name in table]))
