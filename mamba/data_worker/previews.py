"""The newest pictures of `preview` nodes, kept in the console; a notice says that there is one, and who wants it asks.

Pictures do not travel in notices: a subscriber that has stopped reading would have the host keep them by the thousand.

============  ==========================================================================================================
mdw/preview   `device, arm, node, number, shape, dtype, step, time`: frame `number` can be had from `graph/preview`
mdw/document  `node, name, doc`: a bluesky document of what a `documents` node gets
============  ==========================================================================================================
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mamba.data_worker.console_link import Head, Take
from mamba.errors import DataError, find_nearest
from mamba.wire.notices import publish


@dataclass(frozen=True)
class Preview:
    """One picture.

    Attributes:
        node: who made it.
        device: the detector.
        arm: of the detector.
        number: of the frame.
        image: small, of the frame's type.
        shape: of the frame.
        step: how many rows and columns of the frame are one pixel of the image.
        time: when its block was made, seconds since 1970.
    """

    node: str
    device: str
    arm: int
    number: int
    image: NDArray[Any]
    shape: tuple[int, ...]
    step: tuple[int, ...]
    time: float


class Previews:
    """The newest picture of each node, across arms."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Preview] = {}
        self._lock = threading.Lock()

    def takers(self) -> dict[str, Take]:
        """For a `ConsoleReceiver`."""
        return {"preview": self._take}

    def _take(self, head: Head, image: NDArray[Any] | None) -> None:
        assert image is not None
        fields = {key: head[key] for key in ("node", "device", "arm", "number", "time")}
        fields |= {"shape": tuple(head["full_shape"]), "step": tuple(head["step"])}
        with self._lock:
            self._newest[head["device"], head["node"]] = Preview(image=image, **fields)
        publish("mdw/preview", **fields, dtype=image.dtype.name)

    def find(self, node: str = "", device: str = "") -> Preview:
        """The newest picture of a node, of any detector unless one is named; without a node the newest of all.

        Raises:
            DataError: there is none; names those that are there.
        """
        with self._lock:
            known = list(self._newest.values())
        fitting = [each for each in known if node in ("", each.node) and device in ("", each.device)]
        if not fitting:
            raise DataError(
                f"preview of node {node!r}{f' of {device}' if device else ''}: there is none",
                seen=f"pictures of: {', '.join(sorted({each.node for each in known})) or 'no node'}",
                remedy=find_nearest(node, sorted({each.node for each in known}))
                if known and node
                else "start the detector",
            )
        return max(fitting, key=lambda each: each.time)


def publish_document(head: Head, _: NDArray[Any] | None) -> None:
    """Takes the messages of `documents` nodes."""
    publish("mdw/document", node=head["node"], name=head["name"], doc=head["doc"])
