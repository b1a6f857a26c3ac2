"""Whether the console is ready, asked by the wire in a short-lived process: the supervisor carries no ZeroMQ.

`python -m mamba.facility.console_link --runtime DIR --timeout S` ends with 0 once the session host answers and the
prompt has been idle for the first time, else with 1 and the reason as its last line of output.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

from mamba.errors import NotRunning, ReplyTimeout, ServerFailed, WireError, ZError
from mamba.facility.process import find_last_words
from mamba.runtime import RuntimeDirectory

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


async def wait_for_console(runtime: RuntimeDirectory, *, timeout_s: float, log: Path, with_devices: bool) -> None:
    """Wait until the console takes commands, and `with_devices` until there is one in `M` or `D`.

    Raises:
        ServerFailed: it did not within `timeout_s`; says what it was doing.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mamba.facility.console_link"),
        *("--runtime", str(runtime.path), "--timeout", str(timeout_s)),
        *(["--with-devices"] if with_devices else []),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = output.decode("utf-8", "replace").strip().splitlines()
        raise ServerFailed(
            "console: is not ready",
            seen=words[-1] if words else "no answer",
            remedy=f"read {log} and {runtime.transcript}",
        )


def look_at_console(runtime: RuntimeDirectory, *, timeout_s: float = 2.0) -> dict[str, Any]:
    """The answer of the session host to `state`.

    Raises:
        NotRunning: nobody listens.
        WireError: no answer in time, or a lost connection.
        ZError: it answered with an error.
    """
    from mamba.wire.client import Client  # ZeroMQ, only where it is used

    with Client(runtime.rpc) as client:
        client.request("ping", timeout_s=timeout_s)
        state: dict[str, Any] = client.request("state", timeout_s=timeout_s)
        return state


def _find_obstacle(runtime: RuntimeDirectory, *, with_devices: bool) -> tuple[str, bool]:
    """Why the console is not ready ("" when it is), and whether that can still change."""
    try:
        state = look_at_console(runtime)
    except NotRunning:
        return "the session host does not listen yet", True
    except (ReplyTimeout, WireError, ZError) as error:
        return str(error).splitlines()[0], True
    if state.get("startup_error"):
        return f"the start-up script raised {state['startup_error']}", False
    if state["prompt"] == "dead":
        return f"IPython has ended; {_read_last_words(runtime.transcript)}", False
    if state["prompt"] != "idle":
        return f"the start-up script runs, prompt {state['prompt']!r}", True
    if with_devices and not any(state["devices"].values()):
        return "the start-up script ended without a device in M or D", False
    return "", False


def _read_last_words(transcript: Path) -> str:
    """The last line of the terminal that is the console's own, without its colours; the host's begin with [mamba]."""
    if not transcript.exists():
        return "it wrote nothing"
    text = _COLOURS.sub("", transcript.read_text(encoding="utf-8", errors="replace"))
    return find_last_words("\n".join(line for line in text.splitlines() if not line.startswith("[mamba]")))


def main() -> int:
    """Look every 50 ms until it is ready or the time is over."""
    parser = argparse.ArgumentParser(description="Wait until the console of a runtime directory takes commands.")
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--timeout", type=float, required=True, help="s")
    parser.add_argument("--with-devices", action="store_true")
    arguments = parser.parse_args()
    runtime = RuntimeDirectory(arguments.runtime)
    deadline_s = time.monotonic() + arguments.timeout
    while True:
        obstacle, may_change = _find_obstacle(runtime, with_devices=arguments.with_devices)
        if not obstacle:
            return 0
        if not may_change or time.monotonic() > deadline_s:
            print(obstacle)  # noqa: T201  # the answer to whoever started this process
            return 1
        time.sleep(0.05)  # between two looks at a condition with a deadline


if __name__ == "__main__":
    sys.exit(main())
