"""A ring of slots in shared memory: one process fills them, others on the same host read the same pages.

The segment is a file in /dev/shm whose name starts with `mamba-`. Its *creator* holds an flock on it for as long as it
lives and removes it when it closes; whoever attaches never removes it. `multiprocessing.shared_memory` is not used:
on Python 3.11 its tracker would unlink the segment at the first exit of anyone who attached. After a creator was
killed the kernel has freed its lock, and `sweep_rings` takes the orphan away.

Which slot is free is not the ring's business: releases travel back over the stream.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets

from mamba.errors import DataError, StreamBroken
from mamba.orphans import RING_PREFIX as PREFIX
from mamba.orphans import SHARED, sweep_rings

LARGEST_SLOT_BYTES = 8 * 2**20
"""Blocks above this size no longer fit the processor's caches; a single frame may still be larger."""


class Ring:
    """`slots` places of `slot_bytes` bytes; make one with `create` or `attach`."""

    def __init__(self, name: str, memory: mmap.mmap, *, slots: int, slot_bytes: int, lock: int | None) -> None:
        self.name, self.slots, self.slot_bytes = name, slots, slot_bytes
        self._memory, self._lock = memory, lock
        self._view = memoryview(memory)

    @classmethod
    def create(cls, *, slots: int, slot_bytes: int) -> Ring:
        """Make a ring and touch every page, so that no frame waits for memory later.

        Raises:
            DataError: /dev/shm has no room.
        """
        sweep_rings()
        name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        hidden = SHARED / f".{name}"
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # locked before it gets its name: a sweep by another process must never find it without an owner
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.posix_fallocate(fd, 0, slots * slot_bytes)  # memory that is not there is refused here, not by SIGBUS
            memory = mmap.mmap(fd, slots * slot_bytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
            hidden.rename(SHARED / name)
        except OSError as error:
            hidden.unlink()
            os.close(fd)
            raise DataError(
                f"ring of {slots} × {slot_bytes >> 10} KiB: no shared memory",
                seen=f"{SHARED}: {error.strerror}",
                remedy="free /dev/shm, or use fewer or smaller slots",
            ) from None
        return cls(name, memory, slots=slots, slot_bytes=slot_bytes, lock=fd)

    @classmethod
    def attach(cls, name: str, *, slots: int, slot_bytes: int) -> Ring:
        """Map somebody's ring for reading.

        Raises:
            StreamBroken: no such ring, or one of another size.
        """
        if not name.startswith(PREFIX) or "/" in name:
            raise StreamBroken(f"ring {name!r}: not the name of a ring", remedy=f"names start with {PREFIX!r}")
        try:
            fd = os.open(SHARED / name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StreamBroken(
                f"ring {name}: cannot be attached",
                seen=error.strerror or str(error),
                remedy="arm the detector again; the ring lives as long as its arm, on its own host",
            ) from None
        try:
            size = os.fstat(fd).st_size
            if size != slots * slot_bytes:
                raise StreamBroken(f"ring {name}: has another size", seen=f"{size} bytes, not {slots * slot_bytes}")
            flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
            memory = mmap.mmap(fd, size, flags=flags, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        return cls(name, memory, slots=slots, slot_bytes=slot_bytes, lock=None)

    def slot(self, number: int) -> memoryview:
        """The bytes of one slot; writable in the creator, read-only elsewhere.

        Raises:
            StreamBroken: no such slot.
        """
        if not 0 <= number < self.slots:
            raise StreamBroken(f"ring {self.name}: no slot {number}", seen=f"it has {self.slots}")
        return self._view[number * self.slot_bytes : (number + 1) * self.slot_bytes]

    def close(self) -> None:
        """Unmap, and as creator remove the segment; does nothing the second time."""
        if self._lock is not None:
            (SHARED / self.name).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
        self._view.release()
        try:
            self._memory.close()
        except BufferError:
            # Somebody still looks at a frame: the pages go when that array does.
            return
