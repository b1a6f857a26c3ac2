"""One HDF5 file that is written: how it is opened, made safe and closed, in either way of access.

*plain*: format "earliest" through a journal (`journal.py`): whole after a kill at any moment, opened by any HDF5.
*swmr*: format "v110" in HDF5's mode of one writer and many readers: others read while it grows. After a kill its
superblock says that somebody writes, until `recover` mends it (`superblock.py`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import h5py

from mamba.data_worker.sinks.journal import JournaledFile, NoteBook, find_commit
from mamba.data_worker.sinks.superblock import mend_superblock
from mamba.errors import DataError

Access = Literal["plain", "swmr"]


class Container:
    """A file open for writing; belongs to one thread.

    Args:
        path: the file.
        new: make it; else go on with the file of a dead writer.
        access: see above.
        power: what is committed survives a power failure, too.
        patience_s: how long another writer may take to be gone.

    Attributes:
        h5: the file.
        fd: its descriptor.
        note: what the last commit said.

    Raises:
        DataError: it exists (`new`), cannot be made, or cannot be opened.
    """

    def __init__(
        self, path: Path, *, new: bool, access: Access = "plain", power: bool = False, patience_s: float = 0.0
    ) -> None:
        self.path, self.access, self._power = path, access, power
        try:
            if access == "plain":
                self._raw = JournaledFile(path, new=new, power=power, patience_s=patience_s)
                self.h5, self.fd = _open_plain(self._raw, new=new), self._raw.fd
                self.note = self._raw.note
            else:
                self._open_swmr(new=new, patience_s=patience_s)
        except FileExistsError:
            raise DataError(f"{path}: exists", remedy="give another name; files are never overwritten") from None
        except OSError as error:
            raise explain_unopened(path, error, new=new) from None
        if access == "plain":
            _keep_metadata(self.h5)

    def _open_swmr(self, *, new: bool, patience_s: float) -> None:
        if new:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o666))
        self._notes = NoteBook(self.path, new=new, power=self._power, patience_s=patience_s)
        try:
            if not new:
                mend_superblock(self.path)
            self.h5 = h5py.File(self.path, "w" if new else "r+", libver=("v110", "v110"))
        except OSError:
            self._notes.close(clean=False)
            raise
        self.fd, self.note = self.h5.id.get_vfd_handle(), self._notes.note

    def share(self) -> None:
        """From now on others may read; in SWMR no group, dataset or attribute can be added after this."""
        if self.access == "swmr":
            self.h5.flush()
            self.h5.swmr_mode = True

    def commit(self, note: bytes = b"") -> None:
        """Make everything written safe.

        Raises:
            OSError: no room; what was committed before is safe.
        """
        self.h5.flush()
        if self.access == "plain":
            self._raw.commit(note)
            return
        if self._power:
            os.fsync(self.fd)
        self._notes.write(note)

    def unshare(self) -> None:
        """Nobody reads any more while it is written: the account can be added."""
        if self.access == "swmr":
            self.h5.close()
            self.h5 = h5py.File(self.path, "r+", libver=("v110", "v110"))
            self.fd = self.h5.id.get_vfd_handle()

    def close(self) -> None:
        """Commit and close.

        Raises:
            OSError: no room.
        """
        self.h5.close()
        if self.access == "plain":
            try:
                self._raw.commit()
            except OSError:
                self._raw.close(clean=False)
                raise
            self._raw.close()
        else:
            self._notes.close()

    def abandon(self) -> None:
        """Close it as it is: nothing is committed, journals stay."""
        self.h5.close()
        if self.access == "plain":
            self._raw.close(clean=False)
        else:
            self._notes.close(clean=False)

    def discard(self) -> None:
        """Close and remove it."""
        self.close()
        self.path.unlink()


def was_begun(path: Path) -> bool:
    """The file of a dead writer holds something: it was committed once, or closed."""
    return path.is_file() and (find_commit(path) is not None or _has_layout(path))


def _has_layout(path: Path) -> bool:
    try:
        with h5py.File(path, "r", locking=False, swmr=True) as file:
            return "entry/mdw/layout" in file
    except OSError:
        return False


def _open_plain(raw: JournaledFile, *, new: bool) -> h5py.File:
    try:
        return h5py.File(raw, "w" if new else "r+", libver=("earliest", "v108"))
    except OSError:
        raw.close(clean=False)
        raise


def _keep_metadata(file: h5py.File) -> None:
    """Hold all bookkeeping in memory until the next commit."""
    config = file.id.get_mdc_config()
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0
    config.evictions_enabled = False
    file.id.set_mdc_config(config)


def explain_unopened(path: Path, error: OSError, *, new: bool) -> DataError:
    """Why a file could not be made or opened, and what to do."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, BlockingIOError):
        return DataError(f"{path}: another program writes it", remedy="wait for its end, or end it")
    if not new:
        return DataError(f"{path}: cannot be opened after its writer died", seen=reason)
    free = shutil.disk_usage(path.parent).free >> 20 if path.parent.is_dir() else 0
    return DataError(
        f"{path}: cannot be made",
        seen=f"{reason} ({free} MiB free)",
        remedy="check the folder: it must exist, be yours to write, and have room",
    )
