"""Rows that came before their frame did. They are given back with the next flush, so they are kept safe as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Found = tuple[str, int, NDArray[Any]]
"""Flow, number of the first row, rows."""


class EarlyRows:
    """Rows by flow and number until they are taken."""

    def __init__(self) -> None:
        self._blocks: dict[str, dict[int, NDArray[Any]]] = {}

    def add(self, flow: str, first: int, rows: NDArray[Any]) -> None:
        """Keep a copy; the same rows may come again, also cut differently."""
        blocks = self._blocks.setdefault(flow, {})
        if first not in blocks or len(blocks[first]) < len(rows):
            blocks[first] = np.array(rows)

    def take(self, flow: str, first: int, count: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Give out, once, what belongs to the numbers `first` to `first + count - 1`."""
        blocks = self._blocks.get(flow)
        if not blocks:
            return
        for start in [s for s, rows in blocks.items() if s < first + count and s + len(rows) > first]:
            rows = blocks.pop(start)
            low, high = max(first, start), min(first + count, start + len(rows))
            if low > start:
                blocks[start] = rows[: low - start]
            if high < start + len(rows):
                blocks[high] = rows[high - start :]
            yield low, rows[low - start : high - start]

    def dump(self) -> bytes:
        """As bytes, for a commit's note; b"" when nothing waits."""
        found = [(flow, first, rows) for flow, blocks in self._blocks.items() for first, rows in blocks.items()]
        if not found:
            return b""
        head = [[flow, first, rows.dtype.str, rows.shape] for flow, first, rows in found]
        return b"\n".join([json.dumps(head).encode(), b"".join(rows.tobytes() for _, _, rows in found)])

    def load(self, note: bytes) -> None:
        """Go on with what `dump` gave."""
        if not note:
            return
        head, _, body = note.partition(b"\n")
        at = 0
        for flow, first, kind, shape in json.loads(head):
            count = int(np.prod(shape, dtype=np.int64))
            self.add(flow, first, np.frombuffer(body, dtype=kind, count=count, offset=at).reshape(shape))
            at += count * np.dtype(kind).itemsize
