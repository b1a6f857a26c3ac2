"""Moving and counting in the words of SPEC and Spock: `mv`, `mvr`, `umv`, `umvr`, `wm`, `ct`.

Each runs a plan in the run engine, so that limits, pause and abort are those of every plan; no run is opened, and
Ctrl-C stops at once.
`mv` and `mvr` are also plans in the console's namespace, and IPython's automagic gives way to a name that is taken: a
line that begins with one of the words and a device (`mv M.x 3`, which Python could never read) is made a magic first.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from bluesky import plan_stubs, preprocessors
from bluesky.utils import Msg
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from mamba.console.device_tables import align, describe_motors
from mamba.console.word_plans import run_word
from mamba.devices import Counter, find_device, iter_devices
from mamba.devices.shown import show_value
from mamba.scans import mv, mvr

if TYPE_CHECKING:
    from mamba.console.session import ConsoleSession

Plan = Generator[Msg, Any, Any]
Move = Callable[..., Plan]

_COMMAND = re.compile(r"(mv|mvr|umv|umvr|wm|ct)(?=\s+[MD]\b\.)")
_COUNT_S = 1.0
"""How long `ct` counts when it is not told: SPEC's second."""


def register_motion_magics(shell: InteractiveShell, session: ConsoleSession) -> None:
    """Add the magics to `shell`; they act on the devices and the run engine of `session`."""
    words = MotionWords(shell, session)
    manager: Any = shell.alias_manager  # untyped; mv is a program, too, and IPython's alias for it
    manager.default_aliases = [(name, target) for name, target in manager.default_aliases if name != "mv"]
    if manager.is_alias("mv"):
        manager.undefine_alias("mv")
    for name in ("mv", "mvr", "umv", "umvr", "wm", "ct"):
        shell.magics_manager.register_function(getattr(words, name), "line", name)
    shell.input_transformers_cleanup.append(read_as_magic)


def read_as_magic(lines: list[str]) -> list[str]:
    """`mv M.x 3` as `%mv M.x 3`; lines that are something else as they are."""
    if len([line for line in lines if line.strip()]) == 1 and _COMMAND.match(lines[0]):
        return [f"%{lines[0]}", *lines[1:]]
    return lines


class MotionWords:
    """The magics; each takes the rest of its line."""

    def __init__(self, shell: InteractiveShell, session: ConsoleSession) -> None:
        self._shell, self._session = shell, session

    def mv(self, line: str) -> None:
        """Move to positions: `mv M.x 3`, `mv M.x 3 M.y -1`; all set points are checked before anything moves."""
        self._move(line, "mv", mv, show=None)

    def mvr(self, line: str) -> None:
        """Move by distances: `mvr M.x 0.1`."""
        self._move(line, "mvr", mvr, show=None)

    def umv(self, line: str) -> None:
        """As `mv`, and show the positions while it moves."""
        self._move(line, "umv", mv, show=LivePositions())

    def umvr(self, line: str) -> None:
        """As `mvr`, and show the positions while it moves."""
        self._move(line, "umvr", mvr, show=LivePositions())

    def wm(self, line: str) -> None:
        """Say where motors are: position, set point, limits, unit, state: `wm M.x M.y`, `wm M.stage`, `wm M`."""
        devices = {path: device for word in line.split() for path, device in self._find_all(word).items()}
        if not devices:
            raise UsageError("%wm: name the motors, as in 'wm M.x M.y'; 'wa' shows all of them")
        print(describe_motors(devices))  # noqa: T201  # a magic answers on the screen

    def ct(self, line: str) -> None:
        """Count: `ct` for a second, `ct 0.5` for half of one, `ct 0.5 D.i0` with one counter."""
        words = line.split()
        count_s = _COUNT_S
        if words and not words[0].startswith(("M.", "D.")):
            count_s = self._read_number(words.pop(0), "ct")
            if not count_s > 0:
                raise UsageError(f"%ct {count_s:g}: count for more than 0 s")
        counters = {path: device for word in words for path, device in self._find_all(word).items()}
        if not words:
            counters = {path: device for path, device in self._find_all("D").items() if isinstance(device, Counter)}
        for path, device in counters.items():
            if not callable(getattr(device, "trigger", None)):
                raise UsageError(f"%ct: {path} cannot count")
        if not counters:
            raise UsageError("%ct: D has no counter")
        readings: dict[str, Any] = {}
        self._run(_count(counters, count_s, readings), "ct")
        rows = [(path, show_value(value), unit) for path, (value, unit) in readings.items()]
        print(align(rows, right=(1,)))  # noqa: T201  # as above

    def _move(self, line: str, word: str, move: Move, *, show: LivePositions | None) -> None:
        words = line.split()
        if not words or len(words) % 2:
            raise UsageError(f"%{word}: write motors and numbers in turn, as in '{word} M.x 3 M.y -1'")
        pairs = []
        for path, text in zip(words[::2], words[1::2], strict=True):
            device = self._find(path)
            _check_can_move(device, path, word)
            pairs += [device, self._read_value(text)]
        plan = move(*pairs)
        if show is None:
            self._run(plan, word)
            return
        engine = self._engine
        before, engine.waiting_hook = engine.waiting_hook, show
        try:
            self._run(plan, word)
        finally:
            engine.waiting_hook = before
            show.end()

    @property
    def _engine(self) -> Any:
        run = self._session.run
        if run is None:
            raise UsageError("there is no run engine yet: server_start(M, D, RE) makes it known")
        return run.engine

    def _run(self, plan: Plan, word: str) -> None:
        engine = self._engine
        if engine.state != "idle":
            plan.close()
            raise UsageError(f"the run engine is {engine.state}: RE.resume(), RE.stop() or RE.abort() first")
        run_word(engine, plan, word=word)

    def _find(self, path: str) -> Any:
        device = find_device(self._session.groups, path)
        if isinstance(device, Mapping):
            raise UsageError(f"{path} is a group: name one of {', '.join(p for p, _ in iter_devices(device, path))}")
        return device

    def _find_all(self, path: str) -> dict[str, Any]:
        found = find_device(self._session.groups, path)
        return dict(iter_devices(found, path)) if isinstance(found, Mapping) else {path: found}

    def _read_value(self, text: str) -> Any:
        """A Python expression; a bare word that is the name of no number or text is a text itself, such as open."""
        if text.isidentifier():
            value = self._shell.user_ns.get(text)
            return value if isinstance(value, (int, float, str, np.number)) else text
        try:
            return self._shell.ev(text)  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001  # whatever a person's expression raises
            raise UsageError(f"{text!r} is no position: {type(error).__name__}: {error}") from None

    def _read_number(self, text: str, word: str) -> float:
        value = self._read_value(text)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise UsageError(f"%{word}: {text!r} is no time in s") from None


class LivePositions:
    """What the run engine calls while it waits for moves: one line with the positions, written again and again."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._width = 0

    def __call__(self, statuses: Any) -> None:
        """Begin to watch these moves; None: they are over."""
        for status in statuses or ():
            if hasattr(status, "watch"):
                status.watch(self.show)

    def show(self, *, name: str = "", current: Any = None, unit: str = "", precision: int = 4, **_: Any) -> None:
        """One motor is at `current` (in `unit`)."""
        if current is None:
            return
        number = f"{current:.{precision}f}" if isinstance(current, float) else str(current)
        self._texts[name] = f"{name} {number} {unit or ''}".rstrip()
        line = "   ".join(self._texts.values())
        sys.stdout.write(f"\r{line.ljust(self._width)}")
        sys.stdout.flush()
        self._width = len(line)

    def end(self) -> None:
        """Leave the last positions on their line."""
        if self._width:
            sys.stdout.write("\n")
            sys.stdout.flush()


def _check_can_move(device: Any, path: str, word: str) -> None:
    if not callable(getattr(device, "set", None)):
        raise UsageError(f"%{word}: {path} cannot be moved")
    if word.endswith("mvr") and isinstance(getattr(device, "position", None), str):
        raise UsageError(f"%{word}: {path} knows no distances; 'mv {path} {device.position}' names a position")


def _count(counters: Mapping[str, Any], count_s: float, readings: dict[str, Any]) -> Plan:
    """Count once with all of them and put (value, unit) by expression into `readings`; presets are put back."""
    presets = [device.count_time for device in counters.values() if hasattr(device, "count_time")]
    before = [preset.get() for preset in presets]
    begun: list[Any] = []

    def count() -> Plan:
        for preset in presets:
            yield from plan_stubs.abs_set(preset, count_s, group="preset")
        yield from plan_stubs.wait("preset")
        for device in counters.values():
            begun.append(device)
            yield from plan_stubs.trigger(device, group="count")
        yield from plan_stubs.wait("count")
        begun.clear()
        for path, device in counters.items():
            reading = yield Msg("read", device)
            value = reading[next(iter(device.hints["fields"]), next(iter(reading)))]["value"]
            readings[path] = (value, getattr(getattr(device, "counts", None), "egu", ""))

    def put_back() -> Plan:
        for device in begun:
            yield from plan_stubs.unstage(device, wait=True)  # one that still counts takes no count time
        for preset, seconds in zip(presets, before, strict=True):
            yield from plan_stubs.abs_set(preset, seconds, group="preset back")
        yield from plan_stubs.wait("preset back")

    return (yield from preprocessors.finalize_wrapper(count(), put_back))
