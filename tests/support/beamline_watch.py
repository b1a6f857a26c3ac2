"""What a fault test sees of a running virtual beamline: its hardware past the console, its run, its console."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import tango

from mamba.wire.client import Client
from mamba.wire.messages import Reply
from mamba.wire.subscriber import Subscriber
from tests.support.facility import Facility, wait_until

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])|\r")


class BeamlineWatch:
    """A client, a subscriber and proxies of the devices, closed together."""

    def __init__(self, beamline: Facility, *prefixes: str) -> None:
        self.beamline = beamline
        self.client: Client = beamline.client()
        self.notices: list[dict[str, Any]] = []
        self._prefixes = ("session/person", *prefixes)
        self._subscriber = Subscriber(beamline.runtime.notify, prefixes=self._prefixes)
        wait_until(self._hears, "the subscriber hears the host")
        self._seq: dict[str, int] = self.client.request("state")["seq"]  # what came before is nobody's business here

    def _hears(self) -> bool:
        self.client.request("auth/login", person="Probe")
        heard = self._subscriber.receive(0.05) is not None
        self.client.ask("auth/logout")
        return heard

    def __enter__(self) -> BeamlineWatch:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()
        self._subscriber.close()

    def device(self, name: str) -> tango.DeviceProxy:
        """A proxy of one device, past the console."""
        return tango.DeviceProxy(f"tango://{self.beamline.tango_host}/{name}")

    def state_of(self, name: str) -> str:
        """The Tango state of one device, past the console."""
        return str(self.device(name).state())

    def collect(self) -> None:
        """Keep the notices that have come."""
        while (notice := self._subscriber.receive(0)) is not None:
            self.notices.append(notice)
            self._seq[notice["typ"]] = max(notice["seq"], self._seq.get(notice["typ"], 0))

    def wait_notice(self, typ: str, *, since: int = 0, timeout_s: float = 15.0, **fields: Any) -> dict[str, Any]:
        """The first notice of that kind, and with these fields, from number `since` on."""

        def find() -> dict[str, Any] | None:
            self.collect()
            matching = (n for n in self.notices[since:] if n["typ"] == typ)
            return next((n for n in matching if all(n.get(key) == value for key, value in fields.items())), None)

        found: dict[str, Any] = wait_until(find, f"{typ} {fields}", timeout_s=timeout_s)
        return found

    def run_state(self) -> str:
        """State of the run engine as the host tells it."""
        return str(self.client.request("run/status")["state"])

    def wait_idle(self, timeout_s: float = 20.0) -> None:
        """Until the engine has nothing to do, the prompt is back, and every notice of before has come."""

        def find_idle() -> dict[str, Any] | None:
            state: dict[str, Any] = self.client.request("state")
            idle = state["run"]["state"] == "idle" and state["prompt"] == "idle" and state["running"] is None
            return state if idle else None

        told = wait_until(find_idle, "engine and prompt are idle", timeout_s=timeout_s)["seq"]
        # notices come by another socket than replies
        wait_until(lambda: self._has_come(told), "the notices of before", timeout_s=timeout_s)

    def _has_come(self, told: dict[str, int]) -> bool:
        self.collect()
        return all(self._seq.get(typ, 0) >= number for typ, number in told.items() if typ.startswith(self._prefixes))

    @property
    def console_pid(self) -> int:
        """Process id of the IPython that runs now."""
        return int(self.client.request("session/status")["console_pid"])

    def begin(self, text: str) -> str:
        """Send a command without waiting for it; its id."""
        return str(self.client.request("cmd", cmd=text, wait=False, origin="fault test")["id"])

    def reply_to(self, command_id: str, timeout_s: float = 20.0) -> Reply:
        """The reply of a command that was begun."""

        def find() -> dict[str, Any] | None:
            rep: dict[str, Any] | None = self.client.request("cmd/status", id=command_id).get("rep")
            return rep

        rep = wait_until(find, f"command {command_id} is done", timeout_s=timeout_s)
        return Reply(rep["err"], rep.get("ret"), rep.get("desc", ""))

    @staticmethod
    def now() -> float:
        """Monotonic time, s."""
        return time.monotonic()

    def screen_bytes(self) -> int:
        """How much the console has written so far."""
        return self.beamline.runtime.transcript.stat().st_size

    def read_screen(self, since: int = 0) -> str:
        """What the console wrote from that byte on, without escape sequences."""
        with self.beamline.runtime.transcript.open("rb") as transcript:
            transcript.seek(since)
            return _ESCAPES.sub("", transcript.read().decode(errors="replace"))

    def newest_file(self) -> Path:
        """The master file that was made last."""
        return max(Path("data").glob("*.nxs"), key=lambda file: file.stat().st_mtime_ns)


def read_points(file: Path, key: str = "M_energy") -> list[float]:
    """The values of one column, read with plain h5py; every field of the file is read along with it."""
    with h5py.File(file, "r") as opened:
        opened.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)
        return list(opened[f"entry/streams/primary/{key}"][()])
