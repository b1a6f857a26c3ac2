"""One HDF5 file that is written: how it is opened, made safe and closed, in either way of access.

*plain*: format "earliest" through a journal (`journal.py`): whole after a kill at any moment, opened by any HDF5.
*swmr*: format "v110". Made and ended through the journal, and between `share` and `unshare` in HDF5's mode of one
writer and many readers: others read while it grows. HDF5 orders its writes so that no reader sees a half-made file, and
neither does who comes after a kill; but the superblock says that somebody writes until it is mended (`superblock.py`).
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Literal

import h5py

from mamba.data_worker.sinks.commits import NoteBook, find_commit
from mamba.data_worker.sinks.journal import JournaledFile
from mamba.data_worker.sinks.superblock import mend_superblock
from mamba.errors import DataError

Access = Literal["plain", "swmr"]
_VERSIONS = {"plain": ("earliest", "v110"), "swmr": ("v110", "v110")}


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
        self.path, self.access = path, access
        self._power, self._patience_s = power, patience_s
        self._notes: NoteBook | None = None  # while it is shared
        try:
            if access == "swmr" and not new:
                mend_superblock(path)
            self._open_journaled(new=new)
        except FileExistsError:
            raise DataError(f"{path}: exists", remedy="give another name; files are never overwritten") from None
        except OSError as error:
            raise explain_unopened(path, error, new=new) from None
        self.note = self._raw.note

    def _open_journaled(self, *, new: bool) -> None:
        self._raw = JournaledFile(self.path, new=new, power=self._power, patience_s=self._patience_s)
        try:
            self.h5 = h5py.File(self._raw, "w" if new else "r+", libver=_VERSIONS[self.access])
        except OSError:
            self._raw.close(clean=False)
            raise
        self.fd = self._raw.fd

    def share(self) -> None:
        """From now on others may read; in SWMR no group, dataset or attribute can be added after this.

        Raises:
            OSError: no room.
        """
        if self.access == "plain":
            self.commit(self.note)
            return
        self.h5.close()
        self._raw.commit(self.note)
        self._raw.close(clean=False)
        # the note is written anew before the file grows: the commit before it ends where the file ended
        self._notes = NoteBook(self.path, power=self._power, patience_s=self._patience_s)
        self._notes.write(self.note)
        self.h5 = h5py.File(self.path, "r+", libver=_VERSIONS["swmr"])
        self.h5.swmr_mode = True
        self.fd = self.h5.id.get_vfd_handle()

    def commit(self, note: bytes = b"") -> None:
        """Make everything written safe.

        Raises:
            OSError: no room; what was committed before is safe.
        """
        self.h5.flush()
        if self._notes is None:
            self._raw.commit(note)
            return
        if self._power:
            os.fsync(self.fd)
        self._notes.write(note)

    def strict(self) -> AbstractContextManager[None]:
        """Raises OSError when the write of a frame within it has no room."""
        return nullcontext() if self._notes is not None else self._raw.strict()

    def unshare(self) -> None:
        """Nobody reads any more while it is written: the account can be added."""
        if self._notes is not None:
            self.h5.close()
            self._notes.close()
            self._notes = None
            self._open_journaled(new=False)

    def close(self) -> None:
        """Commit and close.

        Raises:
            OSError: no room.
        """
        self.unshare()
        self.h5.close()
        try:
            self._raw.commit()
        except OSError:
            self._raw.close(clean=False)
            raise
        self._raw.close()

    def abandon(self) -> None:
        """Close it as it is, also after a failed `close`: nothing is committed, journals stay. Idempotent."""
        self.h5.close()
        if self._notes is None:
            self._raw.close(clean=False)
        else:
            self._notes.close()

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


def explain_unopened(path: Path, error: OSError | RuntimeError, *, new: bool) -> DataError:
    """Why a file could not be made or opened, and what to do."""
    number = getattr(error, "errno", None)
    reason = os.strerror(number) if number else str(error)
    if isinstance(error, BlockingIOError):
        return DataError(f"{path}: another program writes it", remedy="wait for its end, or end it")
    if not new:
        return DataError(f"{path}: cannot be opened after its writer died", seen=reason)
    with suppress(OSError):  # the folder may not be there, or not ours to look at: the reason says so
        reason += f" ({shutil.disk_usage(path.parent).free >> 20} MiB free)"
    return DataError(
        f"{path}: cannot be made",
        seen=reason,
        remedy="check the folder: it must exist, be yours to write, and have room",
    )
