"""What upstream spends per point, watched: when it changes shape, or costs no more, this says so."""

from __future__ import annotations

import copy
import inspect
import sys
import time
import timeit
import typing
from collections.abc import Callable, Iterator
from typing import Any

import event_model
import jsonschema
import pytest
import tango
from bluesky import RunEngine, plan_stubs, protocols, utils
from opentelemetry import trace
from ophyd import Signal

from mamba.devices import upstream_costs
from mamba.devices.upstream_costs import (
    is_plain_event,
    remove_plan_stack_cost,
    remove_scan_costs,
    remove_span_cost,
    restore_plan_stack_cost,
)

EVENT = {
    "uid": "6f0c",
    "descriptor": "11ab",
    "time": 1.5e9,
    "seq_num": 1,
    "data": {"M_x": 0.5},
    "timestamps": {"M_x": 1.5e9},
    "filled": {},
}


@pytest.fixture
def removed() -> Iterator[None]:
    remove_scan_costs()
    yield
    remove_plan_stack_cost()


def seconds(action: Callable[[], Any], number: int = 100) -> float:
    """The best of several rounds."""
    return min(timeit.repeat(action, number=number, repeat=5)) / number


def seconds_per_stub(depth: int = 30, repeats: int = 300) -> float:
    """Time to make one plan stub, at a depth of calls that a scan in a console has."""
    if depth:
        return seconds_per_stub(depth - 1, repeats)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(repeats):
            list(plan_stubs.null())
        best = min(best, time.perf_counter() - began)
    return best / repeats


def test_upstream_still_formats_a_stack_for_every_stub(removed: None) -> None:
    restore_plan_stack_cost()
    assert "traceback.format_stack()" in inspect.getsource(utils.Plan.__init__)
    assert utils.Plan.__slots__ == ("_iter", "_stack")


def test_removal_makes_stubs_several_times_cheaper(removed: None) -> None:
    without = seconds_per_stub()
    restore_plan_stack_cost()
    with_it = seconds_per_stub()
    assert without < with_it / 3


def test_plan_that_is_never_iterated_still_warns_with_its_place(removed: None) -> None:
    with pytest.warns(RuntimeWarning, match=r"test_upstream_costs\.py(.|\n)*plan `null` was never iterated"):
        plan_stubs.null()


def test_iterated_plan_does_not_warn(removed: None) -> None:
    assert [message.command for message in plan_stubs.null()] == ["null"]


def test_telemetry_check_is_removed() -> None:
    assert upstream_costs._find_runtime().refresh_from_env is upstream_costs._keep


def test_telemetry_check_is_still_called_for_every_request_and_still_costs() -> None:
    """If this fails, PyTango changed: see whether mamba/devices/upstream_costs.py is still needed."""
    from tango import _instrumentation

    assert "_telemetry_runtime.refresh_from_env()" in inspect.getsource(_instrumentation._trace_client)
    assert tango.Release.version_info[:2] == (10, 3)
    runtime = upstream_costs._find_runtime()
    original = type(runtime).refresh_from_env
    assert min(timeit.repeat(lambda: original(runtime), number=100, repeat=3)) / 100 > 20e-6


def test_telemetry_that_somebody_wants_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wanted:
        refreshed = 0

        def refresh_from_env(self):
            self.refreshed += 1

        def can_propagate_context(self):
            return True

    wanted = Wanted()
    monkeypatch.setattr(upstream_costs, "_find_runtime", lambda: wanted)
    assert not upstream_costs.skip_telemetry_check()
    wanted.refresh_from_env()
    assert wanted.refreshed == 2


def test_a_pytango_without_the_check_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_costs, "_find_runtime", lambda: None)
    assert not upstream_costs.skip_telemetry_check()


def test_events_are_still_checked_by_jsonschema_and_that_still_costs(removed: None) -> None:
    source = inspect.getsource(event_model.ComposeEvent.__call__)
    assert "schema_validators[DocumentNames.event].validate(doc)" in source
    ours: Any = event_model.schema_validators[event_model.DocumentNames.event]
    assert seconds(lambda: ours.validate(EVENT)) < seconds(lambda: ours.upstream.validate(EVENT)) / 5


def test_schema_of_events_says_no_more_than_is_looked_at(removed: None) -> None:
    """A field or type that event-model adds must be looked at as well."""
    schema: Any = event_model.schema_validators[event_model.DocumentNames.event].schema
    partial = schema["$defs"]["PartialEvent"]
    assert set(schema["properties"]) | set(partial["properties"]) == EVENT.keys()
    types = {name: entry["type"] for part in (schema, partial) for name, entry in part["properties"].items()}
    assert types == {
        "descriptor": "string", "seq_num": "integer", "uid": "string", "time": "number",
        "data": "object", "timestamps": "object", "filled": "object",
    }  # fmt: skip
    assert partial["properties"]["data"]["additionalProperties"] is True
    assert partial["properties"]["timestamps"]["additionalProperties"] is True


WRONG = [
    {"uid": 1}, {"descriptor": None}, {"time": "now"}, {"seq_num": 1.5}, {"seq_num": True}, {"data": []},
    {"timestamps": None}, {"filled": {"M_x": 3}}, {"more": 1},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_what_is_no_event_is_refused_as_ever(removed: None, change: dict[str, Any]) -> None:
    event = {**EVENT, **change}
    assert not is_plain_event(event)
    with pytest.raises(jsonschema.ValidationError):
        event_model.schema_validators[event_model.DocumentNames.event].validate(event)


@pytest.mark.parametrize("missing", EVENT)
def test_event_that_lacks_a_field_is_judged_by_jsonschema(removed: None, missing: str) -> None:
    event = copy.deepcopy(EVENT)
    del event[missing]
    validator: Any = event_model.schema_validators[event_model.DocumentNames.event]
    assert not is_plain_event(event)
    if missing == "filled":
        validator.validate(event)
        return
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(event)


def test_events_of_odd_but_allowed_types_pass(removed: None) -> None:
    event_model.schema_validators[event_model.DocumentNames.event].validate({**EVENT, "time": 5})


def test_reading_that_lacks_a_key_is_still_refused(removed: None) -> None:
    compose = event_model.ComposeEvent({"uid": "1", "name": "primary", "data_keys": {"a": {}}}, {"primary": 1})
    with pytest.raises(event_model.EventModelValidationError, match="keys must match"):
        compose(data={}, timestamps={})


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python remembers by itself")
def test_protocols_are_still_looked_through_each_time_and_that_still_costs(removed: None) -> None:
    assert "_get_protocol_attrs(cls)" in inspect.getsource(typing._ProtocolMeta.__instancecheck__)
    find: Any = typing._get_protocol_attrs  # type: ignore[attr-defined]
    assert find(protocols.Readable) == find.__wrapped__(protocols.Readable)
    assert seconds(lambda: find(protocols.Readable)) < seconds(lambda: find.__wrapped__(protocols.Readable)) / 5


def test_protocols_tell_devices_apart_as_ever(removed: None) -> None:
    signal = Signal(name="s", value=0)
    assert isinstance(signal, protocols.Movable)
    assert isinstance(signal, protocols.Readable)
    assert not isinstance(object(), protocols.Readable)
    assert not isinstance(signal, protocols.Flyable)


def test_spans_are_still_opened_at_set_and_wait_and_are_off(removed: None) -> None:
    source = inspect.getsource(sys.modules[RunEngine.__module__])
    for name in ("set", "wait"):
        assert f'@tracer.start_as_current_span(f"{{_SPAN_NAME_PREFIX}} {name}")\n    async def _{name}(' in source
        assert not hasattr(getattr(RunEngine, f"_{name}"), "__wrapped__")


def test_spans_that_somebody_wants_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RunEngine._set
    monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)
    assert not remove_span_cost()
    assert RunEngine._set is before
