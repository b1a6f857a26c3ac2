"""The verbs of the session host, each a small handler: keyword arguments are the fields of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mamba.session.verbs.commands import CommandVerbs
from mamba.session.verbs.devices import DeviceVerbs, GraphVerbs
from mamba.session.verbs.people import ControlVerbs, PersonVerbs
from mamba.session.verbs.run import RunVerbs
from mamba.session.verbs.session import SessionVerbs
from mamba.wire.handlers import Handlers

if TYPE_CHECKING:
    from mamba.session.host import SessionHost

_GROUPS = (CommandVerbs, RunVerbs, SessionVerbs, PersonVerbs, ControlVerbs, DeviceVerbs, GraphVerbs)


def make_handlers(host: SessionHost) -> Handlers:
    """The registry of everything that can be asked of a session."""
    handlers = Handlers()
    for group in _GROUPS:
        for verb, handler in group(host).verbs().items():
            handlers.add(verb, handler)
    return handlers
