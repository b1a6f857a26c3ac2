"""What `up` and `down` take out of a runtime directory, and what they leave to its owner."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mamba.facility.sweep import sweep
from mamba.orphans import RING_PREFIX, SHARED, OwnedFolder
from mamba.runtime import RuntimeDirectory


@pytest.fixture
def runtime() -> Iterator[RuntimeDirectory]:
    with tempfile.TemporaryDirectory(prefix="mb-") as folder:
        yield RuntimeDirectory.create(Path(folder))


def listen(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(str(path))
    return found


def test_sockets_of_an_arm_whose_owner_lives_stay(runtime: RuntimeDirectory) -> None:
    folder = OwnedFolder("m", runtime.path / "mdw")  # of a person's own program
    ours, theirs = runtime.path / "rpc", folder.path / "control"
    with listen(ours), listen(theirs):
        _, removed = sweep(runtime)
        assert ours in removed
        assert theirs.is_socket()
    folder.remove()
    assert not list((runtime.path / "mdw").iterdir())


def test_a_dead_programs_ring_is_removed_and_no_part_of_the_runtime_directory(runtime: RuntimeDirectory) -> None:
    orphan = SHARED / f"{RING_PREFIX}of-nobody"
    orphan.touch(mode=0o600)
    assert sweep(runtime) == ([], [])
    assert not orphan.exists()
