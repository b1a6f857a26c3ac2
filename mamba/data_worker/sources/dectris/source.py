"""Source: the stream of a DECTRIS detector (EIGER2, PILATUS4, SELUN … with the SIMPLON API), version 1 or 2.

The detector pushes; this node pulls, checks series and image numbers, unpacks in threads, and fills the graph's ring.
Which version it speaks is seen at each message. *Series*: what the detector calls an arm.

An image that the network, a full queue or another puller took is a gap in the numbers: not sent. Images that were
announced and had not come when the series ended are not sent either: the end says no number of its own.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import zmq
from pydantic import Field

from mamba.data_worker.frame import End
from mamba.data_worker.nodes import Flow, Job, NodeParameters, Rows, Source
from mamba.data_worker.ring import LARGEST_SLOT_BYTES
from mamba.data_worker.sources.connection import Connection, Part
from mamba.data_worker.sources.decompression import decompress
from mamba.data_worker.sources.dectris.messages import Image, Malformed, Message, Packed, SeriesEnd, SeriesStart
from mamba.data_worker.sources.dectris.stream_v1 import read_parts
from mamba.data_worker.sources.dectris.stream_v2 import read_map
from mamba.errors import StreamBroken

_QUEUE_MESSAGES = 256

log = logging.getLogger(__name__)


class DectrisParameters(NodeParameters):
    """Where the detector is and what it will send; checked against what it says when it is armed."""

    endpoint: str = Field(
        pattern=r"^(tcp|ipc)://\S+$",
        description="the detector's stream: tcp://ADDRESS:9999 for version 1, tcp://ADDRESS:31001 for version 2",
    )
    height: int = Field(ge=1, le=65536, json_schema_extra={"units": "pixels"}, description="image_size_y")
    width: int = Field(ge=1, le=65536, json_schema_extra={"units": "pixels"}, description="image_size_x")
    dtype: Literal["uint8", "uint16", "uint32"] = Field("uint32", description="pixel type")
    channels: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="thresholds to take, version 2 only; several come as (channels, height, width)",
    )
    series: int = Field(0, ge=0, description="number of the series to take; 0: the next one that begins")
    threads: int = Field(2, ge=1, le=64, description="threads that unpack")
    connect_s: float = Field(5.0, gt=0, le=300, json_schema_extra={"units": "s"}, description="wait for the detector")


class DectrisSource(Source):
    """The images of a DECTRIS detector's stream, version 1 or 2, numbered as it numbers them.

    Measured on two cores that the sender shares, version 2, 1024² uint16 of Poisson noise: bslz4 900 images/s with two
    threads, 650 with one (1.4 ms of CPU each); raw 310; lz4 in blocks of 8 KiB 290.
    """

    takes = DectrisParameters

    @property
    def settings(self) -> DectrisParameters:
        """The parameters."""
        assert isinstance(self.parameters, DectrisParameters)
        return self.parameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """Images of the type that was set; several channels come stacked, in the order of `channels`."""
        wanted = self.settings
        shape: tuple[int, ...] = (wanted.height, wanted.width)
        if len(wanted.channels) > 1:
            shape = (len(wanted.channels), *shape)
        flow = Flow(shape, wanted.dtype, units="counts")
        return Flow(shape, wanted.dtype, max(1, LARGEST_SLOT_BYTES // flow.row_bytes), units="counts")

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Connect to the detector.

        Raises:
            StreamBroken: nobody is there.
        """
        self._job, self._arm = job, job.arm
        self._start: SeriesStart | None = None
        self._next = 0
        self._pending: Image | SeriesEnd | None = None
        self._skipped = 0
        self._connection = Connection(
            self.name,
            self.settings.endpoint,
            zmq.PULL,
            queue_messages=_QUEUE_MESSAGES,
            timeout_s=self.settings.connect_s,
            patience_s=self.settings.connect_s,  # its stream may begin anew while it is set up
        )
        self._pool = ThreadPoolExecutor(self.settings.threads, thread_name_prefix=f"{self.name} unpacks")

    def fill(self, out: Rows, timeout_s: float) -> tuple[int, int] | End | None:
        """Unpack the images that are there, as far as their numbers follow each other.

        Raises:
            StreamBroken: a message that does not follow the documentation, another series, images of another kind than
                set, or a detector that is gone.
        """
        images: list[Image] = []
        while len(images) < len(out):
            message = self._take(None if images else timeout_s)
            if isinstance(message, Image) and (not images or message.number == images[-1].number + 1):
                images.append(message)
                continue
            self._pending = message
            break
        if images:
            self._unpack(images, out)
            return images[0].number, len(images)
        if isinstance(self._pending, SeriesEnd):
            assert self._start is not None
            return End(self._arm, max(self._start.images, self._next))
        return None

    def _take(self, timeout_s: float | None) -> Image | SeriesEnd | None:
        """The next message of our series, without a time-out only one that is here already.

        What an older series left in the detector's queue is passed over.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return pending
        deadline = time.monotonic() + (timeout_s or 0.0)
        receive = self._connection.receive
        more = self._connection.receive_more
        while (parts := more() if timeout_s is None else receive(max(0.0, deadline - time.monotonic()))) is not None:
            message = self._read(parts)
            if isinstance(message, SeriesStart):
                self._begin(message)
            elif self._is_ours(message):
                self._check(message)
                return message
            else:
                self._skipped += 1
        return None

    def _is_ours(self, message: Image | SeriesEnd) -> bool:
        if self._start is None and self._job.resume and self.settings.series in (0, message.series):
            # the actor before this one had the start message, and what it pulled last is lost
            self._start = SeriesStart(message.series, self._job.frames)
            self._connection.patience_s = 0.0
        return self._start is not None

    def _read(self, parts: list[Part]) -> Message:
        try:
            # every CBOR message is a map, whose first byte no JSON text begins with
            return read_map(parts[0]) if len(parts) == 1 and bytes(parts[0][:1]) != b"{" else read_parts(parts)
        except Malformed as error:
            raise self._refuse("a message that cannot be read", str(error)) from None

    def _refuse(self, what: str, seen: str, remedy: str = "") -> StreamBroken:
        return StreamBroken(
            f"node {self.name!r}: {self.settings.endpoint} sent {what}",
            seen=seen,
            remedy=remedy
            or "check that this is a DECTRIS stream of version 1 or 2; disarm the detector, and arm it again",
        )

    def _begin(self, start: SeriesStart) -> None:
        wanted = self.settings
        if wanted.series and start.series < wanted.series:
            self._start = None
            return
        if self._start is not None or start.series > wanted.series > 0:
            self._refuse_series(start.series)
        self._start = start
        self._connection.patience_s = 0.0
        if self._skipped:
            log.warning("node %s: passed over %d messages of an older series", self.name, self._skipped)
        for name, said, set_ in (
            ("shape", start.shape, (wanted.height, wanted.width)),
            ("dtype", start.dtype, wanted.dtype),
        ):
            if said and said != set_:
                raise self._refuse(
                    f"series {start.series} with {name} {said}", f"{set_} is set", "set height, width and dtype to it"
                )
        missing = [name for name in wanted.channels if name not in start.channels]
        if missing:
            known = ", ".join(start.channels) or "none (version 1 has no names)"
            raise self._refuse(
                f"series {start.series} without channel {missing[0]!r}",
                f"channels: {known}",
                "mend channels of the node",
            )

    def _refuse_series(self, series: int) -> None:
        expected = self._start.series if self._start is not None else self.settings.series
        raise self._refuse(
            f"series {series} instead of {expected}",
            f"image {self._next} of series {expected} was expected",
            "the detector was armed anew meanwhile; arm both again",
        )

    def _check(self, message: Image | SeriesEnd) -> None:
        assert self._start is not None
        if message.series != self._start.series:
            self._refuse_series(message.series)
        if isinstance(message, Image):
            if message.number < self._next:
                raise self._refuse(
                    f"image {message.number} after image {self._next - 1}", "image numbers of a series only grow"
                )
            self._next = message.number + 1

    def _unpack(self, images: list[Image], out: Rows) -> None:
        jobs = []
        for row, image in enumerate(images):
            packed = self._choose(image)
            for at, one in enumerate(packed):
                target = out[row] if len(packed) == 1 else out[row, at]
                jobs.append(self._pool.submit(self._unpack_one, image.number, one, target))
        for job in jobs:
            job.result()

    def _choose(self, image: Image) -> list[Packed]:
        wanted = self.settings.channels or tuple(image.channels)[:1]
        missing = [name for name in wanted if name not in image.channels]
        if missing:
            raise self._refuse(f"image {image.number} without channel {missing[0]!r}", ", ".join(image.channels))
        return [image.channels[name] for name in wanted]

    def _unpack_one(self, number: int, packed: Packed, target: Rows) -> None:
        dtype = np.dtype(packed.dtype)
        if packed.shape != target.shape or dtype.newbyteorder("=") != target.dtype:
            raise self._refuse(
                f"image {number} of {packed.shape} {dtype.name}",
                f"{target.shape} {target.dtype.name} is set",
                "set height, width and dtype to it",
            )
        swapped = dtype != target.dtype
        try:
            decompress(packed.data, packed.encoding, target, element_bytes=packed.element_bytes)
        except ValueError as error:
            raise self._refuse(f"image {number}, which cannot be unpacked", f"{packed.encoding}: {error}") from None
        if swapped:
            target.byteswap(inplace=True)

    def stop(self) -> None:
        """Leave the detector."""
        connection: Any = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()
            self._pool.shutdown()
