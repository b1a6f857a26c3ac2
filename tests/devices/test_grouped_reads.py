"""Signals of one device in a scan: one call per point, the right values, and each error under its own name."""

from __future__ import annotations

import pytest
from bluesky.plans import count

from mamba.devices import TangoSignal
from mamba.errors import DeviceFault, DeviceUnreachable
from mamba.scans import make_run_engine
from mamba.scans.grouped_reads import offer_readings
from tests.devices.support import rig
from tests.support.engines import ending


@pytest.fixture
def engine(profile):
    with ending(make_run_engine(profile)) as engine:
        yield engine


@pytest.fixture
def make_signal(facility):
    signals = []

    def make(attribute, name, device=f"tango://{facility.host}/{rig.NAME}"):
        signals.append(TangoSignal(attribute, tango=device, name=name))
        return signals[-1]

    yield make
    for signal in signals:
        signal.destroy()


@pytest.fixture
def calls(monkeypatch):
    """Attributes of each reading call."""
    kept = []
    read = TangoSignal.__init__.__globals__["TangoLink"].read

    def counted(link, *attributes):
        kept.append(attributes)
        return read(link, *attributes)

    monkeypatch.setattr("mamba.devices.link.TangoLink.read", counted)
    return kept


def test_from_the_second_point_on_one_call_reads_them_all(engine, make_signal, calls, monkeypatch):
    monkeypatch.setattr("mamba.devices.signal._SAME_POINT_S", 60.0)
    signals = [make_signal(name, f"D.{name.lower()}") for name in ("Duration", "Level", "Writes")]
    documents = []
    engine(count(signals, 3), lambda name, doc: documents.append((name, doc)))
    points = [doc["data"] for name, doc in documents if name == "event"]
    server = signals[0].link.read("Duration", "Level", "Writes")
    assert points == [{f"D_{name.lower()}": server[name].value for name in ("Duration", "Level", "Writes")}] * 3
    assert calls[:-1].count(("Duration", "Level", "Writes")) == 2
    assert calls.count(("Level",)) == 2  # the first point, and what ophyd takes for a signal's configuration


def test_a_value_that_changes_is_read_anew_at_each_point(engine, make_signal, monkeypatch):
    monkeypatch.setattr("mamba.devices.signal._SAME_POINT_S", 60.0)
    level, writes = make_signal("Level", "D.level"), make_signal("Writes", "D.writes")
    other, documents = make_signal("Level", "D.other"), []

    def change(name, doc):
        documents.append((name, doc))
        if name == "event":
            other.put(0.1 * doc["seq_num"])

    other.put(0.0)
    engine.subscribe(change)
    engine(count([level, writes], 4))
    levels = [doc["data"]["D_level"] for name, doc in documents if name == "event"]
    assert levels == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_reading_is_taken_once_and_only_while_it_is_of_now(make_signal, calls, monkeypatch):
    signals = [make_signal("Level", "D.level"), make_signal("Writes", "D.writes")]
    monkeypatch.setattr("mamba.devices.signal._SAME_POINT_S", 60.0)
    offer_readings(signals)
    signals[0].read()
    assert calls == [("Level", "Writes")]
    signals[0].read()
    assert calls[1:] == [("Level",)]
    monkeypatch.setattr("mamba.devices.signal._SAME_POINT_S", 0.0)
    signals[1].read()
    assert calls[2:] == [("Writes",)]


def test_one_that_fails_alone_says_so_under_its_own_name(make_signal):
    good, broken = make_signal("Level", "D.level"), make_signal("Broken", "D.broken")
    offer_readings([good, broken])
    assert set(good.read()) == {"D_level"}
    with pytest.raises(DeviceFault, match=r"^D\.broken: cannot read Broken"):
        broken.read()


def test_a_device_that_is_gone_is_named(make_signal):
    device = "tango://127.0.0.1:1/a/b/c#dbase=no"
    with pytest.raises(DeviceUnreachable, match=r"^D\.level:"):
        offer_readings([make_signal("Level", "D.level", device), make_signal("Writes", "D.writes", device)])
