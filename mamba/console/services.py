"""What only the session can answer about its devices: `dev/describe`, `dev/read`, `dev/limits`.

Answers are made in threads of their own, so that neither a busy cell nor a slow device server delays anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mamba.devices import describe_device, find_device, iter_devices, limits_of, read_device
from mamba.errors import BadRequest, UnknownDevice, UnknownVerb, find_nearest
from mamba.wire.messages import Rep, make_error, make_ok

Groups = Mapping[str, Mapping[str, Any]]
"""`{"M": M, "D": D}`: Groups, or the paper's AttrDict of plain ophyd devices."""
AT_ONCE = 4
"""Requests that are answered at the same time; more of them wait."""


class DeviceServices:
    """Answers `call` messages about the devices in M and D.

    Args:
        groups: the groups as they are now; asked for with each request.
    """

    def __init__(self, groups: Callable[[], Groups]) -> None:
        self._groups = groups
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mamba-services")

    def close(self) -> None:
        """Answer no more; what is being read is read to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def list_devices(self) -> dict[str, list[str]]:
        """The expressions of all devices, by group, in the order they were put in."""
        return {name: [path for path, _ in iter_devices(group, name)] for name, group in self._groups().items()}

    def serve(self, verb: str, args: Mapping[str, Any], answer: Callable[[Rep], None]) -> None:
        """Answer one request, in another thread."""
        self._threads.submit(lambda: answer(self._make_rep(verb, args)))

    def _make_rep(self, verb: str, args: Mapping[str, Any]) -> Rep:
        try:
            return make_ok(self.call(verb, args))
        except Exception as error:  # noqa: BLE001  # whatever a device raises is the answer
            return make_error(error)

    def call(self, verb: str, args: Mapping[str, Any]) -> Any:
        """What `verb` returns, in the caller's thread.

        Raises:
            UnknownVerb, BadRequest, UnknownDevice: naming the nearest one.
            DeviceError: what the device says.
        """
        serve = _SERVICES.get(verb)
        if serve is None:
            raise UnknownVerb(f"{verb}: is not served by the console", remedy=find_nearest(verb, list(_SERVICES)))
        path = args.get("path")
        if not isinstance(path, str) or not path:
            raise BadRequest(f"{verb}: field 'path' is missing", remedy="name a device, such as M.energy")
        device = find_device(self._groups(), path)
        if isinstance(device, Mapping):
            raise UnknownDevice(f"{path}: is a group, not a device", remedy="dev/keys lists what is in it")
        return serve(device)


_SERVICES: dict[str, Callable[[Any], Any]] = {
    "dev/describe": describe_device,
    "dev/read": read_device,
    "dev/limits": limits_of,
}
