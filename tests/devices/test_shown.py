"""What a person sees of devices: values of all at once, and one that hangs does not keep the others."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from mamba.console.device_tables import align, describe_devices, describe_motors
from mamba.devices import Motor, iter_devices
from mamba.devices.shown import look_at, show_value


def test_a_look_has_value_unit_limits_and_state(M, D):
    M.sample_x.move(1.5)
    shown = {
        row.expression: row
        for row in look_at({**dict(iter_devices(M, "M")), **dict(iter_devices(D, "D"))}, timeout_s=10)
    }
    x = shown["M.sample_x"]
    assert (x.value, x.set_point, x.unit, x.low, x.high, x.state) == (pytest.approx(1.5), 1.5, "mm", -25, 25, "ON")
    assert x.limits == "[-25, 25]"
    assert shown["D.current"].unit == "mA"
    assert shown["M.shutter"].value in ("open", "closed")
    assert {row.expression for row in shown.values() if row.problem} == {"D.camera"}  # its server does not run here
    assert shown["D.i0"].unit == "counts"


def test_tables_line_up(M):
    devices = dict(iter_devices(M, "M"))
    head, *rows = describe_motors(devices).splitlines()
    assert len(rows) == len(devices)
    assert head.split() == ["position", "set", "point", "low", "limit", "high", "limit", "unit", "state"]
    assert len({row.index("[") for row in describe_devices(devices, timeout_s=10).splitlines() if "[" in row}) == 1
    assert align([]) == ""


def test_what_is_not_there_or_hangs_has_its_reason_and_keeps_nobody(facility, M):
    name, server = "test/axis/hangs", "Axis/hangs"
    facility.register(server, {name: ("Axis", {})})
    process = facility.start(server, "tango_servers.axis")
    hangs = Motor(f"tango://{facility.host}/{name}", name="M.hangs")
    gone = Motor(f"tango://{facility.host}/no/such/device", name="M.gone")
    assert hangs.position == 0.0
    os.kill(process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        shown = look_at({"M.hangs": hangs, "M.gone": gone, "M.sample_x": M.sample_x}, timeout_s=1.0)
        assert time.monotonic() - began < 5
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert [row.expression for row in shown] == ["M.hangs", "M.gone", "M.sample_x"]
    assert shown[0].problem
    assert shown[1].problem.startswith("unknown-device: ")
    assert (shown[2].problem, shown[2].unit) == ("", "mm")
    hangs.destroy()
    facility.stop(server)


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [
        (0.0, 3, "0"),
        (123.4567, 3, "123.457"),
        (-1234.5678, 2, "-1234.57"),
        (8.979312, 4, "8.9793"),
        (1.23456789e-7, 2, "1.2346e-07"),
        (78_386_200.0, 2, "78386200"),
        (78_386_200, 2, "78386200"),
        (float("nan"), 2, "nan"),
        (None, 2, ""),
        (np.zeros((2, 300), np.int16), 2, "2 × 300 of int16, 0 to 0"),
        (np.array([1.5, 2.0]), 2, "[1.5 2. ]"),
        ({"a": 1.25, "b": True}, 2, "a 1.25, b True"),
    ],
)
def test_a_value_keeps_the_digits_that_matter_and_fits_a_line(value, decimals, shown):
    assert show_value(value, decimals=decimals) == shown
