import os
import subprocess
import sys
from pathlib import Path

import pytest

from mamba.data_worker.ring import Ring
from mamba.errors import DataError, StreamBroken
from mamba.orphans import SHARED, sweep_rings


def test_what_one_writes_the_other_reads_without_a_copy() -> None:
    ring = Ring.create(slots=3, slot_bytes=4096)
    reader = Ring.attach(ring.name, slots=3, slot_bytes=4096)
    ring.slot(2)[:5] = b"hello"
    assert bytes(reader.slot(2)[:5]) == b"hello"
    assert reader.slot(2).readonly
    reader.close()
    assert (SHARED / ring.name).exists()
    ring.close()
    ring.close()
    assert not (SHARED / ring.name).exists()


def test_wrong_names_sizes_and_slots_are_refused() -> None:
    ring = Ring.create(slots=2, slot_bytes=4096)
    try:
        with pytest.raises(StreamBroken, match="another size"):
            Ring.attach(ring.name, slots=3, slot_bytes=4096)
        with pytest.raises(StreamBroken, match="cannot be attached"):
            Ring.attach("mamba-1-nothing", slots=2, slot_bytes=4096)
        with pytest.raises(StreamBroken, match="not the name"):
            Ring.attach("mamba-/../x", slots=2, slot_bytes=4096)
        with pytest.raises(StreamBroken, match="no slot 2"):
            ring.slot(2)
    finally:
        ring.close()


def test_too_large_a_ring_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(DataError, match="no shared memory"):
        Ring.create(slots=1024, slot_bytes=2**40)
    assert not list(SHARED.glob(f"*mamba-{os.getpid()}-*"))


def test_the_ring_of_a_killed_creator_is_swept_and_that_of_a_living_one_is_not() -> None:
    code = (
        "import os, signal; from mamba.data_worker.ring import Ring; "
        "r = Ring.create(slots=1, slot_bytes=4096); print(r.name, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root, check=False)
    orphan = done.stdout.strip()
    living = Ring.create(slots=1, slot_bytes=4096)  # creating sweeps
    assert not (SHARED / orphan).exists()
    assert living.name not in sweep_rings()
    assert (SHARED / living.name).exists()
    living.close()
