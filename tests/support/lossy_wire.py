"""What a bad wire makes of a detector's blocks: some are lost, some come twice, some come late."""

from __future__ import annotations

import random
from dataclasses import dataclass

Piece = tuple[int, int]
"""Consecutive frames: the first one's number, and how many."""


@dataclass(frozen=True)
class Wire:
    """Chances per block; the order is that of `seed`.

    Attributes:
        loss, again, late: the chance that a block is lost, comes a second time, or is overtaken by others.
        by: at most so many blocks overtake one, or lie between it and its second coming.
    """

    seed: int
    loss: float = 0.01
    again: float = 0.01
    late: float = 0.05
    by: int = 20

    def carry(self, frames: int, block_frames: int) -> tuple[list[Piece], list[Piece], list[Piece]]:
        """What arrives, in this order; which of it came before; and what was lost."""
        rng = random.Random(self.seed)
        arrivals: list[tuple[int, int, Piece]] = []  # when, which at that time, what
        lost, repeated = [], []
        number = at = 0
        while number < frames:
            piece = (number, min(rng.randint(1, block_frames), frames - number))
            number, at = number + piece[1], at + 1
            if rng.random() < self.loss:
                lost.append(piece)
                continue
            arrivals.append((at + (rng.randint(1, self.by) if rng.random() < self.late else 0), len(arrivals), piece))
            if rng.random() < self.again:
                arrivals.append((at + rng.randint(1, self.by), len(arrivals), piece))
                repeated.append(piece)
        return [piece for _, _, piece in sorted(arrivals)], repeated, lost
