"""The reader of an edge in a process of its own, which takes and gives back what the test tells it to.

`python -m tests.support.edge_reader` starts a *nest*, in which readers hatch quickly: for each connection to the socket
whose path it prints it forks one. That one gets `connect ENDPOINT TOKEN` first and says its process id. Then `take N`
takes the next N blocks and says their numbers, `release` gives back all that it holds, `drain` takes and gives back
everything up to the end and says the numbers. It checks what is in each block.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mamba.data_worker.edges import InEdge
from mamba.data_worker.frame import Block, End
from tests.support.frame_feeder import make_frame

_WITHIN_S = 20.0


def main() -> None:
    """Fork readers until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(sys.argv[1])
        door.listen()
        print("ready", flush=True)
        while select.select([door, sys.stdin], [], [])[0] == [door]:
            line, _ = door.accept()
            if os.fork() == 0:
                with line.makefile("rw") as spoken:
                    read(spoken)
                os._exit(0)
            line.close()


def read(spoken: TextIO) -> None:
    """Obey until nobody speaks any more."""
    _, endpoint, token = spoken.readline().split()
    edge = InEdge.connect(endpoint, token=token, timeout_s=_WITHIN_S)
    say(spoken, os.getpid())
    held: list[Block] = []
    for line in spoken:
        command, _, count = line.strip().partition(" ")
        if command == "take":
            blocks = [block for _ in range(int(count)) if isinstance(block := take(edge), Block)]
            held += blocks
            say(spoken, [block.first for block in blocks])
        elif command == "release":
            for block in held:
                edge.release(block)
            held.clear()
            say(spoken, "released")
        elif command == "drain":
            seen = []
            while isinstance(block := take(edge), Block):
                seen.append(block.first)
                edge.release(block)
            say(spoken, seen)
    edge.close()


def take(edge: InEdge) -> Block | End:
    """The next block, with what belongs in it, or the end."""
    deadline = time.monotonic() + _WITHIN_S
    while (item := edge.receive(0.5)) is None:
        assert time.monotonic() < deadline
    if isinstance(item, Block):
        frames = edge.frames(item)
        np.testing.assert_array_equal(frames[0], make_frame(item.first, frames.shape[1:]))
    return item


def say(spoken: TextIO, what: Any) -> None:
    """One JSON line."""
    spoken.write(json.dumps(what) + "\n")
    spoken.flush()


class Nest:
    """The process in which readers hatch; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.door = str(folder / "nest")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.edge_reader", self.door],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def __enter__(self) -> Nest:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)
        finally:
            self._process.kill()


class EdgeReader:
    """One reader; `process` is its id, once it has said so."""

    process = 0

    def __init__(self, nest: Nest, endpoint: str, token: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(nest.door)
        self._spoken = self._socket.makefile("rw")
        self.tell(f"connect {endpoint} {token}")

    def tell(self, command: str) -> None:
        """Have it do something; `hear` says what came of it."""
        self._spoken.write(command + "\n")
        self._spoken.flush()

    def hear(self) -> Any:
        """Its next line."""
        return json.loads(self._spoken.readline())

    def ask(self, command: str) -> Any:
        """Both."""
        self.tell(command)
        return self.hear()

    def close(self) -> None:
        """Let it leave, if it lives; returns when it is gone. Idempotent."""
        if not self._spoken.closed:
            self._socket.shutdown(socket.SHUT_WR)
            assert self._spoken.read() == ""
            self._spoken.close()
            self._socket.close()


if __name__ == "__main__":
    main()
