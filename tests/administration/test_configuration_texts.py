"""What cannot be read, planned or written: one clear error each, with its expected text; nothing here needs Tango."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mamba.administration.configuration.entries import (
    ALIAS,
    ATTRIBUTE,
    CLASS_PROPERTY,
    DEVICE,
    POLLING,
    PROPERTY,
    Entry,
    make_snapshot,
)
from mamba.administration.configuration.files import read_yaml
from mamba.administration.configuration.plan import read_plan
from mamba.administration.configuration.rules import check_wanted
from mamba.administration.configuration.writing import dump_yaml
from mamba.errors import ConfigurationError

HEAD = "servers:\n  S/1:\n    devices:\n      a/b/c:\n        class: Motor\n"
LIVE = make_snapshot(
    [
        Entry(DEVICE, ("x/y/z",), ("S/2", "Motor")),
        Entry(ALIAS, ("x/y/z",), ("taken",)),
        Entry(ATTRIBUTE, ("a/b/c", "Position", "max_value"), ("10",)),
    ]
)
DECLARED = {"motor": {"Velocity": "1.5", "Axis": "", "Name": "m"}}


def refuse(folder: Path, text: str) -> str:
    file = folder / "site.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        check_wanted(read_yaml(file), LIVE, DECLARED)
    assert len(str(caught.value).splitlines()) <= 5
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("severs: {}\n", "site.yaml line 1: unknown key 'severs'\n  do:   did you mean 'servers'?"),
        ("servers: [\n", "site.yaml line 2: is not YAML"),
        ("- 1\n", "site.yaml line 1: names with values are wanted here\n  do:   write NAME: VALUE"),
        ("servers: {S: {}}\n", "site.yaml line 1: 'S' is no server\n  do:   write SERVER/INSTANCE"),
        ("servers: {S/1: {devices: {a/b: {}}}}\n", "line 1: 'a/b' is no device\n  do:   write DOMAIN/FAMILY/MEMBER"),
        ("servers: {S/1: {devices: {a/b/c: {}}}}\n", "line 1: a/b/c: 'class' is missing"),
        (HEAD + "        propertys: {}\n", "line 6: unknown key 'propertys'\n  do:   did you mean 'properties'?"),
        (HEAD + "        class: Other\n", "line 6: 'class' stands twice\n  seen: first on line 5"),
        (HEAD + "        attributes: {Position: {unti: mm}}\n", "unknown key 'unti'\n  do:   did you mean 'unit'?"),
        (HEAD + "        properties: {Axis: []}\n", "'Axis': a list without lines\n  do:   write null to remove it"),
        (HEAD + "        properties: {Axis: {a: 1}}\n", "a text or a number is wanted here"),
        (
            HEAD + "        properties: {Velocity: fast}\n",
            "site.yaml line 6: a/b/c Velocity: cannot be used\n  seen: 'fast'\n  do:   write a number; so says the"
            " running server, whose default is 1.5 (other: 'string' in classes.CLASS.types)",
        ),
        (HEAD + "        properties: {Velocty: 1}\n", "unknown property 'Velocty'\n  do:   did you mean 'Velocity'?"),
        (
            HEAD + "        properties: {Axis: 1.5}\nclasses: {Motor: {types: {Axis: integer}}}\n",
            "line 6: a/b/c Axis: cannot be used\n  seen: '1.5'\n  do:   write an integer; so says classes.motor.types",
        ),
        (
            HEAD + "classes: {Motor: {types: {Axis: intger}}}\n",
            "unknown type 'intger'\n  do:   did you mean 'integer'?",
        ),
        (HEAD + "        attributes: {Position: {max_value: nan}}\n", "max_value: cannot be used\n  seen: 'nan'"),
        (HEAD + "        attributes: {Position: {min_value: 20}}\n", "write less than max_value, 10"),
        (HEAD + "        attributes: {Position: {event_period: 0}}\n", "write a time in ms, a whole number above 0"),
        (HEAD + "        polling: {attributes: {State: 0.5}}\n", "write a period in ms, a whole number above 0"),
        (
            HEAD + "        alias: Taken\n",
            "line 6: a/b/c: cannot be used\n  seen: 'Taken'\n  do:   write an alias that",
        ),
    ],
)
def test_what_a_file_gets_wrong_is_said_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refuse(tmp_path, text)


def test_a_declared_type_overrules_what_a_default_suggests(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(HEAD + "        properties: {Velocity: fast}\nclasses: {Motor: {types: {Velocity: string}}}\n")
    wanted = read_yaml(file)
    check_wanted(wanted, LIVE, DECLARED)
    assert wanted.entries[PROPERTY, "a/b/c", "velocity"].values == ("fast",)


@pytest.mark.parametrize(
    "value",
    ["1", "0.50", "1e3", "true", "null", "~", "", " ", "yes", "2020-01-01", "a: b", "#x", "é", "a\nb", "- x", "0x1F"],
)
def test_every_text_survives_the_file(tmp_path: Path, value: str) -> None:
    entries = [
        Entry(DEVICE, ("A/b/c",), ("S/1", "Motor")),
        Entry(PROPERTY, ("A/b/c", "One"), (value,)),
        Entry(PROPERTY, ("A/b/c", "Many"), (value, "", value)),
        Entry(POLLING, ("A/b/c", "command", "State"), ("100",)),
        Entry(ATTRIBUTE, ("A/b/c", "Position", "archived"), (value,)),
        Entry(CLASS_PROPERTY, ("Motor", "Shared"), (value,)),
    ]
    file = tmp_path / "site.yaml"
    file.write_text(dump_yaml(make_snapshot(entries)))
    assert read_yaml(file).entries == make_snapshot(entries)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read\n  seen: No such file"),
        ("{}", "is no plan"),
        ("x", "is no plan\n  seen: Expecting value"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str | None, expected: str) -> None:
    if content is not None:
        (tmp_path / "p.json").write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        read_plan(tmp_path / "p.json")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (
            None,
            "nothing runs here, and TANGO_HOST is not set\n  do:   start a beamline with 'mambactl up'",
        ),
        ("127.0.0.1:1", "Tango database 127.0.0.1:1: does not answer"),
        ("a:1,b:2", "Tango: no control system can be found\n  seen: TANGO_HOST says 'a:1,b:2'"),
    ],
)
def test_a_control_system_that_is_not_there_is_named(tmp_path: Path, host: str | None, expected: str) -> None:
    (tmp_path / "site.yaml").write_text(HEAD)
    environment = {name: value for name, value in os.environ.items() if name != "TANGO_HOST"}
    environment |= {"TANGO_HOST": host} if host else {}
    words = [sys.executable, "-m", "mamba.cli", "--runtime", str(tmp_path / "rt"), "tango", "plan", "site.yaml"]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 3)
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) <= 5
