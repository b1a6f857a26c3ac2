"""The messages between the session host and the agent inside IPython: one JSON object per frame, both ways.

The host binds a ROUTER at `RuntimeDirectory.agent`, the agent connects a DEALER. A message is a dict with `typ`.

Host to agent:

==============  ==========================================================================================
cell/deliver    `id, text, origin, person, proposal, role`: execute as a cell as soon as the prompt is idle
cell/cancel     `id`: withdraw it if it still waits
call            `id, verb, args`: a request that only the session can answer (`dev/read`, `dev/describe`, …)
run/pause       `id, defer` (bool: at the next checkpoint, or now)
run/resume      `id, origin, person, proposal, role`: answered when its visible cell begins (`cell/running`, `id` None)
run/stop        `id, reason`
run/abort       `id, reason`
run/halt        `id, reason`
reply           `id, rep`: the answer to the agent's `request`
session/person  `person, proposal, role`: who is logged in at the prompt now ("" for nobody)
==============  ==========================================================================================

Agent to host:

==============  ==========================================================================================
hello           `pid, session` (uuid of this IPython), `execution_count`: sent first, and again after a reconnect
ready           `startup_error`: the prompt is idle for the first time; "" if the start-up script went well
answer          `id, rep`: the answer to `call` and `run/*`; `rep` as in a reply (`err`, `ret` or `desc`)
cell/waiting    `id, why`: delivered later ("busy", "prompt-occupied")
cell/running    `id` (None for a cell typed by a person), `n` (the number in `In [n]`), `text, origin, person, time`
cell/done       `id, n, text, origin, person, time, duration_s, files, rep`
cell/cancelled  `id, rep`
notices         nothing; a second frame holds notices to be published, ready, one JSON object a line, `typ` first
state           `devices` ({"M": [...], "D": [...]}: expressions), `reach` ({expression: {"tango", "kind"}}: how each
                is brought to rest should the console die, see `mamba.devices.reach`), `run` ({"state", "uid",
                "scan_id", "point", "num_points", "reason", "waits_for"}), `prompt` ("idle", "running", "occupied"),
                `verbs` (verb → role: what the console serves besides dev/…): whenever one of them changes
request         `id, verb, args`: the console asks its host (`auth/logout`, `cmd/history`, …)
bye             IPython is ending on purpose
==============  ==========================================================================================
"""

from __future__ import annotations

import json
from typing import Any

from mamba.wire.encoding import is_plain
from mamba.wire.notices import Notice
from mamba.wire.values import decode, encode

_dump_plain = json.JSONEncoder(allow_nan=False).encode
_NOTICES = b'{"typ": "notices"}'

LinkMessage = dict[str, Any]
"""One message of the table above."""


def dump(message: LinkMessage) -> bytes:
    """One frame; values in the typed form of `mamba.wire.values`."""
    return json.dumps(encode(message), ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


def dump_notice(notice: Notice) -> bytes:
    """One line of `notices`; the host publishes it as it is, with its number at the end."""
    if is_plain(notice):
        try:
            return _dump_plain(notice).encode()
        except ValueError:  # NaN or an infinity
            pass
    return _dump_plain(encode(notice)).encode()


def join_notices(lines: list[bytes]) -> list[bytes]:
    """The frames of a `notices` message."""
    return [_NOTICES, b"\n".join(lines)]


def load(frame: bytes) -> LinkMessage:
    """The message in one frame."""
    message: LinkMessage = decode(json.loads(frame.decode("utf-8", "surrogatepass")))
    return message
