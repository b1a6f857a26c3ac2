"""Bytes of requests, replies and notices, version 1 of the wire (the paper's Figure 3, byte for byte).

*Request*: one JSON object in one frame, `{"typ": "dev/keys", "path": "M"}`; `id` may be given and comes back.
*Reply*: `{"err": "", "ret": …}`, or `{"err": code, "desc": text}`; an exception nobody anticipated has the code `exc`.
*Notice*: one JSON object in one frame, `typ` first, so that a subscriber can filter by `{"typ": "scan/`.
*Ready* values are such that `json.dumps` takes them: plain, or in the typed form of `mamba.wire.values`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from mamba.errors import BadRequest, MambaError, ReplyTimeout, WireError, ZError

VERSION = 1
"""Version of the wire."""
MAX_FRAME_BYTES = 16 * 2**20
"""The longest request that is read; a text of a million characters fits, however it is escaped."""
MAX_TOKENS = 20_000
"""Commas, brackets and texts in one request: reading takes its time by their number, and meanwhile nobody is served."""
MAX_TYP_CHARS = 100
"""The longest verb."""
MAX_DEPTH = 64
"""Objects and lists within each other in one request."""

# A text that is not closed reaches to the end, and no quantifier gives back: the time is linear, whatever is sent.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{,]', re.DOTALL)

Rep = dict[str, Any]
"""A reply as a dict: `err` with `ret` or `desc`; values ready."""


@dataclass(frozen=True)
class Request:
    """One request: the verb and its fields (`id` among them, where it was given)."""

    typ: str
    fields: dict[str, Any]

    @property
    def echo(self) -> dict[str, Any]:
        """What every reply to this request repeats."""
        return {"id": self.fields["id"]} if "id" in self.fields else {}


def dump_json(message: dict[str, Any]) -> bytes:
    """One frame of strict JSON with the default separators; the message is ready."""
    return json.dumps(message, allow_nan=False).encode()


def load_json(frame: bytes) -> dict[str, Any]:
    """The object in one frame; its values stay in the typed form.

    Raises:
        BadRequest: not UTF-8, not strict JSON, not an object, too long or too deep.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise BadRequest(
            "request: too long",
            seen=f"{len(frame)} bytes",
            remedy=f"at most {MAX_FRAME_BYTES} bytes; data travels in files",
        )
    if len(frame) > MAX_TOKENS and next(islice(_TOKEN.finditer(frame), MAX_TOKENS, None), None) is not None:
        raise BadRequest("request: too many parts", remedy=f"at most {MAX_TOKENS}; data travels in files")
    try:
        message = json.loads(bytes(frame).decode(), parse_constant=_refuse_constant, parse_float=_parse_finite)
    except RecursionError:
        raise BadRequest("request: too deep", remedy=f"at most {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise BadRequest("request: is not JSON", seen=str(error)[:200], remedy='send {"typ": …} in UTF-8') from None
    if not isinstance(message, dict):
        raise BadRequest("request: is not an object", seen=type(message).__name__, remedy='send {"typ": …}')
    if _is_deeper(message, MAX_DEPTH):
        raise BadRequest("request: too deep", remedy=f"at most {MAX_DEPTH} levels")
    return message


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f'{word} is not JSON; write {{"$type": "float", "value": "nan"}}')


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond a float")
    return number


def _is_deeper(message: Any, limit: int) -> bool:
    level = [message]
    for _ in range(limit):
        below: list[Any] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item
            below.extend(child for child in children if isinstance(child, (dict, list)))
        if not below:
            return False
        level = below
    return True


def make_request(message: dict[str, Any]) -> Request:
    """The request in an object.

    Raises:
        BadRequest: without a `typ`, or with an `id` that is no text or number.
    """
    typ = message.get("typ")
    if not isinstance(typ, str) or not typ:
        raise BadRequest("request: field 'typ' is missing", remedy="name a verb: 'ping', 'state', 'cmd', …")
    if len(typ) > MAX_TYP_CHARS:
        raise BadRequest("request: field 'typ' is too long", seen=f"{len(typ)} characters", remedy="name a verb")
    if not isinstance(message.get("id"), (str, int, float, type(None))):
        raise BadRequest(f"{typ}: field 'id' must be a text or a number", seen=type(message["id"]).__name__)
    return Request(typ, {key: value for key, value in message.items() if key != "typ"})


def dump_request(typ: str, fields: dict[str, Any]) -> bytes:
    """One frame; `fields` are ready."""
    return dump_json({"typ": typ, **fields})


def make_ok(value: Any) -> Rep:
    """The reply with a result, which is ready."""
    return {"err": "", "ret": value}


def make_error(error: BaseException) -> Rep:
    """The reply that carries an error: its own code if it has one, else `exc` with the class and the text."""
    if isinstance(error, ZError):
        return {"err": error.code, "desc": error.desc}
    if isinstance(error, MambaError):
        return {"err": error.code, "desc": str(error)}
    return {"err": "exc", "desc": f"{type(error).__name__}: {error}"}


def dump_reply(rep: Rep, echo: dict[str, Any] | None = None) -> bytes:
    """One frame: the reply, then the request's `id` where one was given."""
    return dump_json({**rep, **(echo or {})})


@dataclass(frozen=True)
class Reply:
    """A reply as its client sees it: `value` decoded when `err` is empty, else code and description."""

    err: str
    value: Any = None
    desc: str = ""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return not self.err

    def unwrap(self) -> Any:
        """The value.

        Raises:
            ZError: with the reply's code and description.
        """
        if self.err:
            raise ZError(self.err, self.desc)
        return self.value


def load_reply(frame: bytes) -> Reply:
    """The reply in one frame.

    Raises:
        WireError: it is not a reply.
    """
    # opened here, and not above: the session host never decodes values
    from mamba.wire.values import decode

    try:
        rep = json.loads(frame)
        if rep["err"]:
            return Reply(str(rep["err"]), desc=str(rep.get("desc", "")))
        return Reply("", decode(rep["ret"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WireError("reply: cannot be read", seen=f"{type(error).__name__}: {error}"[:200]) from None


def make_timeout(typ: str, timeout_s: float) -> ReplyTimeout:
    """The error of a request that was not answered in time."""
    return ReplyTimeout(
        f"{typ}: no reply",
        seen=f"nothing within {timeout_s:g} s",
        remedy="'mambactl status' shows whether the session host lives",
    )


def notice_prefix(typ_prefix: str) -> bytes:
    """The bytes with which every notice whose `typ` starts so begins; empty for all notices."""
    return b'{"typ": ' + json.dumps(typ_prefix).encode()[:-1] if typ_prefix else b""
