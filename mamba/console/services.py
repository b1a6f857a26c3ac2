"""What only the session can answer: `dev/describe`, `dev/read`, `dev/limits`, `graph/…`, and the verbs that people add.

Answers are made in threads of their own, so that neither a busy cell nor a slow device server delays anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

from pydantic import Field

from mamba.config import Role
from mamba.console.graph_services import GraphServices
from mamba.devices import describe_device, find_device, iter_devices, limits_of, read_device, stop_beyond
from mamba.errors import BadRequest, UnknownDevice
from mamba.wire.handlers import Handlers
from mamba.wire.messages import Rep, Request, make_error, make_ok

Groups = Mapping[str, Mapping[str, Any]]
"""`{"M": M, "D": D}`: Groups, or the paper's AttrDict of plain ophyd devices."""
AT_ONCE = 4
"""Requests that are answered at the same time; more of them wait."""
_VERB = re.compile(r"[a-z][a-z0-9_-]*(/[a-z0-9_-]+)+")
_TAKEN = ("auth", "cmd", "control", "dev", "graph", "run", "session", "wire")
Path = Annotated[str, Field(min_length=1, max_length=2000)]


class Services:
    """Answers `call` messages.

    Args:
        groups: the groups as they are now; asked for with each request.

    Attributes:
        added: the verbs that were added, each with the role that may ask.
    """

    def __init__(self, groups: Callable[[], Groups]) -> None:
        self._groups = groups
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mamba-services")
        self._handlers = Handlers()
        self.added: dict[str, str] = {}
        self._handlers.add("dev/read", self._read)
        for verb, serve in (("describe", describe_device), ("limits", limits_of)):
            self._handlers.add(f"dev/{verb}", self._make_device_handler(serve))
        for verb, answer in GraphServices(groups).verbs().items():
            self._handlers.add(verb, answer)
        self._handlers.add("dev/stop_beyond", lambda: stop_beyond(self._groups()))

    def close(self) -> None:
        """Answer no more; what is being read is read to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def add(self, verb: str, handler: Callable[..., Any], role: Literal["observer", "operator", "expert"]) -> None:
        """Serve `verb` with `handler`, whose keyword-only arguments are the fields; added again, it is replaced.

        Raises:
            BadRequest: no verb of its own ("sample/next"), or no such role.
        """
        if not _VERB.fullmatch(verb) or verb.partition("/")[0] in _TAKEN:
            raise BadRequest(
                f"serve: {verb!r} cannot be added", remedy="write GROUP/WORD, and a group that is not Mamba's own"
            )
        if role not in ("observer", "operator", "expert"):
            raise BadRequest(f"serve: {role!r} is no role", remedy="observer, operator or expert")
        if verb in self.added:
            self._handlers.remove(verb)
        self._handlers.add(verb, handler)
        self.added = {**self.added, verb: role}

    def _find(self, path: str) -> Any:
        device = find_device(self._groups(), path)
        if isinstance(device, Mapping):
            raise UnknownDevice(f"{path}: is a group, not a device", remedy="dev/keys lists what is in it")
        return device

    def _read(self, *, path: Path) -> Any:
        return read_device(self._find(path))

    def _make_device_handler(self, serve: Callable[[Any, Role | None], Any]) -> Callable[..., Any]:
        """What is said of a device depends on the role of who asks, which the host adds."""

        def answer(*, path: Path, role: Role | None = None) -> Any:
            return serve(self._find(path), role)

        return answer

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
            Exception: what the device or the added handler raises.
        """
        return self._handlers.call(Request(verb, dict(args)))
