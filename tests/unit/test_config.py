from pathlib import Path

import pytest

from mamba.config import BUILT_IN_PROFILE, load_profile, read_environment
from mamba.errors import ProfileError

GOOD = """\
name: test
servers:
  Motion/one:
    module: tango_servers.axis
    devices:
      test/axis/1: {class: Axis, properties: {Unit: mm}}
devices:
  M:
    stage.x: {tango: test/axis/1, type: motor}
console:
  startup: startup.py
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "startup.py").write_text("")

    def write(text):
        file = tmp_path / "beamline.yaml"
        file.write_text(text)
        return file

    return write


def test_the_built_in_profile_is_good():
    profile = load_profile(BUILT_IN_PROFILE)
    assert profile.console.startup.is_file()
    tango_names = {name for server in profile.servers.values() for name in server.devices}
    assert {d.tango for d in (*profile.devices.M.values(), *profile.devices.D.values())} <= tango_names


def test_paths_are_relative_to_the_profile(write, tmp_path):
    profile = load_profile(write(GOOD))
    assert profile.console.startup == tmp_path / "startup.py"
    assert profile.path == profile.model_copy(update={"title": "x"}).path == tmp_path / "beamline.yaml"


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        (
            "modul:",
            "module:",
            "line 4: unknown key 'servers.Motion/one.modul' (1 more)\n  do:   did you mean 'module'?",
        ),
        ("propertys:", "properties:", "line 6: unknown key 'servers.Motion/one.devices.test/axis/1.propertys'"),
        ("type: moter", "type: motor", "line 9: 'devices.M.stage.x.type' cannot be used\n  seen: 'moter'"),
        ("nam: test", "name: test", "line 1: unknown key 'nam' (1 more)\n  do:   did you mean 'name'?"),
        ("name: Two Words", "name: test", "line 1: 'name' cannot be used\n  seen: 'Two Words'"),
        ("startup: gone.py", "startup: startup.py", "line 11: the start-up script is missing"),
        ("name: test\nname: twice", "name: test", "line 2: 'name' stands twice\n  seen: first on line 1"),
        ("stage.2x:", "stage.x:", "device M.stage.2x: not a Python name"),
        (
            "Motion:",
            "Motion/one:",
            "line 3: 'servers.Motion' cannot be used\n  seen: 'Motion'\n  do:   write SERVER/INSTANCE",
        ),
        ("test axis:", "test/axis/1:", "line 6: 'servers.Motion/one.devices.test axis' cannot be used"),
        ("tango: {port: 99999}\nservers:", "servers:", "seen: 99999\n  do:   write 'auto' or a number from 1 to 65535"),
        ("tango: {port: true}\nservers:", "servers:", "line 2: 'tango.port' cannot be used"),
        ("name: [", "name: test", "is not YAML"),
        ("name: test\npath: /x", "name: test", "line 2: unknown key 'path'"),
    ],
)
def test_a_mistake_is_named_with_its_line(write, wrong, right, expected):
    assert right in GOOD
    with pytest.raises(ProfileError) as caught:
        load_profile(write(GOOD.replace(right, wrong)))
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 5


def test_a_profile_that_is_not_there():
    with pytest.raises(ProfileError, match="No such file"):
        load_profile(Path("/nowhere/beamline.yaml"))


@pytest.mark.parametrize("text", ["", "- a", "word"])
def test_a_profile_that_is_no_mapping(write, text):
    with pytest.raises(ProfileError, match="is not a mapping"):
        load_profile(write(text))


def test_the_environment_decides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_environment({}).profile == BUILT_IN_PROFILE
    (tmp_path / "beamline.yaml").touch()
    assert read_environment({}).profile == Path("beamline.yaml")
    given = read_environment({"MAMBA_RUNTIME_DIR": "/x", "MAMBA_PROFILE": "p.yaml", "DISPLAY": ":1"})
    assert (given.runtime_dir, given.profile, given.graphical) == (Path("/x"), Path("p.yaml"), True)
    assert read_environment({"XDG_RUNTIME_DIR": "/run/user/1"}).runtime_dir == Path("/run/user/1/mamba")
