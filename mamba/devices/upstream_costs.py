"""What upstream libraries spend on every point of a scan, and its removal: the one place for it.

=====================  ===============================================================================================
tango_telemetry        PyTango 10.3 re-reads the telemetry settings from the environment before every client call:
                       150 µs of the 190–240 µs of a call. They are read once instead; where somebody switched
                       telemetry on, nothing is changed.
plan_stack             bluesky 1.15 formats the whole call stack as text for every plan stub, only to be able to say
                       where a plan was made that nobody iterated: more than half of a point. Noted is the caller's file
                       and line, formatted only if the warning is due.
event_schema           event-model 1.24 has jsonschema check every event (0.2 ms). The schema says little of an event;
                       the same is seen in a few µs, and only an event that is not plainly right goes to jsonschema.
protocol_attributes    Python 3.11 finds out anew, at every `isinstance(device, Protocol)`, what the protocol asks for;
                       bluesky asks a dozen times per point. Remembered per protocol, as Python 3.12 does by itself.
tracing_spans          bluesky opens an OpenTelemetry span at every set and wait. Where nobody set up tracing before the
                       run engine is made, the methods run without.
=====================  ===============================================================================================

Each is removed by one function, which may be called again and leaves alone what it does not know.
`tests/devices/test_upstream_costs.py` watches that each is still there and still costs,; it fails when upstream changes
shape, which is the moment to look whether a line can go.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

import event_model
from bluesky import RunEngine, utils
from opentelemetry import trace

_PLAIN_INIT = utils.Plan.__init__
_TRACED = ("_set", "_wait")
_TEXTS, _MAPPINGS = ("uid", "descriptor"), ("data", "timestamps", "filled")
_FIELDS = {*_TEXTS, *_MAPPINGS, "time", "seq_num"}


def remove_scan_costs() -> None:
    """Remove what a scan pays to bluesky, event-model and Python; doing it twice changes nothing."""
    remove_plan_stack_cost()
    remove_event_schema_cost()
    remember_protocol_attributes()
    remove_span_cost()


def skip_telemetry_check() -> bool:
    """Decide once, from the environment as it is now, whether PyTango traces calls; says whether the check is gone."""
    runtime = _find_runtime()
    if runtime is None:
        return False
    runtime.refresh_from_env()
    if runtime.can_propagate_context():
        return False
    runtime.refresh_from_env = _keep
    return True


def _find_runtime() -> Any:
    """The object that holds the check, None in a PyTango that has none."""
    try:
        from tango import _instrumentation
    except ImportError:
        return None
    runtime = getattr(_instrumentation, "_telemetry_runtime", None)
    return runtime if hasattr(runtime, "refresh_from_env") else None


def _keep() -> None:
    """Leave the telemetry settings as they were found."""


def remove_plan_stack_cost() -> None:
    """Stop bluesky from formatting a stack for every plan stub."""
    utils.Plan.__init__ = _init_without_stack


def restore_plan_stack_cost() -> None:
    """Put upstream's own constructor back."""
    utils.Plan.__init__ = _PLAIN_INIT


def _init_without_stack(self: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    self._iter = function(*args, **kwargs)
    # 0 is this function, 1 bluesky's decorator, 2 whoever called the plan
    caller = sys._getframe(2)
    self._stack = _Origin(function.__name__, caller.f_code.co_filename, caller.f_lineno)


class _Origin:
    """Where a plan was made; iterates as the lines of text that `Plan.__del__` joins."""

    __slots__ = ("file", "line", "name")

    def __init__(self, name: str, file: str, line: int) -> None:
        self.name, self.file, self.line = name, file, line

    def __iter__(self) -> Any:
        yield f'  File "{self.file}", line {self.line}\n'
        yield f"RuntimeWarning: plan `{self.name}` was never iterated, did you mean to use `yield from`?"


def remove_event_schema_cost() -> None:
    """Let jsonschema see only those events that are not plainly right."""
    validators = event_model.schema_validators
    upstream = validators[event_model.DocumentNames.event]
    if not isinstance(upstream, _EventValidator):
        validators[event_model.DocumentNames.event] = _EventValidator(upstream)


class _EventValidator:
    """In the place of jsonschema's validator of events; what it lacks, such as `schema`, is upstream's."""

    def __init__(self, upstream: Any) -> None:
        self.upstream = upstream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.upstream, name)

    def validate(self, event: Any) -> None:
        """As upstream's: raises jsonschema's ValidationError for what is no event."""
        if not is_plain_event(event):
            self.upstream.validate(event)


def is_plain_event(event: Any) -> bool:
    """Whether a document is an event by event-model's schema, of exact types; else it needs a closer look."""
    return (
        type(event) is dict
        and event.keys() == _FIELDS
        and all(type(event[field]) is str for field in _TEXTS)
        and all(type(event[field]) is dict for field in _MAPPINGS)
        and type(event["time"]) is float
        and type(event["seq_num"]) is int
        and all(type(filled) in (bool, str) for filled in event["filled"].values())
    )


def remember_protocol_attributes() -> None:
    """Let Python 3.11 remember what each protocol asks for; later versions do."""
    find = getattr(typing, "_get_protocol_attrs", None)
    if sys.version_info < (3, 12) and find is not None and not hasattr(find, "cache_info"):
        typing._get_protocol_attrs = functools.cache(find)  # type: ignore[attr-defined]  # typing's own


def remove_span_cost() -> bool:
    """Take bluesky's spans off its set and wait, unless somebody set up tracing; says whether they are off."""
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return False
    for name in _TRACED:
        setattr(RunEngine, name, inspect.unwrap(getattr(RunEngine, name)))
    return True
