"""What a user of Jive or Astor does, by the commands that they send: to the database and to a server's admin device.

On both databases: the embedded one, and a site's own (Debian's DataBaseds on MariaDB).
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tango

from tests.support.site_database import running_site
from tests.support.tango_facility import TangoFacility, running_facility, wait_until

SERVER, AXIS, OTHER = "Axis/jive", "jive/axis/1", "jive/axis/2"


@pytest.fixture(scope="module", params=["embedded", "site"])
def system(request: pytest.FixtureRequest) -> Iterator[TangoFacility]:
    running: Callable[[Path], object] = running_facility if request.param == "embedded" else running_site
    with tempfile.TemporaryDirectory(prefix="mb-jive-", dir="/tmp") as folder, running(Path(folder)) as facility:  # type: ignore[attr-defined]
        limits = {"LowerLimit": -5.0, "UpperLimit": 5.0}
        facility.register(SERVER, {AXIS: ("Axis", dict(limits)), OTHER: ("Axis", dict(limits))})
        facility.start(SERVER, "tango_servers.axis")
        yield facility


@pytest.fixture
def axis(system: TangoFacility) -> tango.DeviceProxy:
    return wait_until(lambda: find(system, AXIS), what="the axis answers")


@pytest.fixture
def admin(system: TangoFacility, axis: tango.DeviceProxy) -> tango.DeviceProxy:
    return system.device(f"dserver/{SERVER}")


def find(system: TangoFacility, name: str) -> tango.DeviceProxy | None:
    try:
        proxy = system.device(name)
        proxy.ping()
    except tango.DevFailed:
        return None
    return proxy


def restart(system: TangoFacility, admin: tango.DeviceProxy) -> tango.DeviceProxy:
    """RestartServer, as Jive's menu has it; the axis when it is back.

    The process stays the same, and the command returns before: a logging level that is not kept tells old from new.
    """
    names = [AXIS, OTHER]
    admin.command_inout("SetLoggingLevel", [[5, 5], names])
    admin.command_inout("RestartServer")
    wait_until(lambda: 5 not in read_levels(admin, names) and len(read_levels(admin, names)) == 2, what="a new start")
    return wait_until(lambda: find(system, AXIS), what="the axis is back")


def read_levels(admin: tango.DeviceProxy, names: list[str]) -> list[int]:
    try:
        return list(admin.command_inout("GetLoggingLevel", names)[0])
    except tango.DevFailed:
        return []


def test_wizards_know_every_property_with_its_text(admin: tango.DeviceProxy) -> None:
    assert list(admin.command_inout("QueryClass")) == ["Axis"]
    assert sorted(admin.command_inout("QueryDevice")) == [f"Axis::{AXIS}", f"Axis::{OTHER}"]
    words = list(admin.command_inout("QueryWizardDevProperty", "Axis"))
    names, texts = words[::3], words[1::3]
    assert {"Unit", "Format", "LowerLimit", "UpperLimit", "DefaultVelocity"} <= set(names)
    assert all(len(text) > 10 for text in texts)
    assert isinstance(list(admin.command_inout("QueryWizardClassProperty", "Axis")), list)


def test_a_server_and_its_devices_are_found_in_the_lists(system: TangoFacility) -> None:
    database = system.database
    assert SERVER in list(database.get_server_list("Axis/*"))
    assert AXIS in list(database.get_device_exported("jive/axis/*"))
    assert list(database.get_device_domain("ji*")) == ["jive"]
    assert list(database.get_device_family("jive/*")) == ["axis"]
    assert sorted(database.get_device_member("jive/axis/*")) == ["1", "2"]
    words = list(database.get_device_class_list(SERVER))
    assert dict(zip(words[::2], words[1::2], strict=True))[AXIS] == "Axis"
    info = database.get_device_info(AXIS)
    assert (info.class_name, bool(info.exported), info.ds_full_name) == ("Axis", True, SERVER)
    assert info.pid == system.servers[SERVER].pid


def test_properties_have_a_history(system: TangoFacility) -> None:
    database = system.database
    for text in ("first", "second"):
        database.put_device_property(AXIS, {"Note": [text]})
    assert list(database.get_device_property(AXIS, "Note")["Note"]) == ["second"]
    assert "Note" in list(database.get_device_property_list(AXIS, "*"))
    database.delete_device_property(AXIS, ["Note"])
    history = database.get_device_property_history(AXIS, "Note")
    assert [list(entry.get_value().value_string) for entry in history if not entry.is_deleted()] == [
        ["first"],
        ["second"],
    ]
    assert history[-1].is_deleted()


def test_histories_of_class_properties_and_configuration_end_with_the_deletion(system: TangoFacility) -> None:
    database = system.database
    database.put_class_property("Axis", {"Note": ["kept"]})
    database.delete_class_property("Axis", ["Note"])
    of_class = database.get_class_property_history("Axis", "Note")
    database.put_device_attribute_property(OTHER, {"Encoder": {"label": ["Turns"]}})
    database.delete_device_attribute_property(OTHER, {"Encoder": ["label"]})
    of_attribute = database.get_device_attribute_property_history(OTHER, "Encoder", "label")
    for history, value in ((of_class, "kept"), (of_attribute, "Turns")):
        assert [entry.is_deleted() for entry in history] == [False, True]
        assert list(history[0].get_value().value_string) == [value]


def test_class_properties_and_free_ones(system: TangoFacility) -> None:
    database = system.database
    database.put_class_property("Axis", {"ProjectTitle": ["Axes"]})
    assert list(database.get_class_property("Axis", "ProjectTitle")["ProjectTitle"]) == ["Axes"]
    database.delete_class_property("Axis", ["ProjectTitle"])
    database.put_property("Beamline", {"Name": ["jive"]})
    assert list(database.get_property("Beamline", "Name")["Name"]) == ["jive"]
    database.delete_property("Beamline", ["Name"])


def test_an_alias_reaches_the_device(system: TangoFacility) -> None:
    system.database.put_device_alias(AXIS, "jive-x")
    try:
        assert system.device("jive-x").dev_name() == AXIS
        assert list(system.database.get_device_alias_list("jive-*")) == ["jive-x"]
    finally:
        system.database.delete_device_alias("jive-x")


def test_attribute_configuration_is_kept_and_enforced(
    system: TangoFacility, axis: tango.DeviceProxy, admin: tango.DeviceProxy
) -> None:
    config = axis.get_attribute_config("Position")
    config.label, config.unit, config.format = "Height", "um", "%8.1f"
    config.min_value, config.max_value = "-2", "3"
    config.alarms.max_alarm = "2.5"
    config.events.ch_event.abs_change = "0.5"
    config.events.arch_event.archive_abs_change = "1"
    config.events.per_event.period = "2000"
    axis.set_attribute_config(config)
    axis = restart(system, admin)
    kept = axis.get_attribute_config("Position")
    assert (kept.label, kept.unit, kept.format) == ("Height", "um", "%8.1f")
    assert (float(kept.min_value), float(kept.max_value), float(kept.alarms.max_alarm)) == (-2, 3, 2.5)
    assert (float(kept.events.ch_event.abs_change), kept.events.per_event.period) == (0.5, "2000")
    before = axis.Position
    with pytest.raises(tango.DevFailed, match="API_WAttrOutsideLimit"):
        axis.Position = 4.0
    assert axis.Position == before
    axis.Position = 2.8
    wait_until(lambda: axis.state() != tango.DevState.MOVING, what="it stands")
    assert axis.read_attribute("Position").quality == tango.AttrQuality.ATTR_ALARM
    axis.Position = 0.0
    wait_until(lambda: axis.state() != tango.DevState.MOVING, what="it stands")


def test_polling_is_started_kept_and_ended(system: TangoFacility, admin: tango.DeviceProxy) -> None:
    admin.command_inout("AddObjPolling", [[500], [OTHER, "attribute", "Encoder"]])
    assert OTHER in list(admin.command_inout("PolledDevice"))
    assert "Encoder" in "".join(admin.command_inout("DevPollStatus", OTHER)).title()
    admin.command_inout("UpdObjPollingPeriod", [[800], [OTHER, "attribute", "Encoder"]])
    restart(system, admin)
    other = wait_until(lambda: find(system, OTHER), what="the other axis is back")
    assert other.get_attribute_poll_period("Encoder") == 800
    admin.command_inout("RemObjPolling", [OTHER, "attribute", "Encoder"])
    assert not other.is_attribute_polled("Encoder")


def test_logging_levels_and_targets(admin: tango.DeviceProxy, tmp_path: Path) -> None:
    target = f"file::{tmp_path}/axis.log"
    admin.command_inout("SetLoggingLevel", [[5], [AXIS]])
    levels, names = admin.command_inout("GetLoggingLevel", [AXIS])
    assert (list(levels), list(names)) == ([5], [AXIS])
    admin.command_inout("AddLoggingTarget", [AXIS, target])
    assert target in list(admin.command_inout("GetLoggingTarget", AXIS))
    admin.command_inout("RemoveLoggingTarget", [AXIS, target])
    assert target not in list(admin.command_inout("GetLoggingTarget", AXIS))
    admin.command_inout("SetLoggingLevel", [[3], [AXIS]])


def test_init_reads_properties_again(system: TangoFacility, axis: tango.DeviceProxy) -> None:
    system.database.put_device_property(OTHER, {"UpperLimit": ["1"]})
    other = system.device(OTHER)
    other.Init()
    assert float(other.get_attribute_config("Position").max_value) == 1
    system.database.put_device_property(OTHER, {"UpperLimit": ["5"]})
    other.Init()
    other.Position = 1.5
    wait_until(lambda: other.state() != tango.DevState.MOVING, what="it stands")
    assert other.Position == pytest.approx(1.5)


def test_the_black_box_says_who_asked(axis: tango.DeviceProxy) -> None:
    axis.read_attribute("Encoder")
    assert any("read_attribute" in line and "requested from" in line for line in axis.black_box(10))


def test_astor_s_list_of_hosts_and_levels(system: TangoFacility) -> None:
    database = system.database
    host = socket.gethostname().partition(".")[0]
    assert host in [name.partition(".")[0] for name in database.command_inout("DbGetHostList", "*")]
    info = tango.DbServerInfo()
    info.name, info.host, info.mode, info.level = SERVER, host, 1, 2
    database.put_server_info(info)
    kept = database.get_server_info(SERVER)
    assert (kept.host, kept.mode, kept.level) == (host, 1, 2)
    assert SERVER.lower() in [name.lower() for name in database.command_inout("DbGetHostServerList", host)]
    database.delete_server_info(SERVER)


def test_kill_ends_the_server_and_it_can_be_started_again(system: TangoFacility, admin: tango.DeviceProxy) -> None:
    process = system.servers.pop(SERVER)
    admin.command_inout("Kill")
    process.wait(15)
    assert find(system, AXIS) is None
    system.start(SERVER, "tango_servers.axis")
    assert find(system, AXIS) is not None
