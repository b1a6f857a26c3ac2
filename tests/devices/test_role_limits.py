"""Soft limits by role: checked before anything moves, by whatever way the set point comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bluesky import RunEngine

from mamba.config import DeviceConfig, Profile
from mamba.devices import Group, build_devices, describe_device, limits_of, set_current_role
from mamba.devices.role_limits import check_role_limits, current_role
from mamba.errors import LimitExceeded, ProfileError
from mamba.scans import mv
from tests.support.engines import ending

LIMITS = {"operator": (-5.0, 5.0), "expert": (-20.0, 20.0)}


@pytest.fixture(autouse=True)
def role() -> Iterator[None]:
    yield
    set_current_role("expert")


@pytest.fixture
def M(profile: Profile) -> Group:
    """sample_x with soft limits, which its server lets go from -25 to 25 mm."""
    x = profile.devices.M["sample_x"].model_copy(update={"limits": LIMITS})
    devices = profile.devices.model_copy(update={"M": {**profile.devices.M, "sample_x": x}, "D": {}})
    return build_devices(profile.model_copy(update={"devices": devices}))[0]


def test_an_operator_has_less_room_than_an_expert(M: Group) -> None:
    set_current_role("operator")
    with pytest.raises(LimitExceeded, match="cannot go to 7 mm") as refused:
        M.sample_x.check_value(7)
    assert refused.value.seen == "role operator; its limits are -5 to 5 mm"
    M.sample_x.check_value(-5)
    set_current_role("expert")
    M.sample_x.check_value(7)
    with pytest.raises(LimitExceeded, match="cannot go to 21 mm"):
        M.sample_x.check_value(21)
    with pytest.raises(LimitExceeded, match="cannot go to 26 mm") as of_server:
        M.sample_x.check_value(26)
    assert "role" not in of_server.value.seen


def test_the_limits_that_are_told_are_those_of_the_role(M: Group) -> None:
    told = {"low": -5.0, "high": 5.0, "unit": "mm"}
    assert limits_of(M.sample_x, "operator") == limits_of(M.sample_x, "observer") == told
    assert limits_of(M.sample_x, "expert") == {"low": -20.0, "high": 20.0, "unit": "mm"}
    assert describe_device(M.sample_x, "operator")["limits"] == told
    set_current_role("operator")
    assert limits_of(M.sample_x) == told
    M.sample_x.role_limits = {"expert": (-1e3, 1e3)}
    assert limits_of(M.sample_x)["high"] == M.sample_x.high_limit  # the server's hold as well


def test_no_way_leads_around_them(M: Group) -> None:
    set_current_role("operator")
    before = M.sample_x.position
    for write in (M.sample_x.set, M.sample_x.setpoint.put, M.sample_x.readback.put):
        with pytest.raises(LimitExceeded, match="role operator"):
            write(7)
    assert M.sample_x.position == before


@pytest.mark.error_logged  # bluesky logs the end of a plan
def test_two_motors_are_checked_before_one_moves(M: Group) -> None:
    set_current_role("operator")
    before, stood = M.sample_y.position, M.sample_x.position
    with ending(RunEngine({})) as engine, pytest.raises(LimitExceeded, match=r"M\.sample_x"):
        engine(mv(M.sample_y, before + 1, M.sample_x, 7))
    assert (M.sample_y.position, M.sample_x.position) == (before, stood)


def test_a_role_without_limits_takes_those_above_it() -> None:
    set_current_role("observer")
    with pytest.raises(LimitExceeded, match=r"role observer.*-5 to 5"):
        check_role_limits("M.x", 6, LIMITS, "mm")  # type: ignore[arg-type]  # a dict of literals
    set_current_role("expert")
    check_role_limits("M.x", 1e9, {"operator": (-5.0, 5.0)}, "mm")
    set_current_role("nonsense")
    assert current_role() == "observer"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"operator": [5, -5]}, "LOWEST, HIGHEST"),
        ({"operator": [-5, ".inf"]}, "number"),
        ({"operator": [-5, 5], "expert": [-4, 20]}, "the limits of expert must hold those of operator"),
    ],
)
def test_limits_that_make_no_sense(limits: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DeviceConfig(tango="a/b/c", type="motor", limits=limits)


def test_only_what_takes_a_number_has_limits(profile: Profile) -> None:
    shutter = profile.devices.M["shutter"].model_copy(update={"limits": LIMITS})
    devices = profile.devices.model_copy(update={"M": {"shutter": shutter}, "D": {}})
    with pytest.raises(ProfileError, match="'limits' do not go with type shutter"):
        build_devices(profile.model_copy(update={"devices": devices}))
