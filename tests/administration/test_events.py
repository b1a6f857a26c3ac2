"""The event doctor, on Tango's own server and ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import tango

from mamba.administration.events import AttributeEvents, look_at_device
from mamba.administration.events.look import list_subscribers
from mamba.cli import main
from mamba.errors import DeviceUnreachable, UnknownDevice
from tests.support.tango_facility import TangoFacility

TEST = "sys/tg_test/1"


@pytest.fixture
def polled(control_system: TangoFacility) -> Iterator[tango.DeviceProxy]:
    """TangoTest with one attribute polled well, one without a threshold."""
    proxy = control_system.device(TEST)
    for name in ("long_scalar", "double_scalar"):
        proxy.poll_attribute(name, 100)
    config = proxy.get_attribute_config("long_scalar")
    config.events.ch_event.abs_change = "1"
    proxy.set_attribute_config(config)
    yield proxy
    for name in ("long_scalar", "double_scalar"):
        proxy.stop_poll_attribute(name)


def find(attributes: list[AttributeEvents], name: str) -> AttributeEvents:
    return next(attribute for attribute in attributes if attribute.name == name)


def test_what_is_polled_pushed_or_refused_is_told(control_system: TangoFacility, polled: tango.DeviceProxy) -> None:
    look = look_at_device(control_system.host, TEST, listen_s=1.0)
    well = find(look.attributes, "long_scalar")
    assert (well.verdict, well.origin, well.polled_ms, well.absolute) == ("well", "polling", 100, "1")
    assert well.polled_age_ms is not None
    assert well.polled_age_ms < 5000
    assert well.events > 0
    assert well.last_age_s is not None
    assert well.sent is None  # this server is of Tango 9
    assert well.propose_repair(TEST) == []
    without = find(look.attributes, "double_scalar")
    assert (without.verdict, without.origin, without.polled_ms) == ("refused", "nobody", 100)
    assert [step.partition(":")[0] for step in without.propose_repair(TEST)] == ["set a threshold"]
    unpolled = find(look.attributes, "string_scalar")
    assert unpolled.propose_repair(TEST) == [
        f"poll it: tango.DeviceProxy({TEST!r}).poll_attribute('string_scalar', 1000)"
    ]


def test_events_that_code_sends_are_told(control_system: TangoFacility) -> None:
    look = look_at_device(control_system.host, "vbl/axis/sample_x", listen_s=0.1)
    position = find(look.attributes, "Position")
    assert (position.verdict, position.origin, position.polled_ms) == ("well", "code", None)
    assert look.server == "VirtualBeamline/demo"


def test_the_repair_repairs(control_system: TangoFacility) -> None:
    proxy = control_system.device(TEST)
    (step,) = find(look_at_device(control_system.host, TEST, listen_s=0.0).attributes, "string_scalar").propose_repair(
        TEST
    )
    code = step.partition(": ")[2].replace(TEST, f"tango://{control_system.host}/{TEST}")
    try:
        eval(code, {"tango": tango})
        assert (
            find(look_at_device(control_system.host, TEST, listen_s=0.0).attributes, "string_scalar").verdict == "well"
        )
    finally:
        proxy.stop_poll_attribute("string_scalar")


def test_who_subscribed_lately_is_told(control_system: TangoFacility) -> None:
    code = (
        "import sys, tango\n"
        f"proxy = tango.DeviceProxy('tango://{control_system.host}/vbl/axis/sample_y')\n"
        "proxy.subscribe_event('Position', tango.EventType.CHANGE_EVENT, lambda event: None)\n"
        "print('subscribed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "subscribed\n"
        look = look_at_device(control_system.host, "vbl/axis/sample_y", listen_s=0.0)
        client.communicate("")
    assert any(f"process {client.pid} (python" in who for who in look.subscribers)


def test_our_own_look_and_other_calls_are_no_subscribers() -> None:
    line = "24/11/2026 15:12:25:93 : Operation command_inout_4 (cmd = {}) from cache_device requested from vm ({})"
    assert list_subscribers(
        [
            line.format("ZmqEventSubscriptionChange", f"CPP/Python client with PID {os.getpid()}"),
            line.format("QueryClass", "CPP/Python client with PID 1"),
            line.format("EventConfirmSubscription", "Java client with main class org.tango.jive"),
        ]
    ) == ["vm, Java client with main class org.tango.jive"]


def test_a_device_that_is_not_there_or_dead_is_one_error(control_system: TangoFacility) -> None:
    with pytest.raises(UnknownDevice, match="sys/tg_tst/1: no such device"):
        look_at_device(control_system.host, "sys/tg_tst/1", listen_s=0.0)
    control_system.register("TangoTest/down", {"sys/tg_test/2": ("TangoTest", {})})
    with pytest.raises(DeviceUnreachable, match="sys/tg_test/2: cannot be asked about its events") as caught:
        look_at_device(control_system.host, "sys/tg_test/2", listen_s=0.0)
    assert len(str(caught.value).splitlines()) <= 5


def test_the_command_prints_a_table_and_json(
    control_system: TangoFacility, polled: tango.DeviceProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tango", "events", "--host", control_system.host, "--listen", "0.1", TEST]
    with pytest.raises(SystemExit, match="0"):
        main(words)
    told = capsys.readouterr().out
    assert "long_scalar" in told
    assert "to have events of double_scalar:" in told
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--json"])
    (device,) = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["verdict"] for row in device["attributes"]}["long_scalar"] == "well"
