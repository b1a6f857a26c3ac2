"""The run that is being measured, as notices tell it: columns of values, progress, time left. Plain Python, no Qt.

*Key*: the name under which a value is recorded (`M_energy`). *Transmission*: −ln(i1/i0), the absorption of a sample
between two counters (Beer and Lambert).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

FRAME_RATE = "frames per second"
"""Name of the curve of an acquisition: the pace against the seconds since the run, or else its own arm, began."""
TRANSMISSION = "−ln({1}/{0})"
"""Name of the computed column; {0} is the key of the incoming, {1} of the transmitted beam."""


class RunModel:
    """One run, fed by `scan/*` and `mdw/progress` notices, or at once by `last_run` of a `state` answer."""

    def __init__(self) -> None:
        self._begin({})

    def _begin(self, start: dict[str, Any]) -> None:
        self.start: dict[str, Any] = start
        self.stop: dict[str, Any] = {}
        self.units: dict[str, str] = {}
        self.columns: dict[str, list[float]] = {}
        self.points = 0
        self.frames: dict[str, Any] = {}
        self._pace: list[tuple[float, float]] = []
        self._first_time = self._last_time = float(start.get("time") or 0.0)

    def load(self, last_run: dict[str, Any] | None) -> None:
        """Become the run of a `state` answer."""
        self._begin({})
        if not last_run:
            return
        self.take({**last_run["start"], "typ": "scan/start"})
        if last_run.get("descriptor"):
            self.take({**last_run["descriptor"], "typ": "scan/descriptor"})
        for point in last_run.get("points") or ():
            self.take({**point, "typ": "scan/point"})
        if last_run.get("stop"):
            self.take({**last_run["stop"], "typ": "scan/stop"})

    def take(self, notice: dict[str, Any]) -> bool:
        """Take a notice; False when it says nothing about this run."""
        typ = notice.get("typ")
        if typ == "scan/start":
            self._begin(notice)
        elif typ in ("mdw/progress", "mdw/done") and not self.stop:
            self._add_frames(notice)
        elif notice.get("uid") != self.start.get("uid") or not self.start:
            return False
        elif typ == "scan/descriptor" and notice.get("stream") == "primary":
            self._describe(notice.get("keys") or {})
        elif typ == "scan/point" and notice.get("stream") == "primary":
            self._add_point(notice)
        elif typ == "scan/stop":
            self.stop = notice
        else:
            return False
        return True

    def _describe(self, keys: dict[str, Any]) -> None:
        for key, entry in keys.items():
            if entry.get("dtype") in ("number", "integer") and not entry.get("shape"):
                self.columns.setdefault(key, [])
                self.units[key] = str(entry.get("units") or "")

    def _add_point(self, notice: dict[str, Any]) -> None:
        n = notice.get("n")
        if isinstance(n, int) and n <= self.points:
            return  # told already, in the answer to `state`
        data = notice.get("data") or {}
        for key, column in self.columns.items():
            value = data.get(key)
            # a point without this value, or a missed one, leaves a hole in the curve and not a shift
            column.extend([math.nan] * (((n - 1) if isinstance(n, int) else self.points) - len(column)))
            column.append(float(value) if isinstance(value, (int, float)) else math.nan)
        self.points = n if isinstance(n, int) else self.points + 1
        self._last_time = float(notice.get("time") or self._last_time)

    def _add_frames(self, notice: dict[str, Any]) -> None:
        if not self.start and notice.get("arm") != self.frames.get("arm"):  # armed without a run
            self._begin({})
            self._first_time = self._last_time = float(notice.get("time") or 0.0)
        self.frames = {**self.frames, **notice}
        since_s, rate = notice.get("time", 0.0) - self._first_time, self.frames.get("frames_per_s")
        # what the end tells is the mean of the whole acquisition, not the pace at that moment
        if isinstance(rate, (int, float)) and notice["typ"] == "mdw/progress":
            self._pace.append((float(since_s), float(rate)))

    @property
    def is_running(self) -> bool:
        """Between its start and its stop; an acquisition without a run: until its account came."""
        if not self.start:
            return self.frames.get("typ") == "mdw/progress"
        return not self.stop

    @property
    def uid(self) -> str:
        """Of the run; "" before any."""
        return str(self.start.get("uid") or "")

    @property
    def x_key(self) -> str | None:
        """Key of the horizontal axis; None: the number of the point."""
        key = self.start.get("x")
        return key if key in self.columns else None

    @property
    def counts_frames(self) -> bool:
        """Progress is in frames, since the run acquires with a camera."""
        return bool(self.frames)

    @property
    def done(self) -> int:
        """Points measured, or frames written."""
        return int(self.frames.get("written") or 0) if self.counts_frames else self.points

    @property
    def total(self) -> int | None:
        """Points or frames in all, None when the plan did not say."""
        value = self.frames.get("frames") if self.counts_frames else self.start.get("num_points")
        return int(value) if isinstance(value, (int, float)) and value > 0 else None

    def seconds_left(self) -> float | None:
        """From the pace so far, in s; None without points, total, or when the run is over."""
        total, done = self.total, self.done
        if not self.is_running or total is None or done == 0:
            return None
        if self.counts_frames:
            rate = float(self.frames.get("frames_per_s") or 0.0)
            return (total - done) / rate if rate > 0 else None
        return (self._last_time - self._first_time) / done * (total - done)

    def list_y_names(self) -> list[str]:
        """What can stand on the vertical axis: the transmission first where two counters were read, then each key."""
        motors = {motor.replace(".", "_") for motor in self.start.get("motors") or ()}
        keys = [k for k in self.columns if k != self.x_key and not any(_belongs(k, motor) for motor in motors)]
        if self.counts_frames:
            return [FRAME_RATE, *keys]
        pair = self._find_pair()
        return [TRANSMISSION.format(*pair), *keys] if pair else keys

    def _find_pair(self) -> tuple[str, str] | None:
        """The keys of the incoming and the transmitted beam: the first two detectors with a value."""
        names = [d.replace(".", "_") for d in self.start.get("detectors") or ()]
        keys = [name for name in names if name in self.columns]
        return (keys[0], keys[1]) if len(keys) >= 2 else None

    def curve(self, y_name: str) -> tuple[list[float], list[float]]:
        """Horizontal and vertical values of one curve, equally long; NaN where there is no value."""
        if y_name == FRAME_RATE:
            return [since_s for since_s, _ in self._pace], [rate for _, rate in self._pace]
        pair = self._find_pair()
        if pair and y_name == TRANSMISSION.format(*pair):
            y = [absorption(i0, i1) for i0, i1 in zip(self.columns[pair[0]], self.columns[pair[1]], strict=False)]
        else:
            y = self.columns.get(y_name, [])
        x = self.columns[self.x_key] if self.x_key else [float(n + 1) for n in range(len(y))]
        length = min(len(x), len(y))
        return x[:length], y[:length]


def _belongs(key: str, motor: str) -> bool:
    return key == motor or key.startswith(f"{motor}_")


def absorption(i0: float, i1: float) -> float:
    """−ln(i1/i0); NaN where a counter saw nothing."""
    return -math.log(i1 / i0) if i0 > 0 and i1 > 0 else math.nan


def say_duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `1 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def say_run_state(run: Mapping[str, Any]) -> str:
    """The run engine's state in a word; "suspended" where the run waits for a device that was lost."""
    return "suspended" if run.get("waits_for") else str(run.get("state") or "idle")


def say_made_safe(notice: Mapping[str, Any]) -> str:
    """What was brought to rest after the console died, in one line; what could not be is named with its reason."""
    return "after the console ended: " + _say_rest(notice)


def say_stopped_all(notice: Mapping[str, Any]) -> str:
    """What was stopped because somebody wanted everything to stand still, in one line."""
    return f"{notice.get('reason')}: {_say_rest(notice)}"


def _say_rest(notice: Mapping[str, Any]) -> str:
    done = [
        f"{words} {', '.join(notice[key])}"
        for key, words in (("stopped", "stopped"), ("closed", "closed"), ("aborted", "aborted"))
        if notice.get(key)
    ]
    failed = [f"{name} NOT brought to rest: {why}" for name, why in dict(notice.get("failed") or {}).items()]
    return "; ".join([*failed, *done]) or "nothing moved"
