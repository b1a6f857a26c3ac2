"""Sink: the raw HDF5 file of one arm.

Frames go straight from the ring to the file, one chunk each. What `flush` calls safe was committed: it survives a kill
of any process at any moment, and with `survives: power` a power failure. Layout::

    /entry                NXentry
      data                NXdata: frames (n, height, width), frame_number (n), one dataset per further flow
      every_10            NXdata: flows with one array per ten frames, numbered by the first of the ten
      mdw                 NXcollection: the ledger, the graph, what the run said about itself, checksums

Row i of every dataset of a group belongs to frame_number[i]. Rows keep their type when it is a float; integers become
float64 (exact below 2⁵³), so that NaN can mark a row that never came.
"""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mamba.data_worker.ledger import DatasetInfo, RangeSet
from mamba.data_worker.nodes import Flow, Item, Job, NodeParameters, Sink
from mamba.data_worker.sinks.account import describe_datasets
from mamba.data_worker.sinks.container import Access, Container, explain_unopened, was_begun
from mamba.data_worker.sinks.definitions import Definition, check_fields, note_definition
from mamba.data_worker.sinks.early import EarlyRows
from mamba.data_worker.sinks.entry import EntryPlan, make_entry
from mamba.data_worker.sinks.frames import Compression, Frames, Packer
from mamba.data_worker.sinks.layout import FRAMES, NUMBER, GroupLayout, lay_out
from mamba.data_worker.sinks.parts import PartedFrames, list_parts
from mamba.data_worker.sinks.paths import resolve_path
from mamba.data_worker.sinks.recovery import finish_file, trim_groups, write_end
from mamba.data_worker.sinks.rows import GroupRows, Images
from mamba.data_worker.sinks.writeback import Writeback
from mamba.errors import DataError, DiskFull, GraphInvalid

_RESERVED = (FRAMES, NUMBER, "mdw")
_GROUPS = ("command", "data", "instrument", "monitor", "reduction", "sample", "user")
"""Of an entry; a spectrum with its axis has a group of its own beside them."""
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_PATIENCE_S = 5.0
"""A writer that was killed may take so long to be gone."""


class Hdf5Parameters(NodeParameters):
    """How the file is written."""

    spare_mib: int = Field(
        16, ge=1, description="free space left for the file's own bookkeeping", json_schema_extra={"units": "MiB"}
    )
    path: str = Field(
        "",
        description="template of its path below the data folder, such as {proposal}/{sample}/{device}_{scan:05d}",
    )
    access: Access = Field(
        "plain", description="plain: any HDF5 opens it, also after a kill; swmr: others may read while it is written"
    )
    compression: Compression = Field("none", description="none: frames as they are; bslz4: bitshuffle and LZ4")
    threads: int = Field(2, ge=1, le=64, description="threads that pack frames")
    frames_per_file: int = Field(
        0, ge=0, description="split frames into files of so many, such as one line of a scan; 0: all in one file"
    )
    gib_per_file: float = Field(
        0.0, ge=0, description="split frames into files of this size before packing; 0: no limit",
        json_schema_extra={"units": "GiB"},
    )  # fmt: skip
    writers: int = Field(
        1, ge=1, le=64,
        description="nodes that share what comes in, block by block; each has an actor and a file of its own",
    )  # fmt: skip
    definition: Definition = Field("NXdata", description="NeXus application definition that the file keeps")
    fields: dict[str, str | float | bool] = Field(
        {}, description="the definition's fields: the name of a flow, flow.column, or a value"
    )
    survives: Literal["kill", "power"] = Field(
        "kill",
        description="what acknowledged frames survive: a killed process, or a power failure (waits for the disk)",
    )


class Hdf5Sink(Sink):
    """Writes frames in the order they come; a frame that comes again is left out."""

    takes = Hdf5Parameters
    inputs = (1, 64)

    @property
    def settings(self) -> Hdf5Parameters:
        """Its parameters."""
        assert isinstance(self.parameters, Hdf5Parameters)
        return self.parameters

    @property
    def writers(self) -> int:
        """How many nodes it stands for."""
        return self.settings.writers

    def plan(self, inputs: dict[str, Flow]) -> None:
        """Any flows, with names that leave the file unambiguous."""
        for name, flow in inputs.items():
            if name in _RESERVED or name.startswith("every_") or (flow.axis is not None and name in _GROUPS):
                raise GraphInvalid(f"node {self.name!r}: the file has a dataset {name!r}", remedy="rename that node")
            if flow.axis is not None and flow.axis.name in (name, *_RESERVED):
                raise GraphInvalid(
                    f"node {self.name!r}: the axis of {name!r} is called {flow.axis.name!r}, too",
                    remedy="rename that node",
                )
        if self.settings.access == "swmr" and (self.settings.frames_per_file or self.settings.gib_per_file):
            raise GraphInvalid(
                f"node {self.name!r}: a split file is not read while it is written", remedy="access: plain"
            )
        if self.settings.access == "swmr" and self.settings.writers > 1:
            raise GraphInvalid(
                f"node {self.name!r}: what several writers share is not read while it is written",
                remedy="access: plain",
            )
        if self.settings.access == "swmr" and self.settings.survives == "power":
            raise GraphInvalid(
                f"node {self.name!r}: a file that others read meanwhile may not survive a power failure",
                remedy="access: plain",
            )
        check_fields(self.name, self.settings.definition, self.settings.fields, inputs)

    def locate(self, job: Job) -> Path:
        """The raw file of an arm.

        Raises:
            DataError: the template names what is not known.
        """
        return resolve_path(self.settings.path, job)

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Make the file, or go on with that of a killed writer.

        Raises:
            DataError: it exists, the folder does not take it, or it cannot be gone on with.
        """
        self.path = job.file
        self.files = (self.path,)
        if self.settings.path:
            _make_folder(self.path.parent)
        self._groups = lay_out(inputs, self._count_rows_per_file)
        going_on = job.resume and was_begun(self.path)
        if job.resume and not going_on:
            self.path.unlink(missing_ok=True)  # killed before it was made
        if not going_on:
            self._refuse_parts()
        settings = self.settings
        self._packer = Packer(self.name, settings.threads) if settings.compression == "bslz4" else None
        self._file = Container(
            self.path,
            new=not going_on,
            access=settings.access,
            power=settings.survives == "power",
            patience_s=_PATIENCE_S,
        )
        try:
            self._begin(job, inputs, going_on=going_on)
        except (OSError, RuntimeError) as error:
            self._file.abandon()
            if not going_on:
                self.path.unlink()
            raise explain_unopened(self.path, error, new=not going_on) from None
        self._writeback = Writeback(self._file.fd)

    def _begin(self, job: Job, inputs: dict[str, Flow], *, going_on: bool) -> None:
        self._early = EarlyRows()
        if going_on:
            trim_groups(self._file.h5, self._groups)
            self._early.load(self._file.note)
        else:
            make_entry(self._file.h5, EntryPlan(job, inputs, self._groups, self.settings.compression))
            note_definition(self._file.h5, self.settings.definition, self.settings.fields)
        self._file.share()
        self._open_rows(inputs)

    def _refuse_parts(self) -> None:
        for layout in self._groups:
            for flow in layout.split:
                for part in list_parts(self.path, layout.images[flow]):
                    raise DataError(f"{part}: exists", remedy="give another name; files are never overwritten")

    def _count_rows_per_file(self, flow: Flow) -> int:
        by_size = int(self.settings.gib_per_file * 2**30) // flow.row_bytes
        limits = [rows for rows in (by_size, self.settings.frames_per_file) if rows]
        return max(1, min(limits)) if limits else int(self.settings.gib_per_file > 0)

    def _open_rows(self, inputs: dict[str, Flow]) -> None:
        file = self._file.h5
        self._rows: dict[str, GroupRows] = {}
        self._images: list[Images] = []
        for layout in self._groups:
            images = {flow: self._open_images(layout, flow, inputs[flow]) for flow in layout.images}
            self._images += images.values()
            rows = GroupRows(file, layout, images, self._early)
            self._rows |= dict.fromkeys([*layout.images, *layout.columns], rows)
        self._unsafe = RangeSet()
        self._changed, self._committed = True, 0

    def _open_images(self, layout: GroupLayout, flow: str, form: Flow) -> Images:
        file, name, settings = self._file.h5, layout.images[flow], self.settings
        if flow not in layout.split:
            return Frames(file[f"{layout.path}/{name}"], file[layout.checksums(name)], self._file.strict)
        return PartedFrames(
            self.path,
            name,
            rows=layout.split[flow],
            count=len(file[f"{layout.path}/{NUMBER}"]),
            dtype=form.dtype,
            shape=form.shape,
            units=form.units,
            compression=settings.compression,
            power=settings.survives == "power",
            patience_s=_PATIENCE_S,
        )

    def discard(self) -> None:
        """Remove the empty file."""
        self._release()
        self._file.discard()

    def process(self, item: Item) -> None:
        """Write a block of frames, or keep a block of rows until the next flush. Frames to be packed are written later.

        Raises:
            DiskFull: there is no room for the block, or for one before it; what of it was written counts.
        """
        group = self._rows[item.source]
        self._check_space(item.data.nbytes, group.find_file(item.source) or self._file.fd)
        self._changed = True
        if self._packer is not None and item.source in group.layout.images:
            self._packer.put(item)
            self._write(self._packer.take())
        else:
            self._write([item])

    def _write(self, items: Iterable[Item]) -> None:
        for item in items:
            group = self._rows[item.source]
            try:
                group.take(item)
            except (OSError, RuntimeError) as error:
                if self._packer is not None:
                    self._packer.drop()
                raise self._explain(error, self._count) from None
            if item.source in group.layout.images:
                self._writeback.advance()

    def _check_space(self, nbytes: int, file: int) -> None:
        if self._packer is not None:
            nbytes += self._packer.waiting_bytes
        stat = os.fstatvfs(file)
        free = stat.f_bavail * stat.f_frsize
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, limit - os.fstat(file).st_size)
        if free < nbytes + (self.settings.spare_mib << 20):
            raise self._explain_full(f"{free / 2**20:.1f} MiB free", self._count)

    @property
    def _count(self) -> int:
        return self._rows[self._groups[0].leader].count

    def _explain(self, error: OSError | RuntimeError, safe: int) -> DataError:
        """HDF5 tells the system's error in its words only."""
        number = getattr(error, "errno", None) or next(map(int, re.findall(r"errno = (\d+)", str(error))), None)
        if number in _FULL:
            return self._explain_full(os.strerror(number), safe)
        return DataError(
            f"{self.path}: cannot be written",
            seen=f"{error}; {safe} frames are safe in it",
            remedy="look at the disk and the kernel's log, then mambactl mdw recover",
        )

    def _explain_full(self, seen: str, safe: int) -> DiskFull:
        return DiskFull(
            f"{self.path}: no room for the next frames",
            seen=f"{seen}; {safe} frames are safe in it",
            remedy="free space, or point data.directory of the profile at another disk, and acquire again",
        )

    def flush(self) -> list[tuple[int, int]]:
        """Commit; returns the frames that became safe.

        Raises:
            DiskFull: the commit has no room; what was committed before stays safe.
        """
        if not self._changed:
            return []
        if self._packer is not None:
            self._write(self._packer.take(rest=True))
        try:
            for rows in dict.fromkeys(self._rows.values()):
                fresh = rows.flush()
                if rows.layout is self._groups[0]:
                    for first, count in fresh:
                        self._unsafe.add(first * rows.layout.every, count * rows.layout.every)
            self._file.commit(self._early.dump())
        except (OSError, RuntimeError) as error:
            raise self._explain(error, self._committed) from None
        safe, self._unsafe, self._changed = self._unsafe, RangeSet(), False
        self._committed = self._count
        return list(safe)

    def close(self, account: dict[str, Any]) -> dict[str, DatasetInfo]:
        """Write the account and close the file.

        Raises:
            DiskFull: not even that fits; what was flushed is safe.
        """
        self._release()
        try:
            self.flush()
            for images in self._images:
                if isinstance(images, PartedFrames):
                    images.close()
            self._file.unshare()
            write_end(self._file.h5, self.path, account)
            kept = describe_datasets(self._file.h5, self.path)
            self._file.close()
        except (OSError, RuntimeError) as error:
            raise self._explain(error, self._committed) from None
        finally:
            self._file.abandon()  # does nothing after a good end
        return kept

    def _release(self) -> None:
        self._writeback.close()
        if self._packer is not None:
            self._packer.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_unopened(folder, error, new=True) from None


recover = finish_file
