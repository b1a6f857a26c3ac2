"""Groups: access, nesting, removal, completion, what a person sees."""

from __future__ import annotations

import pytest
from ophyd.sim import SynAxis

from mamba.devices import Group, expression_of, find_device, iter_devices
from mamba.errors import BadValue, UnknownDevice


@pytest.fixture
def M():
    M = Group("M")
    M.energy = SynAxis(name="e")
    M["stage.x"] = SynAxis(name="x")
    return M


def test_attributes_and_items_reach_the_same_device(M):
    assert M.energy is M["energy"]
    assert M.stage.x is M["stage"]["x"] is M["stage.x"]
    assert M["stage.x.setpoint"] is M.stage.x.setpoint
    assert list(M) == ["energy", "stage"]
    assert len(M) == 2
    assert "energy" in M
    assert "y" not in M


def test_devices_are_listed_with_their_expressions(M):
    assert [expression for expression, _ in iter_devices(M, "M")] == ["M.energy", "M.stage.x"]


def test_a_missing_device_names_the_nearest(M):
    with pytest.raises(UnknownDevice, match=r"M\.enrgy: no such device\n  do:   did you mean 'M\.energy'\?"):
        M.enrgy  # noqa: B018
    assert not hasattr(M, "enrgy")
    with pytest.raises(UnknownDevice):
        M["nothing"]


def test_tab_completion_knows_the_devices(M):
    assert {"energy", "stage", "keys"} <= set(dir(M))


def test_removal_frees_the_name(M):
    device = M.energy
    del M.energy
    assert "energy" not in M
    assert expression_of("M_energy") == "M_energy"
    assert device.name == "M.energy"
    del M["stage.x"]
    assert len(M.stage) == 0


def test_a_group_put_into_another_renames_its_devices(M):
    hutch = Group("hutch")
    hutch.y = SynAxis(name="y")
    M.hutch = hutch
    assert M.hutch.y.name == "M.hutch.y"
    assert hutch.name == "M.hutch"


@pytest.mark.parametrize("name", ["keys", "items", "a b", "1"])
def test_a_name_that_would_hide_something_is_refused(M, name):
    with pytest.raises(BadValue):
        M[name] = SynAxis(name="m")


def test_its_text_names_every_device(M):
    lines = repr(M).splitlines()
    assert [line.split()[:2] for line in lines] == [["M.energy", "SynAxis"], ["M.stage.x", "SynAxis"]]
    assert repr(Group("D")) == "D: empty"


def test_devices_are_found_by_expression_in_any_mapping(M):
    groups = {"M": M, "D": {"ad": SynAxis(name="D.ad")}}
    assert find_device(groups, "M.stage.x") is M.stage.x
    assert find_device(groups, "M") is M
    assert find_device(groups, "D.ad") is groups["D"]["ad"]
    assert find_device(groups, "M.energy.setpoint") is M.energy.setpoint
    for expression, nearest in (("M.enery", "M.energy"), ("X.a", "M"), ("M.energy.setpont", "setpoint")):
        with pytest.raises(UnknownDevice, match=nearest):
            find_device(groups, expression)
    with pytest.raises(UnknownDevice):
        find_device(groups, "M.energy.__class__")


def test_a_number_in_the_place_of_a_device_is_refused_with_how_to_move_it():
    M = Group("M")
    M.x = motor = SynAxis(name="x")
    with pytest.raises(BadValue) as caught:
        M.x = 3
    assert str(caught.value) == "M.x: cannot become 3, which is no device\n  do:   'mv M.x 3' moves it"
    assert M.x is motor
    with pytest.raises(BadValue, match=r"M\.y: cannot become None, which is no device\n  do:   put a device there"):
        M.y = None
    assert "y" not in M
