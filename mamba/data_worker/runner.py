"""Runs the actors of a graph on Ray, which has a process of its own (`ray_process`).

Ray starts when the first graph is armed: on loopback only, with a token of its own, without dashboard or usage
statistics, in a 0700 folder with a short name (Unix sockets). Blocks do not travel through it, so its object store is
as small as it can be. `shutdown` leaves no process, folder or shared memory. Actors live on between arms.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import psutil

from mamba.config import read_environment
from mamba.data_worker.ray_process import RayProcess, is_gone
from mamba.errors import DataError, NodeFailed
from mamba.orphans import RAY_PARENT, RAY_PREFIX, OwnedFolder, end_writers, sweep, sweep_rings

_START_S = 40.0
_SLACK_S = 5.0
_WATCH_S = 1.0
_KILLED_S = 10.0

log = logging.getLogger(__name__)


class Runner:
    """Ray for one process: starts it when needed, keeps one actor per group."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # Ray's beginning and end, which take seconds
        self._actors_lock = threading.Lock()  # who asks Ray for an actor or to end one, and what is known of them
        self._folder: OwnedFolder | None = None
        self._ray: RayProcess | None = None
        self._actors: set[str] = set()
        self._places: dict[str, str] = {}
        self._processes: dict[str, psutil.Process] = {}
        self._ended = threading.Event()

    @property
    def running(self) -> bool:
        """Ray was started and not shut down."""
        return self._ray is not None

    @property
    def ray(self) -> RayProcess:
        """Ray's process.

        Raises:
            NodeFailed: it does not run.
        """
        if self._ray is None:
            raise NodeFailed("Ray does not run", remedy="arm again; it starts anew")
        return self._ray

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
            sweep(read_environment().runtime_dir / "mdw")
            self._start_ray()
            self._check_places(places or {})
            with self._actors_lock:
                before, self._places = self._places, dict(places or {})
                moved = {g for g in self._actors if before.get(g) != self._places.get(g)}
                for group in [g for g in self._actors if g not in groups or g in moved]:
                    self._drop(group)
            dead = [group for group in groups if group in self._actors and not self._is_alive(group)]
            with self._actors_lock:
                made = [group for group in groups if group in dead or group not in self._actors]
                for group in made:
                    self._make_actor(group)
            for group in made:
                self._identify(group)

    def list_nodes(self) -> list[str]:
        """Ids of the Ray nodes that live."""
        nodes: list[str] = self.ray.ask("nodes")
        return nodes

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
                remedy="look at the memory, the console's log and the kernel's; acquire again, it starts anew",
            )
        self.ray.ask("make", group=group, place=self._places.get(group, ""))
        self._actors.add(group)

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
        folder = OwnedFolder(RAY_PREFIX, RAY_PARENT)
        try:
            self._ray = RayProcess(folder.path)
        except BaseException:  # KeyboardInterrupt, too
            self._remove(folder)
            raise
        self._folder, self._ended = folder, threading.Event()
        threading.Thread(target=self._watch, args=(self._ended,), name="mdw ray watch", daemon=True).start()

    def find_dead_parts(self) -> list[int]:
        """Process ids of Ray's own processes that are dead."""
        return self._ray.find_dead() if self._ray is not None else []

    def _watch(self, ended: threading.Event) -> None:
        """Leave a Ray that died, and say so."""
        while not ended.wait(_WATCH_S):
            dead = self.find_dead_parts()
            if dead:
                with self._lock:
                    if not ended.is_set():  # nobody who arms has left it already
                        self._leave()

    def _leave(self) -> None:
        log.warning("Ray died (processes %s); the next graph starts it anew", self.find_dead_parts())
        words = self.ray.read_last_words()
        if words:
            log.warning("Ray's last words: %s", words)
        self.shutdown()

    def call(self, group: str, method: str, *args: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Call a method of a group's actor and read its JSON.

        Raises:
            NodeFailed: the actor is dead, or does not answer in time.
        """
        if group not in self._actors:
            raise NodeFailed(f"group {group}: it has no actor any more ({method})", remedy="arm again; it starts anew")
        try:
            text = self.ray.ask(
                "call", group=group, method=method, args=args, timeout_s=timeout_s, within_s=timeout_s + _SLACK_S
            )
        except NodeFailed as error:
            raise NodeFailed(
                f"group {group}: its actor does not answer ({method})",
                seen=error.what,
                remedy="arm again; it starts anew",
            ) from None
        answer: dict[str, Any] = json.loads(text)
        return answer

    def lives(self, group: str) -> bool:
        """Whether the process of a group's actor is there; does not ask it."""
        process = self._processes.get(group)
        return process is not None and not is_gone(process)

    def is_stopped(self, group: str) -> bool:
        """Whether the process of a group's actor is stopped (SIGSTOP)."""
        process = self._processes.get(group)
        try:
            return process is not None and process.status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def kill(self, group: str) -> None:
        """End a group's actor, whatever it does; returns when its process is gone, and with it its locks and files."""
        with self._actors_lock:
            process = self._processes.pop(group, None)
            if group in self._actors:
                self._drop(group)
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # Ray asks it politely, and one that is stopped does not hear
            process.wait(_KILLED_S)

    def _drop(self, group: str) -> None:
        self._actors.remove(group)
        try:
            self.ray.ask("kill", group=group)
        except NodeFailed as error:
            log.info("group %s is not ended by Ray: %s", group, error)  # and ends with it

    def shutdown(self) -> None:
        """End Ray and remove what it leaves; does nothing when it does not run."""
        with self._lock:
            if self._ray is None or self._folder is None:
                return
            self._ended.set()
            for process in list(self._processes.values()):  # of a Ray that is dead, too: so that their run ends at once
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._ray.end()  # who waits for an answer has it now
            with self._actors_lock:
                self._ray, self._actors, self._processes = None, set(), {}
            self._remove(self._folder)
            self._folder = None

    @staticmethod
    def _remove(folder: OwnedFolder) -> None:
        end_writers(folder.path)  # Ray's agents do not notice every death of Ray
        folder.remove()
        sweep_rings()
