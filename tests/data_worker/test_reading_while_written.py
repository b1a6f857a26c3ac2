"""SWMR: another process reads the file while it grows, at most a second behind."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mamba.data_worker.sinks.hdf5 import Hdf5Sink
from tests.data_worker.test_sink import ACCOUNT, frames, open_sink, rows

READER = """
import sys, h5py
with h5py.File(sys.argv[1], "r", swmr=True) as file:
    numbers, data, sums = (file["entry/data/" + name] for name in ("frame_number", "frames", "sums"))
    print("open", flush=True)
    for wanted in sys.stdin:
        while len(numbers) < int(wanted):
            for dataset in (data, sums, numbers):
                dataset.refresh()
        count = len(numbers)
        assert data[:count][:, 3, 5].tolist() == numbers[:].tolist() == list(range(count)), count
        assert sums[:count, 0].tolist() == list(range(count))
        print(count, flush=True)
"""


def test_a_second_process_reads_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    sink = open_sink(path, access="swmr")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == "open\n"
        behind_s = [_write_and_wait(sink, first, reader) for first in range(0, 2000, 100)]
        reader.stdin.close()
        assert reader.wait(20) == 0
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()
    assert np.median(behind_s) < 1.0
    sink.close({**ACCOUNT, "produced": 2000, "written": 2000, "missing": []})


def _write_and_wait(sink: Hdf5Sink, first: int, reader: "subprocess.Popen[str]") -> float:
    """How long a block that was flushed takes until the other process has read it."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    for block in range(first, first + 100, 4):
        sink.process(frames(block, 4))
        sink.process(rows(block, 4))
    assert sink.flush() == [(first, 100)]
    began = time.monotonic()
    reader.stdin.write(f"{first + 100}\n")
    reader.stdin.flush()
    assert int(reader.stdout.readline()) == first + 100
    return time.monotonic() - began
