"""The facility's pure parts: registration, restarts, last words, the table of commands."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mamba.errors import FacilityError, PortTaken
from mamba.facility.database import reserve_same_port
from mamba.facility.process import find_last_words
from mamba.facility.progress import dump_error, load_error
from mamba.facility.registration import Wanted, plan_registration, store_value
from mamba.facility.restarts import RestartPolicy
from mamba.runtime import RuntimeDirectory


def _want(**properties: str) -> Wanted:
    values = {name: [value] for name, value in properties.items()}
    return {"server": "S/1", "class": "C", "alias": "", "properties": values}


@pytest.mark.parametrize(
    ("value", "stored"),
    [(True, ["true"]), (25.0, ["25.0"]), (3, ["3"]), ("mm", ["mm"]), ([1.5, 2.0], ["1.5", "2.0"])],
)
def test_stored_form_of_a_property(value: object, stored: list[str]) -> None:
    assert store_value(value) == stored


def test_new_device_is_added_with_its_properties() -> None:
    plan = plan_registration({"S/1": {"A/B/c": _want(Unit="mm")}}, {}, {})
    assert plan.add == [("a/b/c", "S/1", "C")]
    assert plan.write == {"a/b/c": {"Unit": ["mm"]}}


def test_nothing_changes_twice() -> None:
    wanted = _want(Unit="mm")
    plan = plan_registration({"S/1": {"a/b/c": wanted}}, {"a/b/c": wanted}, {"a/b/c": wanted})
    assert plan.describe() == []


def test_administrators_value_is_kept_in_any_spelling_of_its_name() -> None:
    wanted, found = _want(Unit="mm"), _want(unit="um")
    assert plan_registration({"S/1": {"a/b/c": wanted}}, {"a/b/c": found}, {"a/b/c": wanted}).write == {}
    assert plan_registration({"S/1": {"a/b/c": wanted}}, {"a/b/c": found}, {}).write == {}


def test_a_changed_profile_wins() -> None:
    plan = plan_registration(
        {"S/1": {"a/b/c": _want(Unit="cm")}}, {"a/b/c": _want(Unit="um")}, {"a/b/c": _want(Unit="mm")}
    )
    assert plan.write == {"a/b/c": {"Unit": ["cm"]}}


def test_what_left_the_profile_leaves_the_database() -> None:
    gone, found = {"a/b/c": _want(Unit="mm", Step="1"), "a/b/d": _want()}, _want(Unit="mm", Step="2", Note="mine")
    plan = plan_registration({"S/1": {"a/b/c": _want()}}, {"a/b/c": found, "a/b/d": _want()}, gone)
    assert plan.delete == {"a/b/c": ["Unit"]}  # Step was changed by hand, Note was never ours
    assert plan.remove == ["a/b/d"]


def test_a_device_of_another_server_is_not_taken() -> None:
    theirs: Wanted = {"server": "Other/1", "class": "C", "alias": "", "properties": {}}
    with pytest.raises(FacilityError, match=r"a/b/c: belongs to another server"):
        plan_registration({"S/1": {"a/b/c": _want()}}, {"a/b/c": theirs}, {})


def test_restarts_slow_down_and_end() -> None:
    policy = RestartPolicy(most_per_minute=3)
    assert [policy.plan_restart(now) for now in (0.0, 1.0, 2.0, 3.0)] == [0.2, 0.4, 0.8, None]
    assert policy.plan_restart(70.0) == 0.2


def test_last_words() -> None:
    assert find_last_words("one\ntwo\n\n---\n") == "two"
    assert find_last_words("") == ""
    tango = "DevFailed[\nDevError[\n    desc = no such class\n  origin = x\n severity = ERR\n]\n]\n"
    assert find_last_words(tango) == "no such class"


def test_an_error_travels_with_its_class() -> None:
    error = load_error(dump_error(PortTaken("port 1: taken", seen="by us", remedy="end it")))
    assert isinstance(error, PortTaken)
    assert str(error) == "port 1: taken\n  seen: by us\n  do:   end it"


def test_help_is_quick_and_names_the_exit_codes() -> None:
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-m", "mamba.cli", "--help"], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2.0  # 0.1 s on a quiet machine
    words = ("up", "down", "status", "console", "run", "restart", "log", "gui", "user", "doctor", "demo", "Exit codes:")
    for word in words:
        assert word in result.stdout


def test_supervisor_imports_nothing_heavy() -> None:
    code = "import sys, mamba.facility.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tango", "numpy", "zmq", "bluesky", "psutil", "IPython"} & set(loaded)


def test_the_database_keeps_its_port_from_one_time_to_the_next(tmp_path: Path) -> None:
    runtime = RuntimeDirectory.create(tmp_path / "rt")
    with reserve_same_port(runtime) as first:
        port = first.getsockname()[1]
    with reserve_same_port(runtime) as again:
        assert again.getsockname()[1] == port
        again.listen()
        with reserve_same_port(runtime) as other:
            assert other.getsockname()[1] != port
