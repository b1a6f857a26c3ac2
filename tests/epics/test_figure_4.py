"""The paper's Figure 4, verbatim, in the real console: EPICS and Tango devices in one session, and in one scan."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from mamba.errors import ZError
from tests.epics.conftest import AXIS
from tests.support.session_host import HostUnderTest, wait_until

RECORD = """
documents = []
token = RE.subscribe(lambda name, document: documents.append((name, document)))
try:
    uids = RE(scan([D.ad, D.y], M.m1, -1, 1, M.y, 0, 2, 3))
finally:
    RE.unsubscribe(token)
""".strip()


@pytest.fixture(scope="module")
def tango_beside(host: HostUnderTest) -> HostUnderTest:
    """The same session with a Tango motor in M and a Tango attribute in D."""
    address = f"tango://{{}}/{AXIS}"
    host.client.request("cmd", cmd="import os; from mamba.devices import Motor, TangoSignal")
    where = f"{address!r}.format(os.environ['TANGO_HOST'])"
    host.client.request("cmd", cmd=f"M.y = Motor({where}, name='M.y')")
    host.client.request("cmd", cmd=f"D.y = TangoSignal('Encoder', name='D.y', tango={where})")
    return host


def test_the_script_ran_to_its_end(host: HostUnderTest) -> None:
    assert "Beamline init script loaded." in host.transcript
    assert host.client.request("dev/keys", path="M")[:2] == ["M.m1", "M.m2"]
    assert host.client.request("dev/keys", path="D")[:1] == ["D.ad"]


def test_requests_describe_read_and_limit_epics_devices(host: HostUnderTest) -> None:
    described = host.client.request("dev/describe", path="M.m1")
    assert (described["name"], described["class"], described["prefix"]) == ("M.m1", "EpicsMotor", "IOC:m1")
    assert described["movable"] is True
    assert described["limits"] == host.client.request("dev/limits", path="M.m1")
    assert described["limits"] == {"low": -10.0, "high": 10.0, "unit": "mm"}
    host.client.request("cmd", cmd="RE(mv(M.m1, 2.5))")
    assert host.client.request("dev/read", path="M.m1") == {"M.m1": 2.5, "M.m1.user_setpoint": 2.5}
    assert host.client.request("dev/read", path="D.ad")["D.ad.total"] >= 48 * 64
    assert host.client.request("dev/describe", path="D.ad")["class"] == "MyAreaDetector"


def test_a_move_beyond_the_limits_of_a_record_moves_nothing(host: HostUnderTest) -> None:
    before = host.client.request("dev/read", path="M.m2")
    with pytest.raises(ZError, match=r"20"):
        host.client.request("cmd", cmd="RE(mv(M.m2, 25))")
    assert host.client.request("dev/read", path="M.m2") == before


def test_one_scan_moves_an_epics_and_a_tango_motor_and_reads_both_detectors(tango_beside: HostUnderTest) -> None:
    ask = tango_beside.client.request
    notices = tango_beside.subscribe("scan/")
    ask("cmd", cmd=RECORD)
    seen = []
    while notice := notices.receive(2.0):
        seen.append(notice)
        if notice["typ"] == "scan/stop":
            break
    assert seen[-1]["exit_status"] == "success"
    assert len([notice for notice in seen if notice["typ"] == "scan/point"]) == 3
    data = ask("cmd", cmd="[dict(d['data']) for n, d in documents if n == 'event']")
    assert [(round(point["M_m1"], 3), round(point["M_y"], 3)) for point in data] == [(-1, 0), (0, 1), (1, 2)]
    totals = [point["D_ad_total"] for point in data]
    assert [b - a for a, b in pairwise(totals)] == [48 * 64, 48 * 64], "a new frame per point"
    assert [round(point["D_y"], 3) for point in data] == [0, 1, 2]
    keys = ask("cmd", cmd="[k for n, d in documents if n == 'descriptor' for k in d['object_keys']]")
    assert set(keys) == {"M_m1", "M_y", "D_ad", "D_y"}


def test_the_frame_itself_is_there(host: HostUnderTest) -> None:
    host.client.request("cmd", cmd="RE(scan([D.ad], M.m1, 0, 0, 1)); None")
    assert host.client.request("cmd", cmd="D.ad.image.array_size.get()[1:]") == (48, 64)
    frame = host.client.request("cmd", cmd="D.ad.image.array_data.get()")
    assert len(frame) == 48 * 64
    assert set(frame) == {host.client.request("cmd", cmd="D.ad.cam.array_counter.get()")}


def test_positions_of_epics_motors_are_shown_at_the_prompt(host: HostUnderTest) -> None:
    host.client.request("cmd", cmd="RE(mv(M.m2, 1.25))")
    host.client.request("cmd", cmd="%wa")
    wait_until(lambda: re.search(r"M\.m2 +1\.25 +mm +\[-20, 20\]", host.transcript), what="wa's line")


ASYNCHRONOUS = """
from ophyd_async.core import StandardReadable, StandardReadableFormat, init_devices, soft_signal_rw
from ophyd_async.tango.core import tango_signal_r

class Soft(StandardReadable):
    def __init__(self):
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.level = soft_signal_rw(float, 4.5, units="V", precision=2)
        super().__init__()

class Encoder(StandardReadable):
    def __init__(self, address):
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.place = tango_signal_r(float, address + "/Encoder")
        super().__init__()

with init_devices(set_name=False):
    soft, encoder = Soft(), Encoder(ADDRESS)
D.update(soft=soft, encoder=encoder)
record_without_dots(D.soft, "D.soft")
record_without_dots(D.encoder, "D.encoder")
"""


def test_devices_of_ophyd_async_take_part_in_the_same_scan(tango_beside: HostUnderTest) -> None:
    ask = tango_beside.client.request
    ask("cmd", cmd=f"import os; ADDRESS = f\"tango://{{os.environ['TANGO_HOST']}}/{AXIS}\"")
    ask("cmd", cmd="from mamba.devices import record_without_dots")
    ask("cmd", cmd=ASYNCHRONOUS)
    try:
        assert ask("dev/read", path="D.soft") == {"D.soft.level": 4.5}
        described = ask("dev/describe", path="D.soft")
        assert (described["class"], described["components"], described["unit"]) == ("Soft", ["level"], "V")
        assert ask("dev/read", path="D.soft.level") == {"D.soft.level": 4.5}
        ask("cmd", cmd=RECORD.replace("[D.ad, D.y]", "[D.ad, D.y, D.soft, D.encoder]"))
        data = ask("cmd", cmd="[dict(d['data']) for n, d in documents if n == 'event']")
        assert [point["D_soft_level"] for point in data] == [4.5] * 3
        assert [round(point["D_encoder_place"], 3) for point in data] == [0, 1, 2]
        assert "D_ad_total" in data[0]
        assert ask("dev/keys", path="D") == ["D.ad", "D.y", "D.soft", "D.encoder"]
    finally:
        ask("cmd", cmd="D.pop('soft', None); D.pop('encoder', None)")
