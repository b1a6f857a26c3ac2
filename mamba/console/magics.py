"""What a person can ask at the prompt: `%mamba` (who, what runs, what waits) and `%wa` (where all: motor positions)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from mamba.devices import iter_devices

if TYPE_CHECKING:
    from mamba.console.session import ConsoleSession


def register_magics(shell: InteractiveShell, session: ConsoleSession) -> None:
    """Add the magics to `shell`; they are about `session`."""

    def mamba(line: str) -> None:
        """Say who is logged in, what runs and what waits."""
        print(describe_session(session))  # noqa: T201  # a magic answers on the screen

    def wa(line: str) -> None:
        """Say where all motors are, with units and limits."""
        print(describe_positions(session))  # noqa: T201  # a magic answers on the screen

    shell.magics_manager.register_function(mamba, "line", "mamba")
    shell.magics_manager.register_function(wa, "line", "wa")


def describe_session(session: ConsoleSession) -> str:
    """One line each for person, link, run and waiting commands."""
    run = session.describe_state()["run"]
    point = f", point {run['point']} of {run['num_points'] or '?'}" if run["state"] != "idle" else ""
    waiting = session.injector.waiting if session.injector is not None else []
    lines = [
        f"person   {session.person}" + ("" if session.logged_in else "   (nobody is logged in)"),
        f"host     {'connected' if session.is_connected else 'not connected'}",
        f"run      {run['state']}" + (f", scan {run['scan_id']}" if run["scan_id"] is not None else "") + point,
        f"waiting  {len(waiting)} commands" + (f", next: {waiting[0].text[:60]!r}" if waiting else ""),
    ]
    return "\n".join(lines)


def describe_positions(session: ConsoleSession) -> str:
    """A table of the devices in M: expression, position, units, limits; a device that does not answer says why."""
    devices = iter_devices(session.groups["M"], "M")
    if not devices:
        return "M is empty"
    with ThreadPoolExecutor(len(devices), thread_name_prefix="mamba-wa") as threads:
        cells = list(threads.map(lambda pair: _describe_position(pair[1]), devices))
    width = max(len(expression) for expression, _ in devices)
    return "\n".join(f"{expression:{width}}  {cell}" for (expression, _), cell in zip(devices, cells, strict=True))


def _describe_position(device: Any) -> str:
    try:
        position = device.position if hasattr(device, "position") else next(iter(device.read().values()))["value"]
        units = getattr(device, "egu", "") or ""
        limits = getattr(device, "limits", None)
    except Exception as error:  # noqa: BLE001  # the other motors are still worth a line
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    text = f"{position:12.5g}" if isinstance(position, float) else f"{position!s:>12}"
    span = f"   [{limits[0]:g}, {limits[1]:g}]" if limits and limits[0] is not None and limits[0] < limits[1] else ""
    return f"{text} {units}{span}"
