"""Set points that survive a restart, kept in the Tango database as the attribute property `__value`.

Tango's own memorized attributes write to the database within each client's write: a scan would pay a disk write per
point and fail with the database. Here the values that scans set are written behind, at most once a second, and a
database that is away only delays them. (Rarely written set points are memorized by Tango itself.)
"""

from __future__ import annotations

import sys
import threading

import tango

_PROPERTY = "__value"  # where Tango itself keeps memorized values, and administrators look for them
_GATHER_S = 1.0
_RETRY_S = 10.0

Key = tuple[str, str]


class Memory:
    """Keeps the last value of attributes; one per server process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._unsaved: dict[Key, str] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def recall(self, device: str, attribute: str) -> str | None:
        """The value kept for an attribute, None when there is none."""
        with self._condition:
            if (device, attribute) in self._unsaved:
                return self._unsaved[device, attribute]
        found = tango.Database().get_device_attribute_property(device, attribute)[attribute]
        return str(found[_PROPERTY][0]) if found.get(_PROPERTY) else None

    def recall_number(self, device: str, attribute: str, default: float) -> float:
        """The number kept for an attribute, `default` when there is none or it is not a number."""
        try:
            return float(self.recall(device, attribute) or default)
        except ValueError:
            return default

    def keep(self, device: str, attribute: str, value: float | str) -> None:
        """Keep a value; returns at once."""
        with self._condition:
            self._unsaved[device, attribute] = value if isinstance(value, str) else repr(value)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
                self._thread.start()
            self._condition.notify()

    def close(self) -> None:
        """End the thread, at the end of the server; its devices have saved before, while the ORB was there."""
        self._closed.set()
        with self._condition:
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        pause_s = _GATHER_S
        with tango.EnsureOmniThread():
            while not self._closed.is_set():
                with self._condition:
                    self._condition.wait_for(lambda: bool(self._unsaved) or self._closed.is_set())
                if not self._closed.wait(pause_s):
                    pause_s = _GATHER_S if self.save() else _RETRY_S

    def save(self) -> bool:
        """Write what is not saved yet; False when the database does not take it (it is kept for the next time)."""
        with self._condition:
            batch, self._unsaved = self._unsaved, {}
        if not batch:
            return True
        try:
            database = tango.Database()
            for (device, attribute), value in batch.items():
                database.put_device_attribute_property(device, {attribute: {_PROPERTY: [value]}})
        except tango.DevFailed as failure:
            with self._condition:
                self._unsaved = batch | self._unsaved
            print(f"set points not saved: {failure.args[-1].desc.strip()}", file=sys.stderr, flush=True)  # noqa: T201  # the process's log
            return False
        return True
