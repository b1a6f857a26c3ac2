"""The telemetry check of PyTango: still there to be removed, and worth it."""

from __future__ import annotations

import timeit

import tango

from mamba.devices import upstream_costs


def test_the_check_is_removed():
    assert upstream_costs._find_runtime().refresh_from_env is upstream_costs._keep


def test_it_is_still_called_for_every_request_and_still_costs():
    """If this fails, PyTango changed: see whether mamba/devices/upstream_costs.py is still needed."""
    import inspect

    from tango import _instrumentation

    assert "_telemetry_runtime.refresh_from_env()" in inspect.getsource(_instrumentation._trace_client)
    assert tango.Release.version_info[:2] == (10, 3)
    runtime = upstream_costs._find_runtime()
    original = type(runtime).refresh_from_env
    assert min(timeit.repeat(lambda: original(runtime), number=100, repeat=3)) / 100 > 20e-6


def test_telemetry_that_somebody_wants_is_kept(monkeypatch):
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


def test_a_pytango_without_the_check_is_left_alone(monkeypatch):
    monkeypatch.setattr(upstream_costs, "_find_runtime", lambda: None)
    assert not upstream_costs.skip_telemetry_check()
