"""Bring the devices of a console that has died to rest: stop what moves, close shutters, abort armed cameras.

`python -m mamba.facility.stop_motion` imports Tango and then waits for lines on its standard input, so that it can
stand by while a session goes on: to start it only when it is needed took 0.3 s on a quiet machine, over a second on a
loaded one. It ends with its input. Each line is a JSON object; they are served at the same time:

==========  ==========================================================================================
id          comes back with every answer
devices     {expression: {"tango": name or address, "kind": "motor", "shutter", "camera" or another}}
run_open    whether a run was open: only then are shutters closed and cameras aborted
==========  ==========================================================================================

All devices are looked at at the same time; for each comes one JSON line, `{"id": …, "device": expression, "did":
"stopped", "closed", "aborted" or "", "why": ""}`, as soon as it is known to be at rest, or why it could not be brought
there. Who asked sets the deadline and ends this process: to connect to a server that hangs takes Tango 12 s.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tango

from mamba.facility.tango_admin import read_reason

CALL_TIMEOUT_MS = 3000
REST_S = 4.0
"""How long a device may take to come to rest."""
LOOK_AGAIN_S = 0.2
"""The last order of the console may have reached a server that had not begun to carry it out at the first look."""
_LOOK_S = 0.02

_ORDERS = {"shutter": ("Close", "closed"), "camera": ("Abort", "aborted")}
_STOP = ("Stop", "stopped")
"""The command for everything else, and what was done by it."""


def bring_to_rest(address: str, kind: str, *, run_open: bool) -> tuple[str, str]:
    """Act on one device; returns what was done and why it failed, both empty when there was nothing to do."""
    with tango.EnsureOmniThread():
        try:
            proxy = tango.DeviceProxy(address)
            proxy.set_timeout_millis(CALL_TIMEOUT_MS)
            if not _is_at_rest(proxy, kind, run_open=run_open):
                return _order_rest(proxy, kind)
            time.sleep(LOOK_AGAIN_S)  # between the two looks
            return ("", "") if _is_at_rest(proxy, kind, run_open=run_open) else _order_rest(proxy, kind)
        except tango.DevFailed as failed:
            return "", read_reason(failed)


def _is_at_rest(proxy: Any, kind: str, *, run_open: bool = True) -> bool:
    """Whether nothing is to be done; shutters and cameras may be as they are when no run left them so."""
    state = proxy.state()
    if kind == "shutter":
        return not run_open or bool(state == tango.DevState.CLOSE)
    if kind == "camera":
        return not run_open or state not in (tango.DevState.STANDBY, tango.DevState.RUNNING)
    return bool(state != tango.DevState.MOVING)


def _order_rest(proxy: Any, kind: str) -> tuple[str, str]:
    command, did = _ORDERS.get(kind, _STOP)
    proxy.command_inout(command)
    deadline = time.monotonic() + REST_S
    while not _is_at_rest(proxy, kind):
        if time.monotonic() > deadline:
            return "", f"is {proxy.state()} {REST_S:g} s after {command}"
        time.sleep(_LOOK_S)  # between two looks at a condition with a deadline
    return did, ""


def serve(request: dict[str, Any]) -> None:
    """Bring all devices of a request to rest, and print what became of each."""
    devices: dict[str, dict[str, str]] = request["devices"]

    def act(expression: str) -> None:
        device = devices[expression]
        did, why = bring_to_rest(device["tango"], device["kind"], run_open=request["run_open"])
        # one call per line: threads write here
        sys.stdout.write(json.dumps({"id": request["id"], "device": expression, "did": did, "why": why}) + "\n")
        sys.stdout.flush()

    with ThreadPoolExecutor(len(devices) or 1) as pool:
        for acting in [pool.submit(act, expression) for expression in devices]:
            acting.result()


def main() -> None:
    """Serve the lines of the input until it ends, and then what was asked before."""
    serving = []
    for line in iter(sys.stdin.readline, ""):
        serving.append(threading.Thread(target=serve, args=(json.loads(line),)))
        serving[-1].start()
    for thread in serving:
        thread.join()
    sys.stdout.flush()
    os._exit(0)  # Tango's own threads end slowly, and somebody waits


if __name__ == "__main__":
    main()
