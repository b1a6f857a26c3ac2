"""More Ray nodes beside the one that the data worker starts, all on this host and on loopback.

`python -m tests.support.ray_nodes ADDRESS COUNT` is the process that starts them and holds them until it is killed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psutil

from mamba.data_worker import control
from tests.support.graph_killer import wait_for

_STORE_BYTES = 80 * 2**20  # Ray's smallest


@contextmanager
def adding_nodes(count: int) -> Iterator[list[str]]:
    """Add so many; gives the ids of all Ray nodes, that of the first one first. Ray ends with them."""
    control._runner.start_groups([])
    ray = control._runner.ray
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ray_nodes", ray.address, str(count)], env=ray.environment
    )
    try:
        wait_for(lambda: len(control._runner.list_nodes()) == count + 1, "Ray's nodes do not come")
        yield sorted(control._runner.list_nodes(), key=lambda node: node != ray.node)
    finally:
        control.shutdown_ray()
        for process in [*psutil.Process(holder.pid).children(recursive=True), holder]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        holder.wait()


def main(address: str, count: int) -> None:
    """Start the nodes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.head_node = SimpleNamespace(gcs_address=address)  # it is another process's
    cluster.redis_address = address
    for _ in range(count):
        cluster.add_node(wait=False, num_cpus=1, object_store_memory=_STORE_BYTES)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
