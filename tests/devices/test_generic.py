"""Devices made from what a server says of itself: Tango's own C++ TangoTest, and one of every type."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from bluesky.plans import count
from ophyd import Kind

from mamba.config import DeviceConfig
from mamba.console.device_tables import show_device
from mamba.devices import Group, LateDevice, build_devices, describe_device, expression_of, tango
from mamba.errors import BadValue, DeviceUnreachable, MambaError, UnknownDevice
from mamba.scans import make_run_engine
from tests.support.engines import ending


@pytest.fixture
def D(foreign_servers):
    D = Group("D")
    D.tt = tango(f"tango://{foreign_servers.host}/sys/tg_test/1")
    D.zoo = tango(f"tango://{foreign_servers.host}/test/zoo/1")
    yield D
    for device in D.values():
        device.destroy()


def test_every_attribute_of_tango_test_is_a_signal_and_every_command_a_method(D, foreign_servers):
    proxy = foreign_servers.device("sys/tg_test/1")
    assert list(D.tt.attribute_names.values()) == list(proxy.get_attribute_list())
    assert type(D.tt).__name__ == "TangoTest"
    assert D.tt.DevDouble(2.5) == 2.5
    assert list(D.tt.DevVarLongArray([1, 2])) == [1, 2]
    assert "Returns DevDouble: Echo of the argin value" in D.tt.DevDouble.__doc__
    assert set(D.tt.command_names.values()) == set(proxy.get_command_list()) - {"State", "Status"}
    assert (D.tt.State.get(), D.tt.state) == ("RUNNING", "RUNNING")
    assert "RUNNING" in D.tt.Status.get()


def test_a_value_of_every_kind_is_read(D):
    assert isinstance(D.tt.double_scalar.get(), float)
    assert isinstance(D.tt.boolean_scalar.get(), bool)
    assert D.tt.long_spectrum_ro.get().dtype == np.int32
    assert D.tt.uchar_image_ro.get().shape == (251, 251)
    assert isinstance(D.tt.string_spectrum_ro.get()[0], str)
    D.zoo.Absorber.put("THIN")
    assert D.zoo.Absorber.get() == "THIN"
    assert D.zoo.Absorbers.get() == ["NONE", "THICK"]
    assert D.zoo.Members.get() == ["ON", "FAULT"]
    form, data = D.zoo.Picture.get()
    assert (form, bytes(data)) == ("PNG", b"abc")


def test_signals_are_described_as_the_server_describes_them(D):
    described = D.zoo.Current.describe()["D_zoo_Current"]
    source = described.pop("source")
    assert source.endswith("/test/zoo/1/Current")
    assert described == {
        "dtype": "number", "shape": [], "units": "mA", "precision": 2,
        "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 500.0,
    }  # fmt: skip
    doc = type(D.zoo).Current.doc
    assert doc == "Current of the ring (DevDouble, read and written, in mA, limits 0 to 500)"
    assert type(D.zoo).Offset.doc.endswith("for experts)")
    wave = D.tt.wave.describe()["D_tt_wave"]
    assert (wave["dtype"], wave["dtype_numpy"], wave["shape"]) == ("array", "<f8", [256])
    assert D.tt.ushort_image_ro.describe()["D_tt_ushort_image_ro"]["dtype_numpy"] == "<u2"
    assert "dtype_numpy" not in D.tt.string_spectrum.describe()["D_tt_string_spectrum"]
    assert D.zoo.Absorber.describe()["D_zoo_Absorber"]["choices"] == ["NONE", "THIN", "THICK"]


def test_numbers_for_operators_are_recorded_and_what_fails_is_left_out_and_named(D):
    assert set(D.zoo.read()) == {f"D_zoo_{part}" for part in ("Current", "Absorber", "Gain", "Interlock", "read_")}
    assert D.zoo.hints == {"fields": ["D_zoo_Current"]}
    assert D.zoo.Offset.kind == Kind.omitted
    assert D.zoo.attribute_names["read_"] == "read"
    assert set(D.tt.left_out) == {"no_value", "throw_exception"}
    assert "exception you requested" in D.tt.left_out["throw_exception"]
    assert expression_of("D_zoo_read_") == "D.zoo.read_"


def test_what_is_recorded_may_be_named(foreign_servers):
    device = tango(f"tango://{foreign_servers.host}/sys/tg_test/1", read=["wave", "DOUBLE_scalar"], config=["ampli"])
    assert set(device.read()) == {"sys_tg_test_1_wave", "sys_tg_test_1_double_scalar"}
    assert device.hints == {"fields": ["sys_tg_test_1_double_scalar"]}
    assert set(device.read_configuration()) == {"sys_tg_test_1_ampli"}
    device.destroy()
    with pytest.raises(BadValue, match=r"has no attribute 'wafe'\n  do:   .*wave"):
        tango(f"tango://{foreign_servers.host}/sys/tg_test/1", read=["wafe"])


def test_all_that_is_recorded_is_read_by_one_call(D, monkeypatch):
    calls = []
    read = D.tt.link.read
    monkeypatch.setattr(D.tt.link, "read", lambda *names: calls.append(names) or read(*names))
    assert len(D.tt.read()) == 18
    assert len(calls) == 1


def test_signals_are_written_and_read_back(D):
    D.zoo.Current.set(250.0).wait(10)
    D.zoo.Absorber.set("THICK").wait(10)
    D.zoo.Trace.set([3.0, 4.0, 5.0]).wait(10)
    D.zoo.Comment.set("dark").wait(10)
    assert (D.zoo.Current.get(), D.zoo.Absorber.get(), D.zoo.Comment.get()) == (250.0, "THICK", "dark")
    assert list(D.zoo.Trace.get()) == [3.0, 4.0, 5.0]
    assert D.zoo.Ramp(20) == "ramped to 20"


def test_a_run_records_wrapped_devices(D, run):
    documents = run(count([D.tt, D.zoo], num=2))
    events = [document for name, document in documents if name == "event"]
    assert len(events) == 2
    assert {"D_tt_double_scalar", "D_zoo_Current", "D_zoo_Absorber"} <= set(events[0]["data"])


def test_the_file_of_a_run_has_what_was_recorded(D, foreign_servers, profile):
    spectra = tango(
        f"tango://{foreign_servers.host}/sys/tg_test/1",
        read=["wave", "ushort_image_ro", "string_scalar", "State", "boolean_spectrum_ro"],
    )
    D.spectra = spectra
    with ending(make_run_engine(profile)) as engine:
        engine(count([D.zoo, D.spectra], num=3))
    (file,) = Path(profile.data.directory).glob("*.nxs")
    with h5py.File(file) as opened:
        found: dict[str, tuple[int, ...]] = {}

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                found.setdefault(name.rpartition("/")[2], item.shape)

        opened.visititems(note)
    assert found, sorted(found)
    assert found["D_spectra_wave"] == (3, 256)
    assert found["D_spectra_ushort_image_ro"][0] == 3
    assert found["D_zoo_Absorber"] == found["D_spectra_State"] == (3,)


def late(profile, address, **config):
    devices = profile.devices.model_copy(
        update={"M": {}, "D": {"x": DeviceConfig.model_validate({"tango": address, **config})}}
    )
    return build_devices(profile.model_copy(update={"devices": devices}))[1].x


def test_a_device_of_the_profile_is_wrapped_at_its_first_use(profile, foreign_servers, run):
    device = late(profile, f"tango://{foreign_servers.host}/test/zoo/1", options={"read": ["Current", "Trace"]})
    assert type(device) is LateDevice
    documents = run(count([device]))
    assert type(device).__name__ == "Zoo"
    descriptor = next(document for name, document in documents if name == "descriptor")
    assert set(descriptor["data_keys"]) == {"D_x_Current", "D_x_Trace"}
    assert expression_of("D_x_Current") == "D.x.Current"
    assert describe_device(device)["state"] == "ON"
    device.destroy()


def test_a_device_of_the_profile_whose_server_is_down_says_so_at_each_use(profile, facility):
    facility.register("TangoTest/down", {"sys/tg_test/down": ("TangoTest", {})})
    device = late(profile, f"tango://{facility.host}/sys/tg_test/down")
    for _ in range(2):
        with pytest.raises(DeviceUnreachable, match=r"D\.x: cannot .*\n  seen: no server"):
            device.read()
    assert not hasattr(device, "set")
    assert describe_device(device)["state"] == "UNREACHABLE"
    assert device.name == "D.x"
    device.destroy()


def test_a_name_that_a_device_does_not_have_is_answered_with_the_nearest(D):
    assert not hasattr(D.tt, "doubel_scalar")
    with pytest.raises(UnknownDevice) as caught:
        D.tt.doubel_scalar.get()
    expected = "D.tt.doubel_scalar: no such component or method\n  do:   did you mean 'double_scalar'?"
    assert str(caught.value) == expected
    assert str(pickle.loads(pickle.dumps(caught.value))) == expected


def test_an_argument_that_does_not_fit_a_command_is_one_clear_error(D):
    for argument in (99999, "x", [1, 2]):
        with pytest.raises(BadValue, match=r"D\.tt: cannot execute DevShort\n.*\n.*type that the server wants"):
            D.tt.DevShort(argument)


def test_a_wrapped_device_is_shown_with_what_it_records_and_documented_by_its_server(D):
    first, *rows = show_device(D.zoo).splitlines()
    assert re.fullmatch(r"\w+ of \S+test/zoo/1: ON", first)
    assert [row.split()[0] for row in rows] == [f"D.zoo.{name}" for name in D.zoo.read_attrs]
    assert re.match(r"D\.zoo\.Current +[\d.]+ +mA +\[0, 500\]", rows[0])
    assert D.zoo.Current.__doc__ == "Current of the ring (DevDouble, read and written, in mA, limits 0 to 500)"
    assert show_device(D.tt.wave).startswith("D.tt.wave  256 of float64, ")


def test_a_call_that_fails_names_three_attributes_at_most(D):
    with pytest.raises(MambaError, match=r"^D\.tt: cannot read throw_exception, ampli, wave and 2 more\n"):
        D.tt.link.read("throw_exception", "ampli", "wave", "State", "Status")


def test_the_status_of_what_failed_says_why(D):
    status = D.zoo.Current.set("much")
    assert status.exception(10) is not None
    assert repr(status).startswith("Status(D.zoo.Current: failed: D.zoo.Current: cannot be 'much'")
