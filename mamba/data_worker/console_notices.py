"""Previews and documents from a graph become notices, for windows and for anybody who follows the session.

============  ==========================================================================================================
mdw/preview   `device, arm, node, number, image, shape, step, time`: `image` (an ndarray) is frame `number` of shape
              `shape`, every `step` = [rows, columns] pixels of it one
mdw/document  `node, name, doc`: a bluesky document of what a `documents` node gets
============  ==========================================================================================================
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mamba.data_worker.console_link import Head, Take
from mamba.wire.notices import publish


def notice_takers() -> dict[str, Take]:
    """For a `ConsoleReceiver`."""
    return {"preview": _publish_preview, "document": _publish_document}


def _publish_preview(head: Head, image: NDArray[Any] | None) -> None:
    fields = {key: value for key, value in head.items() if key not in ("dtype", "shape", "full_shape")}
    publish("mdw/preview", image=image, shape=head["full_shape"], **fields)


def _publish_document(head: Head, _: NDArray[Any] | None) -> None:
    publish("mdw/document", node=head["node"], name=head["name"], doc=head["doc"])
