"""Expressions and keys: adoption, clashes, stock ophyd devices, runs on an unmodified engine."""

from __future__ import annotations

import gc

import pytest
from bluesky.plans import count, scan
from ophyd import Component, Device, EpicsMotor, Signal
from ophyd.sim import SynAxis, SynSignal, make_fake_device

from mamba.devices import Group, expression_of, iter_devices, key_of, record_without_dots
from mamba.devices.names import NameTable
from mamba.errors import BadValue, NameClash


class Stage(Device):
    x = Component(SynAxis, name="x")
    gain = Component(Signal, value=1.0, kind="config")


class AttrDict(dict):
    """As in the paper's Figure 4."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self


def _level():
    return 1.5


def test_keys_have_underscores_for_dots():
    assert key_of("M.stage.x") == "M_stage_x"


def test_adoption_names_device_components_and_keys():
    M = Group("M")
    M.stage = Stage(name="anything")
    assert M.stage.name == "M.stage"
    assert M.stage.x.name == "M.stage.x"
    assert set(M.stage.read()) == {"M_stage_x", "M_stage_x_setpoint"}
    assert set(M.stage.read_configuration()) == {"M_stage_gain", "M_stage_x_velocity", "M_stage_x_acceleration"}
    assert expression_of("M_stage_x_setpoint") == "M.stage.x.setpoint"
    assert expression_of("M_stage_x") == "M.stage.x"


def test_an_unknown_key_is_its_own_expression():
    assert expression_of("time_of_day") == "time_of_day"


def test_renaming_frees_the_old_names():
    M = Group("M")
    M.old = SynAxis(name="m")
    M.new = M.old
    assert M.new.name == "M.new"
    assert set(M.new.read()) == {"M_new", "M_new_setpoint"}
    assert expression_of("M_old") == "M_old"


def test_a_clash_is_refused_and_renames_nothing():
    M = Group("M")
    M.a_b = SynAxis(name="first")
    second = SynAxis(name="second")
    with pytest.raises(NameClash, match=r"M\.a\.b: cannot be recorded as 'M_a_b'"):
        M["a.b"] = second
    assert second.name == "second"
    assert iter_devices(M, "M")[0] == ("M.a_b", M.a_b)


def test_a_component_clashes_with_a_device():
    M = Group("M")
    M.m1 = SynAxis(name="m1")
    with pytest.raises(NameClash, match=r"M\.m1\.setpoint is recorded under that key"):
        M.m1_setpoint = SynAxis(name="other")


def test_a_key_is_free_when_its_owner_is_gone():
    table = NameTable()
    owner = Stage(name="s")
    table.add("M.a.b", owner)
    with pytest.raises(NameClash):
        table.check("M.a_b")
    del owner
    gc.collect()
    table.check("M.a_b")


def test_the_same_expression_may_pass_to_another_device():
    M, again = Group("M"), Group("M")
    M.m1 = SynAxis(name="m1")
    again.m1 = SynAxis(name="m1")
    assert again.m1.name == "M.m1"


@pytest.mark.parametrize("name", ["M.", "M.a-b", "M.1", "", "M..x"])
def test_what_is_no_expression_is_refused(name):
    with pytest.raises(BadValue, match="is not a name"):
        record_without_dots(SynAxis(name=name))


def test_figure_4_runs_on_an_unmodified_engine(run):
    M = AttrDict(m1=SynAxis(name="M.m1"))
    D = AttrDict(ad=SynSignal(func=_level, name="D.ad", kind="hinted"))
    for _, device in iter_devices(M, "M") + iter_devices(D, "D"):
        record_without_dots(device)

    documents = run(scan([D.ad], M.m1, 0, 1, 3))  # type: ignore[attr-defined]

    start, descriptor = documents[0][1], documents[1][1]
    assert (start["motors"], start["detectors"]) == (("M.m1",), ["D.ad"])
    assert set(descriptor["data_keys"]) == {"M_m1", "M_m1_setpoint", "D_ad"}
    assert descriptor["object_keys"] == {"M_m1": ["M_m1", "M_m1_setpoint"], "D_ad": ["D_ad"]}
    assert set(descriptor["configuration"]) == set(descriptor["hints"]) == {"M_m1", "D_ad"}
    assert descriptor["hints"] == {"M_m1": {"fields": ["M_m1"]}, "D_ad": {"fields": ["D_ad"]}}
    assert [doc["data"]["D_ad"] for name, doc in documents if name == "event"] == [1.5] * 3
    assert documents[-1][1]["exit_status"] == "success"


def test_stock_epics_motors_are_recorded_without_dots(run):
    """The class of Figure 4, with its channels replaced by ophyd's own fakes."""
    motor = make_fake_device(EpicsMotor)("IOC:m1", name="M.m1")
    record_without_dots(motor)
    assert motor.name == "M.m1"
    assert set(motor.describe()) == {"M_m1", "M_m1_user_setpoint"}
    assert "M_m1_velocity" in motor.describe_configuration()
    assert expression_of("M_m1_user_setpoint") == "M.m1.user_setpoint"
    documents = run(count([motor]))
    assert documents[1][1]["object_keys"] == {"M_m1": ["M_m1", "M_m1_user_setpoint"]}


def test_components_that_are_neither_made_nor_recorded_are_left_alone():
    class Many(Device):
        used = Component(Signal, value=1.0)
        unused = Component(Signal, value=1.0, lazy=True, kind="omitted")

    device = Many(name="D.many")
    record_without_dots(device)
    assert set(device._signals) == {"used"}
    assert set(device.read()) == {"D_many_used"}


def test_devices_without_dots_are_recorded_as_ever(run):
    detector = SynSignal(func=_level, name="plain")
    descriptor = run(count([detector]))[1][1]
    assert descriptor["object_keys"] == {"plain": ["plain"]}


def test_the_bundler_still_composes_descriptors_where_we_reach_in():
    """If this fails, bluesky changed: see mamba/devices/descriptors.py."""
    import inspect

    from bluesky.bundlers import RunBundler

    open_run = inspect.unwrap(RunBundler.open_run)
    assert "_compose_descriptor" in inspect.getsource(open_run)
    assert "self._compose_descriptor(" in inspect.getsource(RunBundler._prepare_stream)
