"""Rows of one group of the raw file: which frame number stands in which row, and what of it has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.ledger import RangeSet
from mamba.data_worker.nodes import Item, Rows
from mamba.data_worker.sinks.columns import Column
from mamba.data_worker.sinks.early import EarlyRows
from mamba.data_worker.sinks.frames import Frames
from mamba.data_worker.sinks.layout import NUMBER, GroupLayout
from mamba.data_worker.sinks.parts import PartedFrames

Images = Frames | PartedFrames
"""The frames of a flow, in the raw file or in files of their own."""

_FIRST_NUMBERS = 4096


class GroupRows:
    """The rows of a group; the first flow with frames that brings a number gives it the next free row.

    Args:
        file: the file, with the group's datasets.
        layout: of the group.
        images: its datasets with frames, by flow.
        early: where rows wait whose frame has not come.

    Attributes:
        count: rows that have a number.
        fresh: numbers of the leader's rows that came since the last `flush`.
    """

    def __init__(self, file: h5py.File, layout: GroupLayout, images: Mapping[str, Images], early: EarlyRows) -> None:
        self.layout, self._images, self._early = layout, images, early
        group = file[layout.path]
        self._columns = {
            flow: Column(group[name], file[layout.checksums(name)]) for flow, name in layout.columns.items()
        }
        self._numbers = Column(group[NUMBER], file[layout.checksums(NUMBER)])
        kept = group[NUMBER][:] // layout.every
        self.count = len(kept)
        self._rows = np.full(max(_FIRST_NUMBERS, int(kept.max(initial=-1)) + 1), -1, dtype=np.int64)  # number → row
        self._rows[kept] = np.arange(self.count)
        self.fresh = RangeSet.of(kept)

    def find_file(self, flow: str) -> int | None:
        """Descriptor of the file that a flow's frames go to, if it is not the raw file."""
        return self._images[flow].fd if flow in self._images else None

    def take(self, item: Item) -> None:
        """Write what came.

        Raises:
            OSError: no room.
        """
        if item.source in self._images or not self._images:
            self._take_first(item)
        else:
            self._take_rows(item)

    def _take_first(self, item: Item) -> None:
        rows = self._give_rows(item.first, item.count)
        if item.source not in self._images:
            self._put(item.source, rows, item.data)
        else:
            try:
                numbers = np.arange(item.first, item.last + 1) * self.layout.every
                self._images[item.source].write(rows, numbers, item.data)
            except OSError:
                self._take_back(item, rows)
                raise
        if item.source == self.layout.leader:
            self.fresh.add(item.first, item.count)
        for flow in self._columns if self._images else ():
            for first, data in self._early.take(flow, item.first, item.count):
                self._put(flow, self._rows[first : first + len(data)], data)

    def _take_back(self, item: Item, rows: NDArray[np.int64]) -> None:
        """No room for all of it: rows without a frame are nobody's again."""
        kept = np.any([images.holds(rows) for images in self._images.values()], axis=0)
        for at in np.flatnonzero(kept) if item.source == self.layout.leader else ():
            self.fresh.add(item.first + int(at), 1)
        self.count -= int(np.count_nonzero(~kept))
        rows[~kept] = -1

    def _take_rows(self, item: Item) -> None:
        self._make_room(item.last + 1)
        rows = self._rows[item.first : item.last + 1]
        known = rows >= 0
        if known.all():
            self._put(item.source, rows, item.data)
            return
        if known.any():
            self._put(item.source, rows[known], item.data[known])
        for first, end in _runs(~known):
            self._early.add(item.source, item.first + first, item.data[first:end])

    def _put(self, flow: str, rows: NDArray[np.int64], data: Rows) -> None:
        column = self._columns[flow]
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1 if len(rows) > 1 else ()
        for first, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            column.put(int(rows[first]), data[first:end])

    def _make_room(self, numbers: int) -> None:
        if numbers > len(self._rows):
            more = max(numbers - len(self._rows), len(self._rows))
            self._rows = np.concatenate([self._rows, np.full(more, -1, dtype=np.int64)])

    def _give_rows(self, first: int, count: int) -> NDArray[np.int64]:
        self._make_room(first + count)
        rows = self._rows[first : first + count]  # a view: what is given out is noted at once
        new = np.flatnonzero(rows < 0)
        if new.size:
            self._numbers.put(self.count, (first + new) * self.layout.every)
            rows[new] = np.arange(self.count, self.count + new.size)
            self.count += new.size
        return rows

    def flush(self) -> RangeSet:
        """Hand everything to HDF5; returns the leader's new numbers, which are safe after the file's commit."""
        for images in self._images.values():
            images.flush(self.count)
        for column in self._columns.values():
            column.flush(self.count)
        self._numbers.flush(self.count)
        fresh, self.fresh = self.fresh, RangeSet()
        return fresh


def _runs(chosen: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Ranges (first, end) in which `chosen` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
