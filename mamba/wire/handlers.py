"""The verbs a server answers, and the check of a request's fields against the signature of its handler.

*Handler*: a small function; its keyword-only arguments are the fields of the request, typed; its positional arguments
are context that the server gives. `id`, `origin`, `deadline_s` and `token` may stand in every request; a handler that
does not name them never sees them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from mamba.errors import BadRequest, UnknownVerb, find_nearest
from mamba.wire.messages import Request

HandlerFunction = Callable[..., Any]
"""Returns the ready value of the reply, or `PENDING`; an exception becomes an error reply."""
PENDING: Any = object()
"""What a handler returns that will answer later."""

_EVERYWHERE = ("id", "origin", "deadline_s", "token")


class _Fields(BaseModel):
    # strict: "5" is no number and 1 is no bool; JSON says exactly what it means
    model_config = ConfigDict(extra="forbid", strict=True)


class Handlers:
    """A registry of verbs; each verb has one handler."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[HandlerFunction, type[BaseModel]]] = {}

    @property
    def verbs(self) -> list[str]:
        """All verbs, sorted."""
        return sorted(self._handlers)

    def add(self, verb: str, handler: HandlerFunction) -> None:
        """Serve `verb` with `handler`.

        Raises:
            ValueError: the verb has a handler already.
        """
        if verb in self._handlers:
            raise ValueError(f"verb {verb!r}: has a handler already, {self._handlers[verb][0]!r}")
        self._handlers[verb] = (handler, _make_model(verb, handler))

    def call(self, request: Request, *context: Any) -> Any:
        """Check the fields and call the handler.

        Raises:
            UnknownVerb: nobody serves it; names the nearest verb.
            BadRequest: a field does not fit; names its path.
        """
        entry = self._handlers.get(request.typ)
        if entry is None:
            raise UnknownVerb(f"{request.typ!r}: nobody serves this", remedy=find_nearest(request.typ, self.verbs))
        handler, model = entry
        given = {k: v for k, v in request.fields.items() if k in model.model_fields or k not in _EVERYWHERE}
        try:
            fields = model.model_validate(given)
        except ValidationError as error:
            raise _explain(request.typ, model, error) from None
        return handler(*context, **{name: getattr(fields, name) for name in model.model_fields})


def _make_model(verb: str, handler: HandlerFunction) -> type[BaseModel]:
    hints = get_type_hints(handler, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(handler).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (hints[name], default)
    return create_model(verb, __base__=_Fields, **fields)


def _explain(verb: str, model: type[BaseModel], error: ValidationError) -> BadRequest:
    # what was sent is never repeated: it may be a password
    problems = error.errors(include_input=False, include_url=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    path = ".".join(str(step) for step in first["loc"])[:100]
    if first["type"] == "extra_forbidden":
        return BadRequest(f"{verb}: unknown field {path!r}", remedy=find_nearest(path, list(model.model_fields)))
    if first["type"] == "missing":
        return BadRequest(f"{verb}: field {path!r} is missing", remedy=f"add {path!r}")
    return BadRequest(f"{verb}: field {path!r} cannot be used", remedy=first["msg"])
