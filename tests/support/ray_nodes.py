"""More Ray nodes beside the one that the data worker starts, all on this host and on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mamba.data_worker import control

_STORE_BYTES = 80 * 2**20  # Ray's smallest


@contextmanager
def adding_nodes(count: int) -> Iterator[list[str]]:
    """Add so many; gives the ids of all Ray nodes, that of the first one first. Ray ends with them."""
    control._runner.start_groups([])
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.head_node = ray._private.worker._global_node
    cluster.redis_address = cluster.head_node.redis_address
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        yield sorted(control._runner.list_nodes(), key=lambda node: node != ray.get_runtime_context().get_node_id())
    finally:
        control.shutdown_ray()
        for node in list(cluster.worker_nodes):
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
