"""The contract on every server of ours, on TangoTest, and on a server that breaks each promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tango

from mamba.administration.contract import Leave, Result, examine
from mamba.administration.subject import open_subject
from tests.administration.conftest import Run
from tests.support.tango_facility import TangoFacility
from tests.tango.conftest import BEAMLINE, CAMERA

EVERYTHING = Leave.MOVE | Leave.RESTART


@pytest.mark.parametrize("name", [*BEAMLINE, *CAMERA])
def test_every_server_of_ours_keeps_the_contract(control_system: TangoFacility, name: str) -> None:
    subject = open_subject(control_system.host, name)
    before = {info.name: subject.read_set_point(info.name) for info in subject.set_points}
    findings = list(examine(subject, EVERYTHING))
    assert [f for f in findings if f.result in (Result.FAILED, Result.NOT_TRIED)] == []
    assert {f.check for f in findings if f.result == Result.OK} >= {"events arrive", "RestartServer brings it back"}
    assert {info.name: subject.read_set_point(info.name) for info in subject.set_points} == before


def test_it_does_the_same_on_the_database_of_a_site(site_test: TangoFacility) -> None:
    findings = list(examine(open_subject(site_test.host, "site/axis/1"), EVERYTHING))
    assert [f for f in findings if f.result in (Result.FAILED, Result.NOT_TRIED)] == []
    assert {f.check for f in findings if f.result == Result.OK} >= {"memorized values survive", "properties known"}


def test_a_motor_is_moved_stopped_and_put_back(control_system: TangoFacility) -> None:
    subject = open_subject(control_system.host, "vbl/axis/sample_x")
    found = {finding.check: finding for finding in examine(subject, EVERYTHING)}
    assert "a move of Position: MOVING, Stop → ON after " in found["Stop ends a move"].seen
    assert "Velocity" in found["memorized values survive"].seen
    assert subject.device.Position == pytest.approx(0.0, abs=1e-3)


def test_without_leave_nothing_is_written_or_called(control_system: TangoFacility) -> None:
    # a process of its own, so that the black boxes tell its calls from ours
    command = [sys.executable, "-m", "mamba.cli", "--runtime", str(control_system.folder / "none")]
    command += ["tango", "check", "vbl/axis/sample_x", "--host", control_system.host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1].endswith(" 8 not tried")
    subject = open_subject(control_system.host, "vbl/axis/sample_x")
    calls = [*subject.device.black_box(50), *subject.admin.black_box(50)]
    by_mambactl = [line for line in calls if "PID" in line and f"PID {os.getpid()})" not in line]
    assert any("QueryWizardDevProperty" in line for line in by_mambactl)
    forbidden = ("write_", "Init", "Restart", "Stop", "Abort")
    assert not [line for line in by_mambactl if any(word in line for word in forbidden)]


def test_tango_test_is_told_what_it_lacks(mambactl: Run) -> None:
    done = mambactl("tango", "check", "sys/tg_test/1")
    assert done.returncode == 1, done.stderr
    assert "sys/tg_test/1: class TangoTest, server TangoTest/test" in done.stdout
    assert "no description: ampli" in done.stdout
    assert (
        "State sends none: The polling (necessary to send events) for the attribute state is not started" in done.stdout
    )
    assert done.stdout.splitlines()[-1] == "1 ok, 4 failed, 1 not applicable, 8 not tried"


def test_what_is_in_use_is_not_touched(control_system: TangoFacility) -> None:
    findings = list(examine(open_subject(control_system.host, "sys/tg_test/1"), EVERYTHING))
    held = [finding for finding in findings if finding.result == Result.NOT_TRIED]
    assert len(held) == 8
    assert {finding.seen for finding in held} == {"State is RUNNING: somebody uses it"}


def test_findings_as_json_and_the_exit_code_of_a_good_server(mambactl: Run) -> None:
    done = mambactl("tango", "check", "vbl/source/ring", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["device"] == "vbl/source/ring"
    assert {"check", "result", "seen", "remedy"} == set(told["findings"][0])
    assert [f["result"] for f in told["findings"] if f["check"] == "events arrive"] == ["ok"]


BAD_SERVER = """
import sys
import tango
from tango import AttrWriteType, DevState
from tango.server import Device, attribute, command, device_property, run

class Careless(Device):
    Undescribed = device_property(dtype=float, default_value=1.0)
    def init_device(self):
        super().init_device()
        self.value, self.stops = 1.0, 0
        self.set_state(DevState.ON)
    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, memorized=True, hw_memorized=False)
    def Value(self):
        return self.value
    @Value.write
    def Value(self, value):
        self.value = value
    @attribute(dtype=float, access=AttrWriteType.READ_WRITE, min_value="0", max_value="10", memorized=True)
    def Forgets(self):
        return 2.0
    @Forgets.write
    def Forgets(self, value):
        self.get_device_attr().get_w_attr_by_name("Forgets").set_write_value(3.0)
    @command
    def Stop(self):
        raise RuntimeError("nothing moves")
    @command(dtype_in=float)
    def Silent(self, value):
        pass

run([Careless], args=["Careless", sys.argv[1], *sys.argv[2:]], post_init_callback=lambda: print("ready", flush=True))
"""


@pytest.fixture(scope="module")
def careless(control_system: TangoFacility) -> Iterator[str]:
    script = control_system.folder / "careless.py"
    script.write_text(f"#!{sys.executable}\n{BAD_SERVER}")
    script.chmod(0o700)
    control_system.register("Careless/1", {"test/careless/1": ("Careless", {"Undescibed": 3.0})})
    control_system.start_program("Careless/1", Path(script), ready="^ready")
    yield "test/careless/1"
    control_system.stop("Careless/1")


def test_each_broken_promise_is_found(control_system: TangoFacility, careless: str) -> None:
    found = {f.check: f for f in examine(open_subject(control_system.host, careless), EVERYTHING)}
    assert {name for name, f in found.items() if f.result == Result.FAILED} == {
        "State and Status explain",
        "properties documented",
        "properties known",
        "attributes documented",
        "commands documented",
        "events arrive",
        "Stop harmless at rest",
        "memorized values survive",
    }
    assert found["properties known"].seen == "set, but read by nobody: Undescibed"
    assert found["properties known"].remedy == "Undescibed: did you mean 'Undescribed'?"
    assert found["NaN refused"].result == Result.OK  # Tango itself refuses it
    assert found["Stop harmless at rest"].seen == "Stop in ON: RuntimeError: nothing moves"
    assert found["limits enforced"].result == Result.OK


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "vbl/axis/sample_y",
            "vbl/axis/sample_y: cannot be examined\n  seen: no device of HOST\n"
            "  do:   did you mean 'vbl/axis/sample_x'?\n",
        ),
        (
            "sample_x",
            "sample_x: cannot be examined\n  seen: no device of HOST\n  do:   write DOMAIN/FAMILY/MEMBER or an alias\n",
        ),
        (
            "test/dead/1",
            "test/dead/1: cannot be examined, its server Dead/1 does not run\n"
            "  seen: registered in the database, exported by nobody\n  do:   start Dead/1\n",
        ),
    ],
)
@pytest.mark.parametrize("command", ["check", "events"])
def test_a_device_that_cannot_be_examined_is_one_clear_error(
    control_system: TangoFacility, mambactl: Run, command: str, name: str, text: str
) -> None:
    control_system.register("Dead/1", {"test/dead/1": ("Dead", {})})
    done = mambactl("tango", command, name)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", text.replace("HOST", control_system.host))


def test_a_database_that_is_not_there(mambactl: Run) -> None:
    done = mambactl("tango", "check", "a/b/c", tango_host="127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("Tango database 127.0.0.1:9: does not answer\n  seen: ")
    assert len(done.stderr.splitlines()) <= 5


def test_a_killed_server_is_named(control_system: TangoFacility) -> None:
    name = "test/killed/1"
    control_system.register("Shutter/killed", {name: ("Shutter", {})})
    process = control_system.start("Shutter/killed", "tango_servers.shutter")
    process.send_signal(9)
    process.wait()
    control_system.servers.pop("Shutter/killed")
    with pytest.raises(Exception, match="its server Shutter/killed does not answer") as caught:
        open_subject(control_system.host, name)
    assert not isinstance(caught.value, tango.DevFailed)
