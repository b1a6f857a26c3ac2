"""The process with Ray in it: its driver, and what Ray keeps of each actor. The only file that imports Ray.

It stands apart from the console because Ray ends its driver's process, by SIGABRT too, whenever something of Ray's own
is not as it must be. `python -m mamba.data_worker.ray_host` has a socket to the console as its standard input. Each
side writes lines of JSON; the first of them says how to start, and what has started. Then each request names what to
`do`, and several may be under way at once. When the console is gone, this process goes, and Ray's own with it: they die
with the thread that started them.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from typing import Any

_STORE_BYTES = 80 * 2**20  # Ray's smallest


class GroupActor:
    """A group's worker, made in the actor's own process: this one needs nothing of it."""

    def __init__(self) -> None:
        from mamba.data_worker.worker import GroupWorker

        self._worker = GroupWorker()

    def call(self, method: str, args: list[str]) -> str:
        """JSON of what a method of the worker answers."""
        answer: str = getattr(self._worker, method)(*args)
        return answer


class _Host:
    """Answers the console's requests, each in a thread."""

    def __init__(self, link: socket.socket) -> None:
        self._link, self._lines = link, link.makefile(encoding="utf-8")
        self._writing = threading.Lock()
        self._actors: dict[str, Any] = {}

    def serve(self) -> None:
        """Start Ray and answer; returns when the console is gone."""
        self._send(_start(json.loads(self._lines.readline())))
        for line in self._lines:
            threading.Thread(target=self._answer, args=(json.loads(line),), daemon=True).start()

    def _send(self, message: dict[str, Any]) -> None:
        with self._writing:
            self._link.sendall(json.dumps(message).encode() + b"\n")

    def _answer(self, request: dict[str, Any]) -> None:
        number = request.pop("id")
        try:
            told = {"answer": getattr(self, f"_do_{request.pop('do')}")(**request)}
        except Exception as error:  # noqa: BLE001  # whatever it is, the console waits for it
            told = {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"}
        self._send({"id": number, **told})

    def _do_make(self, group: str, place: str) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(place, soft=False) if place else "DEFAULT"
        actor = ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy=where)(GroupActor)
        self._actors[group] = actor.remote()

    def _do_call(self, group: str, method: str, args: list[str], timeout_s: float) -> str:
        import ray

        answer: str = ray.get(self._actors[group].call.remote(method, args), timeout=timeout_s)
        return answer

    def _do_kill(self, group: str) -> None:
        import ray

        ray.kill(self._actors.pop(group))

    def _do_nodes(self) -> list[str]:
        import ray

        return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def _start(order: dict[str, Any]) -> dict[str, Any]:
    sys.path[:] = order["path"]  # Ray gives it to the actors: what the console can import, they can
    import ray

    _spare_processes(ray._private.node.Node)
    logging.getLogger("ray").setLevel(logging.ERROR)
    context = ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=order["folder"],
    )
    return {"address": context.address_info["gcs_address"], "node": ray.get_runtime_context().get_node_id()}


def _spare_processes(node: Any) -> None:
    """Start none of Ray's autoscaler, log monitor and dashboard: three of its eight CPU seconds, and 250 MB.

    Actors on one host, whose logs nobody prints, do without. A Ray that has other names for them starts them (these
    are Ray 2.60's), and nothing else changes.
    """
    for name in ("start_monitor", "start_log_monitor", "start_api_server"):
        setattr(node, name, lambda self, **_: None)


def main() -> None:
    """Serve the console at standard input."""
    _Host(socket.socket(fileno=os.dup(0))).serve()
    os._exit(0)  # whatever a thread still waits for


if __name__ == "__main__":
    main()
