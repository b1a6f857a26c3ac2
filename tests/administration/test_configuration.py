"""Configuration as files, end to end with `mambactl`, on both databases with Tango's C++ TangoTest running."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tango

from mamba.administration.configuration import applying, database
from mamba.administration.configuration.applying import apply_plan, make_plan, read_wanted
from mamba.administration.configuration.database import read_snapshot
from mamba.administration.configuration.plan import read_plan
from mamba.errors import ConfigurationError, ConfigurationMoved
from tests.support.site_database import running_site
from tests.support.tango_facility import TangoFacility, running_facility, wait_until

FILE = """\
servers:
  TangoTest/files:
    starter: {host: here, level: 2}
    properties: {polling_threads_pool_size: 2}
    devices:
      cf/tt/1:
        class: TangoTest
        alias: Files-1
        properties: {UShort_image_ro_size: 100, Lines: [0.50, '', "a: é"]}
        attributes:
          double_scalar: {label: Gap, unit: mm, min_value: -5, max_value: 5, abs_change: [-0.1, 0.1],
                          others: {Kept: yes}}
        polling: {attributes: {double_scalar: 500}}
      cf/tt/2: {class: TangoTest}
classes:
  TangoTest:
    properties: {Shared: 3}
    attributes: {ampli: {unit: V}}
"""
MOVED = """\
servers:
  TangoTest/files:
    starter: null
    devices:
      cf/tt/1:
        class: TangoTest
        alias: First
        properties: {UShort_image_ro_size: 50, Lines: null}
        attributes: {double_scalar: {unit: cm, min_value: null}}
        polling: {attributes: {double_scalar: 1000}}
      cf/tt/3: {class: TangoTest, alias: Files-1}
  Other/files:
    devices: {cf/tt/2: {class: TangoTest}}
classes:
  TangoTest:
    properties: {Shared: 4}
"""
BARE = "servers:\n  TangoTest/files:\n    devices:\n      cf/tt/1: {class: TangoTest}\n"


@pytest.fixture(scope="module", params=["embedded", "site"])
def facility(request: pytest.FixtureRequest) -> Iterator[TangoFacility]:
    run = running_facility if request.param == "embedded" else running_site
    with tempfile.TemporaryDirectory(prefix="mb-cfg-", dir="/tmp") as folder, run(Path(folder)) as found:
        found.start_tango_test(device="cf/tt/1", instance="files")
        yield found


@pytest.fixture(autouse=True)
def bare(facility: TangoFacility, tmp_path: Path) -> Iterator[None]:
    """Every test starts from, and leaves, one device without any configuration."""
    yield
    file = tmp_path / "bare.yaml"
    file.write_text(BARE + "classes: {TangoTest: {properties: {}}}\n")
    plan = make_plan(facility.host, read_wanted(file), prune=True)
    apply_plan(facility.host, plan, tmp_path / "cleanup.json")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(FILE)
    return path


def mambactl(facility: TangoFacility, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(folder / "rt"), "tango", *words]
    environment = {**os.environ, "TANGO_HOST": facility.host}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_file_is_planned_applied_in_force_and_undone(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    before = read_snapshot(facility.database)
    planned = mambactl(facility, tmp_path, "plan", file.name, "--out", "p.json")
    assert planned.returncode == 0, planned.stderr
    assert "cf/tt/1\n  + alias: 'Files-1'\n" in planned.stdout
    assert "  + attribute double_scalar, unit: 'mm'\n" in planned.stdout
    assert "cf/tt/2\n  + device: class TangoTest, server TangoTest/files\n" in planned.stdout
    assert read_snapshot(facility.database) == before
    applied = mambactl(facility, tmp_path, "apply", "p.json", "--undo", "u.json")
    assert applied.returncode == 0, applied.stderr
    assert "not in force yet: cf/tt/1: properties are read at its next Init" in applied.stdout
    device = facility.device("cf/tt/1")
    info = device.get_attribute_config("double_scalar")
    assert (info.label, info.unit, info.min_value, info.max_value) == ("Gap", "mm", "-5", "5")
    with pytest.raises(tango.DevFailed):
        device.write_attribute("double_scalar", 7.0)
    assert device.get_attribute_poll_period("double_scalar") == 500
    assert list(facility.database.get_device_property("cf/tt/1", "Lines")["Lines"]) == ["0.50", "", "a: é"]
    again = mambactl(facility, tmp_path, "plan", file.name)
    assert again.stdout == "nothing to change\n", again.stdout
    undone = mambactl(facility, tmp_path, "undo", "u.json", "--undo", "redo.json")
    assert undone.returncode == 0, undone.stderr
    assert read_snapshot(facility.database) == before
    assert device.get_attribute_config("double_scalar").max_value == "Not specified"
    assert not device.is_attribute_polled("double_scalar")


def test_what_is_pulled_makes_the_same_again(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    assert mambactl(facility, tmp_path, "apply", file.name, "--yes", "--undo", "u.json").returncode == 0
    pulled = mambactl(facility, tmp_path, "pull", "TangoTest/files", "--out", "pulled.yaml")
    assert pulled.returncode == 0, pulled.stderr
    first = (tmp_path / "pulled.yaml").read_text()
    assert "UShort_image_ro_size: 100\n" in first
    assert mambactl(facility, tmp_path, "diff", "pulled.yaml").returncode == 0
    assert mambactl(facility, tmp_path, "undo", "u.json").returncode == 0
    differs = mambactl(facility, tmp_path, "diff", "pulled.yaml")
    assert (differs.returncode, "Gap" in differs.stdout) == (1, True)
    assert mambactl(facility, tmp_path, "apply", "pulled.yaml", "--yes").returncode == 0
    assert mambactl(facility, tmp_path, "pull", "TangoTest/files").stdout == first


def test_a_server_that_is_not_there_cannot_be_pulled(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    pulled = mambactl(facility, tmp_path, "pull", "TangoTest/file")
    assert (pulled.returncode, pulled.stdout) == (1, "")
    assert pulled.stderr == (
        "TangoTest/file: no such server in the database\n  do:   did you mean 'TangoTest/files'?\n"
    )


def test_a_plan_is_refused_when_the_database_moved(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    assert mambactl(facility, tmp_path, "plan", file.name, "--out", "p.json").returncode == 0
    facility.database.put_device_property("cf/tt/1", {"Other": ["1"]})
    moved = read_snapshot(facility.database)
    refused = mambactl(facility, tmp_path, "apply", "p.json", "--undo", "u.json")
    assert refused.returncode == 1
    assert "site.yaml: the database moved since; nothing was written\n  seen: changed meanwhile: device cf/tt/1" in (
        refused.stderr
    )
    assert read_snapshot(facility.database) == moved
    assert not (tmp_path / "u.json").exists()


def test_an_undo_is_refused_when_the_database_moved(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    undo = tmp_path / "u.json"
    apply_plan(facility.host, make_plan(facility.host, read_wanted(file)), undo)
    facility.database.put_device_property("cf/tt/2", {"Other": ["1"]})
    with pytest.raises(ConfigurationMoved, match="device cf/tt/2"):
        apply_plan(facility.host, read_plan(undo), tmp_path / "redo.json")


@pytest.mark.parametrize("broken", ["server", "database"])
def test_a_failure_in_the_middle_is_put_back(
    facility: TangoFacility, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    before = read_snapshot(facility.database)
    file = tmp_path / "refused.yaml"
    attribute = "no_such_attribute" if broken == "server" else "double_scalar"
    file.write_text(
        BARE.replace("class: TangoTest", f"class: TangoTest, alias: gone, attributes: {{{attribute}: {{unit: mm}}}}")
    )
    plan = make_plan(facility.host, read_wanted(file))
    if broken == "database":

        def refuse(*_: object) -> None:
            monkeypatch.undo()
            tango.Except.throw_exception("DB_SQLError", "disk full", "test")

        monkeypatch.setitem(database._WRITERS, "attribute", refuse)
    with pytest.raises(ConfigurationError, match="a change was refused; the database is as it was"):
        apply_plan(facility.host, plan, tmp_path / "u.json")
    assert read_snapshot(facility.database) == before
    assert not (tmp_path / "u.json").exists()


class InterruptedDatabase:
    """A database at whose n-th writing call, and at all that follow, somebody presses Ctrl-C."""

    def __init__(self, real: tango.Database, at: int) -> None:
        self._real, self._at, self.writes = real, at, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if not name.startswith(("put_", "delete_", "add_")):
            return method

        def write_and_press(*arguments: Any) -> Any:
            answer = method(*arguments)
            self.writes += 1
            if self.writes >= self._at:
                signal.raise_signal(signal.SIGINT)
            return answer

        return write_and_press


def test_ctrl_c_after_any_of_the_writes_leaves_all_as_it_was(
    facility: TangoFacility, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Properties, attributes, polling; an alias that goes to another device, and a device to another server."""
    file, undo = tmp_path / "site.yaml", tmp_path / "u.json"
    file.write_text(FILE.replace("cf/tt/2: {class: TangoTest}", "cf/tt/2: {class: TangoTest, alias: Second}"))
    apply_plan(facility.host, make_plan(facility.host, read_wanted(file)), tmp_path / "first.json")
    file.write_text(MOVED)
    before = read_snapshot(facility.database)
    plan = make_plan(facility.host, read_wanted(file))
    for at in itertools.count(1):
        pressed = InterruptedDatabase(facility.database, at)
        monkeypatch.setattr(applying, "open_database", lambda _host, found=pressed: found)
        try:
            apply_plan(facility.host, plan, undo)
        except KeyboardInterrupt:
            assert read_snapshot(facility.database) == before, f"after write {at}"
            assert not undo.exists()
        else:
            break  # it was complete before
    monkeypatch.undo()
    assert at > 8
    assert make_plan(facility.host, read_wanted(file)).changes == []
    assert facility.device("cf/tt/1").get_attribute_config("double_scalar").unit == "cm"
    apply_plan(facility.host, read_plan(undo), tmp_path / "redo.json")
    assert read_snapshot(facility.database) == before


@pytest.mark.parametrize("facility", ["embedded"], indirect=True)
def test_ctrl_c_at_the_terminal_says_what_became_of_it(facility: TangoFacility, tmp_path: Path) -> None:
    before = read_snapshot(facility.database)
    (tmp_path / "many.yaml").write_text(make_many(200))
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(tmp_path / "rt"), "tango", "apply", "many.yaml"]
    environment = {**os.environ, "TANGO_HOST": facility.host}
    process = subprocess.Popen(
        [*command, "--yes", "--undo", "u.json"],
        env=environment,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: facility.database.get_device_name("Many/a", "Many").value_string, what="it writes", timeout_s=30)
    process.send_signal(signal.SIGINT)
    told, said = process.communicate(timeout=60)
    if process.returncode == 0:  # it was faster than we
        assert "written; 'mambactl tango undo u.json' takes it back" in told
        assert make_plan(facility.host, read_wanted(tmp_path / "many.yaml")).changes == []
        apply_plan(facility.host, read_plan(tmp_path / "u.json"), tmp_path / "redo.json")
    else:
        assert (process.returncode, said) == (130, "\nmany.yaml: interrupted; the database is as it was\ninterrupted\n")
        assert "written" not in told
    assert read_snapshot(facility.database) == before
    assert not (tmp_path / "u.json").exists() or process.returncode == 0


def test_an_apply_that_died_in_the_middle_is_undone(
    facility: TangoFacility, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_snapshot(facility.database)
    undo = tmp_path / "u.json"
    monkeypatch.setattr(applying, "_roll_back", lambda *_: None)  # as if the machine had stopped
    monkeypatch.setitem(database._WRITERS, "class property", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        apply_plan(facility.host, make_plan(facility.host, read_wanted(file)), undo)
    monkeypatch.undo()
    assert read_snapshot(facility.database) != before
    apply_plan(facility.host, read_plan(undo), tmp_path / "redo.json")
    assert read_snapshot(facility.database) == before


def test_only_prune_and_null_remove(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    undo = tmp_path / "u.json"
    apply_plan(facility.host, make_plan(facility.host, read_wanted(file)), undo)
    bare = tmp_path / "less.yaml"
    bare.write_text(BARE)
    assert make_plan(facility.host, read_wanted(bare)).changes == []
    bare.write_text(BARE.replace("class: TangoTest", "class: TangoTest, alias: null, properties: {Lines: null}"))
    gone = make_plan(facility.host, read_wanted(bare)).changes
    assert [(c.key[0], c.after) for c in gone] == [("alias", None), ("property", None)]
    pruned = {c.key[:2] for c in make_plan(facility.host, read_wanted(bare), prune=True).changes}
    assert ("device", "cf/tt/2") in pruned
    assert ("class property", "tangotest") not in pruned, "the file does not name the class"


def test_a_property_that_is_no_number_is_refused(facility: TangoFacility, tmp_path: Path) -> None:
    before = read_snapshot(facility.database)
    file = tmp_path / "wrong.yaml"
    file.write_text(BARE.replace("class: TangoTest", "class: TangoTest, properties: {UShort_image_ro_size: big}"))
    refused = mambactl(facility, tmp_path, "apply", file.name, "--yes")
    assert refused.returncode == 1
    assert (
        "line 4: cf/tt/1 UShort_image_ro_size: cannot be used\n  seen: 'big'\n  do:   write a number" in refused.stderr
    )
    assert read_snapshot(facility.database) == before


def test_dsconfig_understands_ours_and_we_its(facility: TangoFacility, file: Path, tmp_path: Path) -> None:
    undo = tmp_path / "u.json"
    apply_plan(facility.host, make_plan(facility.host, read_wanted(file)), undo)
    ours = mambactl(facility, tmp_path, "pull", "TangoTest/files", "--dsconfig", "--out", "ours.json")
    assert ours.returncode == 0, ours.stderr
    apply_plan(facility.host, read_plan(undo), tmp_path / "redo.json")
    environment = {**os.environ, "TANGO_HOST": facility.host}
    words = [sys.executable, "-m", "dsconfig.json2tango", "--no-strict-check", "--write", str(tmp_path / "ours.json")]
    written = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert written.returncode == 2, written.stdout + written.stderr  # dsconfig's word for "written"
    assert make_plan(facility.host, read_wanted(tmp_path / "ours.json")).changes == []
    words = [sys.executable, "-m", "dsconfig.dump", "-c", "server:TangoTest/files"]
    dumped = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    # dsconfig reads properties as Latin-1, though it writes them, like PyTango, as UTF-8
    (tmp_path / "theirs.json").write_text(dumped.stdout.replace("Ã©", "é"))
    theirs = json.loads(dumped.stdout)["servers"]["TangoTest"]["files"]["TangoTest"]["cf/tt/1"]
    assert theirs["alias"] == "Files-1"
    assert make_plan(facility.host, read_wanted(tmp_path / "theirs.json")).changes == []


def make_many(count: int) -> str:
    """A file of many devices, six entries each."""
    lines = ["servers:", "  Many/a:", "    devices:"]
    for number in range(count):
        lines.append(f"      cf/many/{number}: {{class: Many, alias: many-{number}, properties: {{Axis: {number}}},")
        lines.append("        attributes: {Position: {unit: mm, max_value: 5}}, polling: {attributes: {State: 1000}}}")
    return "\n".join(lines)


def test_two_hundred_devices(facility: TangoFacility, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(make_many(200))
    start = time.perf_counter()
    plan = make_plan(facility.host, read_wanted(file))
    planned = time.perf_counter()
    apply_plan(facility.host, plan, tmp_path / "u.json")
    applied = time.perf_counter()
    assert len(plan.changes) == 1200
    apply_plan(facility.host, read_plan(tmp_path / "u.json"), tmp_path / "redo.json")
    undone = time.perf_counter()
    with capsys.disabled():
        print(f" plan {planned - start:.2f} s, apply {applied - planned:.2f} s, undo {undone - applied:.2f} s ", end="")
