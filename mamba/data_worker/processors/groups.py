"""What nodes share that make one array of n frame numbers: where a group ends, and what a gap does to it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mamba.data_worker.nodes import Item, Node, Numbered


def count_block(block_frames: int, n: int) -> int:
    """Most groups that one call gives: with a gap those of two items, and one that ends at it."""
    return 2 * (block_frames // n + 1) + 1


class GroupNode(Node):
    """Group i is of frames n·i to n·i + n − 1; it ends with the last of them, at a frame beyond it, or with the flow.

    Frames that come again count once.
    """

    remembers = True

    def start_groups(self, n: int) -> None:
        """Begin anew, with groups of n."""
        self._n, self._group, self._count, self._next = n, -1, 0, 0
        self._done: list[tuple[int, NDArray[Any]]] = []

    @abstractmethod
    def add(self, item: Item, part: slice, *, begins: bool) -> None:
        """Take these rows of an item into the group at hand, which begins with them or goes on."""

    @abstractmethod
    def give(self, count: int) -> NDArray[Any] | None:
        """The array of the group at hand, in which `count` frames came; None leaves it out."""

    def process(self, item: Item) -> Numbered | None:
        """Groups that are complete, or will not be because of a gap."""
        number = max(item.first, self._next)
        while number <= item.last:
            group = number // self._n
            if group != self._group:
                self._close()
                self._group = group
            stop = min((group + 1) * self._n, item.last + 1)
            self.add(item, slice(number - item.first, stop - item.first), begins=self._count == 0)
            self._count += stop - number
            if self._count == self._n:
                self._close()
            number = stop
        self._next = max(self._next, item.last + 1)
        return self._take()

    def _close(self) -> None:
        count, self._count = self._count, 0
        array = self.give(count) if count else None
        if array is not None:
            self._done.append((self._group, array))

    def _take(self) -> Numbered | None:
        """Groups up to a gap; what is behind it follows with the next item, or at the end."""
        if not self._done:
            return None
        first = self._done[0][0]
        run = [array for at, (group, array) in enumerate(self._done) if group == first + at]
        del self._done[: len(run)]
        return Numbered(first, np.stack(run))

    def end(self) -> Numbered | None:
        """The last group, when frames are missing at its end."""
        self._close()
        return self._take()
