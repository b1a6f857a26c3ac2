"""The host's own copy of what the session is: so that who asks is answered at once, whatever IPython does."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from mamba.errors import UnknownDevice, ZError, find_nearest

MAX_POINTS = 10_000
"""Points of the last run that are kept, the newest ones."""
IDLE_RUN: dict[str, Any] = {
    "state": "idle",
    "uid": None,
    "scan_id": None,
    "point": None,
    "num_points": None,
    "reason": "",
    "waits_for": [],
}
"""The run before any run."""


class LastRun:
    """The documents of the newest run, as notices brought them."""

    def __init__(self) -> None:
        self._start: dict[str, Any] | None = None
        self._descriptors: dict[str, dict[str, Any]] = {}
        # as they came: thousands a second are kept, and hardly any is ever asked for
        self._points: deque[bytes] = deque(maxlen=MAX_POINTS)
        self._total = 0
        self._stop: dict[str, Any] | None = None

    def take(self, typ: str, frame: bytes) -> None:
        """Keep a `scan/…` notice, as it was published."""
        if typ == "scan/point":
            self._points.append(frame)
            self._total += 1
            return
        notice = json.loads(frame)
        if typ == "scan/start":
            self._start, self._stop, self._total = notice, None, 0
            self._descriptors.clear()
            self._points.clear()
        elif typ == "scan/descriptor":
            self._descriptors[str(notice.get("stream", "primary"))] = notice
        elif typ == "scan/stop":
            self._stop = notice

    def describe(self) -> dict[str, Any] | None:
        """`start`, `descriptor` (of the primary stream), `descriptors`, `points`, `points_total`, `stop`; or None."""
        if self._start is None:
            return None
        return {
            "start": self._start,
            "descriptor": self._descriptors.get("primary"),
            "descriptors": self._descriptors,
            "points": json.loads(b"[%b]" % b",".join(self._points)),
            "points_total": self._total,
            "stop": self._stop,
        }


class SessionState:
    """Prompt, run, devices and the last run.

    `prompt` is "starting", "idle", "running", "occupied" (a debugger, `input()`, a search) or "dead";
    `startup_error` says why the start-up script failed ("" if it did not).
    """

    def __init__(self) -> None:
        self.prompt = "starting"
        self.run: dict[str, Any] = dict(IDLE_RUN)
        self.devices: dict[str, list[str]] = {}
        self.startup_error = ""
        self.last_run = LastRun()

    def begin_console(self) -> None:
        """A new IPython starts."""
        self.prompt, self.run, self.devices, self.startup_error = "starting", dict(IDLE_RUN), {}, ""

    def end_console(self, reason: str) -> None:
        """IPython is gone; a run that was open is lost."""
        self.prompt = "dead"
        if self.run.get("state") != "idle":
            self.run = {**self.run, "state": "dead", "reason": reason, "waits_for": []}

    def update(self, message: dict[str, Any]) -> None:
        """Take a `state` message of the agent; what it does not hold, or not in its kind, stays."""
        for name, kind in (("prompt", str), ("run", dict), ("devices", dict)):
            if isinstance(message.get(name), kind):
                setattr(self, name, message[name])

    def note_run(self, notice: dict[str, Any]) -> None:
        """Take a `run/state`, `run/suspended` or `run/resumed` notice, which comes before the agent's next `state`."""
        taken: dict[str, Any] = {key: notice[key] for key in ("state", "uid", "reason", "waits_for") if key in notice}
        if "id" in notice:
            taken["scan_id"] = notice["id"]
        if notice["typ"] in ("run/suspended", "run/resumed"):
            taken = {"waits_for": notice["devices"] if notice["typ"] == "run/suspended" else []}
        self.run = {**self.run, **taken}

    def list_devices(self, path: str) -> list[str]:
        """Expressions below `path` ("M", "M.stage"), all of them for "".

        Raises:
            ZError: "console-starting", as long as IPython did not name its devices.
            UnknownDevice: there is no such group or device; names the nearest.
        """
        if not self.devices:
            raise ZError("console-starting", "devices: the console has not named them yet; wait for devices/changed")
        known = [expression for group in self.devices.values() for expression in group]
        if not path:
            return known
        below = [expression for expression in known if expression.startswith(f"{path}.")]
        if not below and path not in known and path not in self.devices:
            groups = {e.rpartition(".")[0] for e in known} | set(self.devices)
            raise UnknownDevice(f"{path[:100]}: no such device or group", remedy=find_nearest(path, [*known, *groups]))
        return below
