"""Runs the actors of a graph on Ray; the only file that imports it.

Ray starts when the first graph is armed: on loopback only, with a token of its own, without dashboard or usage
statistics, in a 0700 folder with a short name (Unix sockets). Blocks do not travel through it, so its object store is
as small as it can be. `shutdown` leaves no process, folder or shared memory. Actors live on between arms.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import psutil

from mamba.config import read_environment
from mamba.data_worker.worker import GroupWorker
from mamba.errors import DataError, NodeFailed
from mamba.orphans import RAY_PARENT, RAY_PREFIX, OwnedFolder, end_writers, sweep_folders, sweep_rings

_STORE_BYTES = 80 * 2**20  # Ray's smallest
_START_S = 40.0  # less than the minute after which a process of a dead Ray is ended by it
_WATCH_S = 1.0
_KILLED_S = 10.0
_PARTS = ("gcs_server", "raylet")
_TOKEN = secrets.token_hex(32)
_SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # despite its name: keeps every port on loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_enable_worker_prestart": "1",
    "RAY_prestart_worker_first_driver": "1",
}

log = logging.getLogger(__name__)


class Runner:
    """Ray for one process: starts it when needed, keeps one actor per group."""

    _imported: ClassVar[bool] = False
    """Ray was imported here, with the settings above."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # Ray's beginning and end, which take seconds
        self._actors_lock = threading.Lock()  # who asks Ray for an actor or to end one, and what is known of them
        self._folder: OwnedFolder | None = None
        self._actors: dict[str, Any] = {}
        self._places: dict[str, str] = {}
        self._processes: dict[str, psutil.Process] = {}
        self._parts: list[psutil.Process] = []
        self._ended = threading.Event()
        self._keeper: ThreadPoolExecutor | None = None

    @property
    def running(self) -> bool:
        """Ray was started and not shut down."""
        return self._folder is not None

    def start_groups(self, groups: list[str], places: Mapping[str, str] | None = None) -> None:
        """See that an actor lives for each group; those of groups no longer used end.

        Args:
            groups: by name.
            places: ids of the Ray nodes on which some of them have to run.

        Raises:
            DataError: Ray is not installed, or does not start; it has no such node.
            NodeFailed: an actor does not start.
        """
        with self._lock:
            self._start_ray()
            import ray

            self._check_places(places or {})
            with self._actors_lock:
                before, self._places = self._places, dict(places or {})
                moved = {g for g in self._actors if before.get(g) != self._places.get(g)}
                for group in [g for g in self._actors if g not in groups or g in moved]:
                    ray.kill(self._actors.pop(group))
            dead = [group for group in groups if group in self._actors and not self._is_alive(group)]
            with self._actors_lock:
                made = [group for group in groups if group in dead or group not in self._actors]
                for group in made:
                    self._make_actor(group)
            for group in made:
                self._identify(group)

    def list_nodes(self) -> list[str]:
        """Ids of the Ray nodes that live."""
        import ray

        return [node["NodeID"] for node in ray.nodes() if node["Alive"]]

    def _check_places(self, places: Mapping[str, str]) -> None:
        known = self.list_nodes() if places else []
        for group, place in places.items():
            if place not in known:
                raise DataError(
                    f"group {group}: there is no Ray node {place!r}",
                    seen=f"{len(known)} nodes",
                    remedy=f"name one of them, such as {known[0]}",
                )

    def restart(self, group: str) -> None:
        """End a group's actor, if it still lives, and start another; several groups at once take no longer than one.

        Raises:
            NodeFailed: Ray is gone, or the new actor does not start.
        """
        self.kill(group)
        with self._actors_lock:
            self._make_actor(group)
        self._identify(group)

    def _make_actor(self, group: str) -> None:
        if not self.running or self._ended.is_set() or self.find_dead_parts():
            raise NodeFailed(
                f"group {group}: its actor died, and Ray with it",
                remedy="look at the memory and at the kernel's log; acquire again, it starts anew",
            )
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = self._places.get(group)
        where = NodeAffinitySchedulingStrategy(place, soft=False) if place else "DEFAULT"
        actor = ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy=where)(GroupWorker)
        self._actors[group] = actor.remote()

    def _identify(self, group: str) -> None:
        pid = self.call(group, "identify", timeout_s=_START_S)["pid"]
        try:
            self._processes[group] = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise NodeFailed(f"group {group}: its actor died as soon as it had started") from None

    def _is_alive(self, group: str) -> bool:
        try:
            self.call(group, "identify", timeout_s=5.0)
        except NodeFailed as error:
            log.info("group %s starts anew: %s", group, error.seen)
            return False
        return True

    def _start_ray(self) -> None:
        if self.running and self.find_dead_parts():
            self._leave()
        if self.running:
            return
        if "ray" in sys.modules and not Runner._imported:
            raise DataError(
                "data worker: Ray was imported before, without token and loopback",
                seen="it reads its settings once, when it is imported",
                remedy="start a fresh console, and arm a graph before anything imports ray",
            )
        sweep_folders(read_environment().runtime_dir / "mdw")
        self._folder = OwnedFolder(RAY_PREFIX, RAY_PARENT)
        token = self._folder.path / "token"
        token.touch(mode=0o600)
        token.write_text(_TOKEN)
        # They stay in the environment: Ray reads some once for ever, and its processes inherit the others.
        os.environ.update({**_SETTINGS, "RAY_AUTH_TOKEN_PATH": str(token)})
        try:
            import ray

            Runner._imported = True
            logging.getLogger("ray").setLevel(logging.ERROR)
            _silence(ray)
            # Ray's processes die with the thread that started them (PR_SET_PDEATHSIG); who arms may be a passing one
            self._keeper = ThreadPoolExecutor(1, thread_name_prefix="ray-keeper")
            self._keeper.submit(
                ray.init,
                address="local",
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=str(self._folder.path / "r"),  # it opens this one to everybody, and ours is around it
            ).result()
        except ImportError as error:
            self.shutdown()
            remedy = "pip install 'mamba-beamline[data-worker]'"
            raise DataError("data worker: Ray is not installed", seen=str(error), remedy=remedy) from None
        except Exception as error:
            self.shutdown()
            raise DataError(
                "data worker: Ray does not start",
                seen=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
                remedy="check memory and /dev/shm (at least 80 MB each must be free)",
            ) from error

        self._parts = [p for p in psutil.Process().children() if p.name() in _PARTS]
        self._ended = threading.Event()
        threading.Thread(target=self._watch, args=(self._ended,), name="mdw ray watch", daemon=True).start()

    def find_dead_parts(self) -> list[int]:
        """Process ids of Ray's own processes that are dead."""
        return [p.pid for p in self._parts if not p.is_running() or p.status() == psutil.STATUS_ZOMBIE]

    def _watch(self, ended: threading.Event) -> None:
        """Leave a Ray that died: it would take this process along a minute later."""
        while not ended.wait(_WATCH_S):
            dead = self.find_dead_parts()
            if dead:
                log.warning("Ray died (processes %s); the next graph starts it anew", dead)
                with self._lock:
                    if not ended.is_set():  # nobody who arms has left it already
                        self._leave()

    def _leave(self) -> None:
        """Leave a dead Ray: its actors go at once, so that their run ends; without its parts Ray takes seconds."""
        with self._actors_lock:
            for process in [*self._processes.values(), *self._parts]:
                if process.is_running():
                    process.kill()
            self._actors, self._processes = {}, {}
        self.shutdown()

    def call(self, group: str, method: str, *args: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Call a method of a group's actor and read its JSON.

        Raises:
            NodeFailed: the actor is dead, or does not answer in time.
        """
        import ray

        actor = self._actors.get(group)
        if actor is None:
            raise NodeFailed(f"group {group}: it has no actor any more ({method})", remedy="arm again; it starts anew")
        reference = getattr(actor, method).remote(*args)
        try:
            answer: dict[str, Any] = json.loads(ray.get(reference, timeout=timeout_s))
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
            raise NodeFailed(
                f"group {group}: its actor does not answer ({method})",
                seen=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
                remedy="arm again; it starts anew",
            ) from None
        return answer

    def lives(self, group: str) -> bool:
        """Whether the process of a group's actor is there; does not ask it."""
        process = self._processes.get(group)
        try:
            return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill(self, group: str) -> None:
        """End a group's actor, whatever it does; returns when its process is gone, and with it its locks and files."""
        import ray

        with self._actors_lock:
            actor, process = self._actors.pop(group, None), self._processes.pop(group, None)
            if actor is not None:
                ray.kill(actor)
        if process is not None and process.is_running():
            process.kill()  # Ray asks it politely, and one that is stopped does not hear
            process.wait(_KILLED_S)

    def shutdown(self) -> None:
        """End Ray and remove what it leaves; does nothing when it does not run."""
        with self._lock:
            if self._folder is None:
                return
            if self._imported:
                import ray

                with self._actors_lock:
                    self._ended.set()
                    for actor in self._actors.values():
                        ray.kill(actor)
                    self._actors, self._processes = {}, {}
                ray.shutdown()
            if self._keeper is not None:
                self._keeper.shutdown()
                self._keeper = None
            end_writers(self._folder.path)  # Ray's agents do not notice every death of Ray
            self._folder.remove()
            self._folder = None
            self._parts = []
            sweep_rings()


def _silence(ray: Any) -> None:
    """Keep what Ray says of dead actors out of the console; it prints even with `log_to_driver=False` (Ray 2.60).

    The supervisor says it in one line. A Ray without this function prints again, and nothing else changes.
    """
    if hasattr(ray._private.worker, "print_to_stdstream"):
        ray._private.worker.print_to_stdstream = lambda data, **_: log.debug("Ray: %s", " ".join(data["lines"]))
