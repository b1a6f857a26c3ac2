"""Bad input: one message that names the device, what was seen and what to do; nothing moves, nothing hangs."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from mamba.devices import tango
from mamba.errors import MambaError

MAKE = """
import sys
from mamba.devices import tango
from mamba.errors import MambaError
try:
    print(tango(sys.argv[1], name="D.x").state)
except MambaError as error:
    print(f"{type(error).__name__}: {error}")
"""
ASK = "D.x: cannot ask about its attributes"
HOST = "set it to HOST:PORT, or HOST:PORT,HOST:PORT for two"
DOCTOR = "'mambactl doctor' names it"

CASES = {
    "does not exist": (
        "sys/tg_test/none", "{host}",
        f"UnknownDevice: {ASK}\n  seen: Tango has no device sys/tg_test/none\n"
        "  do:   mend the name, here or in the profile",
    ),
    "not a name": (
        "a/b/c/d/e", "{host}",
        f"UnknownDevice: {ASK}\n  seen: 'a/b/c/d/e' is no Tango name\n  do:   write DOMAIN/FAMILY/MEMBER or an alias",
    ),
    "never started": (
        "sys/tg_test/idle", "{host}",
        f"DeviceUnreachable: {ASK}\n  seen: no server answers for sys/tg_test/idle\n"
        f"  do:   start the server of sys/tg_test/idle; {DOCTOR}",
    ),
    "exported but dead": (
        "sys/tg_test/killed", "{host}",
        f"DeviceUnreachable: {ASK}\n  seen: no server answers for sys/tg_test/killed\n"
        f"  do:   start the server of sys/tg_test/killed; {DOCTOR}",
    ),
    "wrong TANGO_HOST": (
        "sys/tg_test/1", "127.0.0.1:1",
        f"DeviceUnreachable: {ASK}\n  seen: the Tango database at 127.0.0.1:1 does not answer\n"
        "  do:   start it, or mend TANGO_HOST; 'mambactl doctor' looks further",
    ),
    "TANGO_HOST without a port": (
        "sys/tg_test/1", "127.0.0.1",
        f"DeviceUnreachable: {ASK}\n  seen: TANGO_HOST cannot be used: TANGO_HOST env. variable syntax incorrect "
        f"(e.g. TANGO_HOST=<host>:<port>)\n  do:   {HOST}",
    ),
    "empty TANGO_HOST": (
        "sys/tg_test/1", "",
        f"DeviceUnreachable: {ASK}\n  seen: TANGO_HOST cannot be used: TANGO_HOST env. variable syntax incorrect "
        f"(e.g. TANGO_HOST=<host>:<port>)\n  do:   {HOST}",
    ),
    "two hosts with a blank": (
        "sys/tg_test/1", "127.0.0.1:1 {host}",
        f'DeviceUnreachable: {ASK}\n  seen: TANGO_HOST cannot be used: "1 {{host}}" cannot be entirely '
        f"parsed into int\n"
        f"  do:   {HOST}",
    ),
    "two hosts, the first one down": ("sys/tg_test/1", "127.0.0.1:1,{host}", "RUNNING"),
}  # fmt: skip


@pytest.fixture(scope="module")
def servers(foreign_servers):
    foreign_servers.register("TangoTest/idle", {"sys/tg_test/idle": ("TangoTest", {})})
    server = foreign_servers.start_tango_test(device="sys/tg_test/killed", instance="killed")
    server.send_signal(9)
    server.wait()
    del foreign_servers.servers["TangoTest/killed"]
    return foreign_servers


SHORT = (
    "not a name",
    "never started",
    "wrong TANGO_HOST",
    "TANGO_HOST without a port",
    "two hosts, the first one down",
)


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.soak] * (case not in SHORT)) for case in CASES])
def test_a_device_that_cannot_be_made(servers, case):
    device, tango_host, expected = CASES[case]
    # TANGO_HOST is read once per process
    made = subprocess.run(
        [sys.executable, "-c", MAKE, device],
        env={**os.environ, "TANGO_HOST": tango_host.format(host=servers.host)},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    seen = made.stdout.strip()
    if case == "two hosts with a blank":
        seen = seen.replace(servers.host.rpartition(":")[0] + ":" + str(servers.port), "{host}")
    assert seen == expected


NAME = "D.x"
VALUES = {
    "read only": ("Interlock", True, "BadValue: D.x.Interlock: is read only\n  do:   set something else"),
    "not a number": ("Current", math.nan, "BadValue: D.x.Current: cannot be nan\n  do:   give a finite number"),
    "infinite": ("Current", math.inf, "BadValue: D.x.Current: cannot be inf\n  do:   give a finite number"),
    "a text for a number": ("Current", "much", "BadValue: D.x.Current: cannot be 'much'\n  do:   give a number in mA"),
    "a number for a text": ("Comment", 3, "BadValue: D.x.Comment: cannot be 3\n  do:   give a text"),
    "above the limit": (
        "Current", 501.0,
        "LimitExceeded: D.x.Current: cannot go to 501 mA\n  seen: its limits are 0 to 500 mA\n"
        "  do:   nothing moved; choose a value inside",
    ),
    "too large for its type": (
        "Gain", 300, "BadValue: D.x.Gain: cannot be 300\n  seen: a DevUChar\n  do:   give 0 to 255",
    ),
    "not whole": ("Gain", 2.5, "BadValue: D.x.Gain: cannot be 2.5\n  do:   give a whole number"),
    "no such choice": (
        "Absorber", "LEAD", "BadValue: D.x.Absorber: cannot be 'LEAD'\n  do:   choose of NONE, THIN, THICK",
    ),
    "too long": (
        "Trace", [0.0] * 5,
        "BadValue: D.x.Trace: cannot take a value of shape (5,)\n  seen: it holds at most (4,)\n  do:   give a list",
    ),
    "an array with a gap": (
        "Trace", [1.0, math.nan], "BadValue: D.x.Trace: cannot take this array\n  do:   give finite numbers only",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_cannot_be_written(foreign_servers, case):
    attribute, value, expected = VALUES[case]
    device = tango(f"tango://{foreign_servers.host}/test/zoo/1", name=NAME)
    signal = getattr(device, attribute)
    before = signal.get()
    with pytest.raises(MambaError) as caught:
        signal.put(value)
    assert f"{type(caught.value).__name__}: {caught.value}" == expected
    assert np_equal(signal.get(), before)
    device.destroy()


def np_equal(left, right):
    return list(left) == list(right) if hasattr(left, "__len__") and not isinstance(left, str) else left == right


def test_an_attribute_that_does_not_exist_or_fails_is_named(foreign_servers):
    device = tango(f"tango://{foreign_servers.host}/sys/tg_test/1", name=NAME)
    with pytest.raises(MambaError, match=r"D\.x: cannot read nonsense\n  seen: .*nonsense.*\n  do:   choose one"):
        device.link.read("nonsense")
    with pytest.raises(MambaError, match=r"D\.x: cannot read throw_exception\n  seen: here is the exception"):
        device.throw_exception.get()
    device.destroy()
