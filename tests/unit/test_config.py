import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.config import BUILT_IN_PROFILE, load_profile, read_environment
from mamba.config.people import fold_person, read_person
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


PEOPLE = """\
people:
  login: ldap
  ldap:
    url: ldaps://ldap.example.org
    user_dn: uid={person},ou=people,dc=example,dc=org
    ca_file: site.pem
  roles:
    observer: [grace]
    expert: [ada]
  control: true
"""


def test_without_a_word_about_people_there_is_no_login(write):
    people = load_profile(write(GOOD)).people
    assert (people.login, people.control, people.default_role) == ("none", False, "operator")


def test_files_of_the_people_section_are_relative_to_the_profile(write, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    people = load_profile(write(GOOD + PEOPLE)).people
    assert people.accounts == tmp_path / "accounts.json"
    assert people.ldap.ca_file == tmp_path / "site.pem"
    assert people.control_timeout_s == 60


def test_a_role_is_found_as_a_directory_finds_the_person(write):
    roles = load_profile(write(GOOD + PEOPLE)).people.roles
    assert [roles.find(name) for name in ("ada", "Grace", "ＧＲＡＣＥ", "eve")] == [
        "expert",
        "observer",
        "observer",
        None,
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (
            "login: ldap",
            "login: none",
            "line 21: 'people.control' cannot be used\n  seen: True\n"
            "  do:   control passes between persons: add 'login: accounts' (or pam, ldap), or write false",
        ),
        ("expert: [ada]", "expert: [ada, Grace]", "line 20: 'people.roles.expert' cannot be used"),
        ("expert: [ada]", "expert: ['ada lovelace']", "line 20: 'people.roles.expert.0' cannot be used"),
        ("login: ldap", "login: accounts", "do:   with login: accounts the roles stand in the accounts"),
        ("login: ldap", "login: kerberos", "line 13: 'people.login' cannot be used"),
        ("    url: ldaps://ldap.example.org\n", "", "line 13: 'people.login' cannot be used\n  seen: 'ldap'"),
        ("{person}", "ada", "line 16: 'people.ldap.user_dn' cannot be used"),
        ("uid={person}", "uid={person},cn={person}", "do:   write {person} once"),
        ("ldaps://", "https://", "line 15: 'people.ldap.url' cannot be used"),
        ("ldaps://", "ldap://", "do:   passwords would cross the network in the clear"),
        ("ldap.example.org", "ada:secret@ldap.example.org", "write ldaps://HOST or ldaps://HOST:PORT and nothing more"),
        ("ldap.example.org", "ldap.example.org:99999", "line 15: 'people.ldap.url' cannot be used"),
        (
            "control: true",
            "control: true\n  control_timeout_s: 0",
            "line 22: 'people.control_timeout_s' cannot be used",
        ),
        ("control: true", "pam: {service: ../shadow}", "line 21: 'people.pam.service' cannot be used"),
        ("control: true", "rolls: {}", "line 21: unknown key 'people.rolls'\n  do:   did you mean 'roles'?"),
        ("ca_file", "ca-file", "line 17: unknown key 'people.ldap.ca-file'\n  do:   did you mean 'ca_file'?"),
    ],
)
def test_a_mistake_about_people_is_named_with_its_line(write, right, wrong, expected):
    assert right in PEOPLE
    with pytest.raises(ProfileError) as caught:
        load_profile(write(GOOD + PEOPLE.replace(right, wrong)))
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 5


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1389", "[::1]", "ldap.example.org\n    start_tls: true"])
def test_ldap_in_the_clear_stays_on_this_machine_or_starts_tls(write, host):
    profile = GOOD + PEOPLE.replace("ldaps://ldap.example.org", f"ldap://{host}")
    if "[" in host:
        profile = profile.replace("ldap://[::1]", "'ldap://[::1]'")
    assert load_profile(write(profile)).people.ldap.url.startswith("ldap://")


def test_a_socket_needs_no_encryption(write):
    url = "ldapi://%2Frun%2Fslapd%2Fldapi"
    assert load_profile(write(GOOD + PEOPLE.replace("ldaps://ldap.example.org", url))).people.ldap.url == url


@given(st.text(max_size=80))
def test_a_name_has_nothing_that_a_directory_path_or_terminal_reads(text):
    try:
        name = read_person(text)
    except ValueError:
        return
    assert name.isprintable()
    assert not set(name) & set('\\ ,+"<>;=#/:*()&|!\0\n')
    assert read_person(name) == name
    assert fold_person(fold_person(name)) == fold_person(name) == fold_person(text)


def test_the_manual_shows_profiles_that_can_be_used(write):
    manual = Path(__file__).parents[2] / "docs" / "reference" / "people.md"
    sections = re.findall(r"```yaml\n(people:.*?)```", manual.read_text(), re.DOTALL)
    logins = [load_profile(write(GOOD + section)).people.login for section in sections]
    assert logins == ["accounts", "pam", "ldap"]
