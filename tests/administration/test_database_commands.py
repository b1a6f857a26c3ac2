"""Administrators' tools find the same commands in the embedded database as in a site's, with the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tango

from tests.support.site_database import running_site
from tests.support.tango_facility import TangoFacility, running_facility

Both = tuple[tango.DeviceProxy, tango.DeviceProxy]


@pytest.fixture(scope="module")
def facilities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TangoFacility, TangoFacility]]:
    with (
        running_facility(Path(tmp_path_factory.mktemp("embedded"))) as embedded,
        running_site(Path(tmp_path_factory.mktemp("site"))) as site,
    ):
        yield embedded, site


@pytest.fixture
def both(facilities: tuple[TangoFacility, TangoFacility]) -> Both:
    """The embedded database's device, and the site's."""
    embedded, site = (facility.device("sys/database/2") for facility in facilities)
    return embedded, site


def test_the_embedded_database_has_every_command_of_the_sites(both: Both) -> None:
    embedded, site = ({c.cmd_name: (c.in_type, c.out_type) for c in d.command_list_query()} for d in both)
    assert len(site) > 90
    assert {name: types for name, types in site.items() if embedded.get(name) != types} == {}


ASKED = (
    *(("DbGetDeviceAlias", "a/b/e"), ("DbGetDeviceAlias", "n/o/1"), ("DbGetAliasDevice", "none")),
    *(("DbGetDeviceInfo", "n/o/1"), ("DbImportDevice", "n/o/1"), ("DbGetClassForDevice", "n/o/1")),
    *(("DbGetDeviceClassList", "No/such"), ("DbGetHostServersInfo", "nohost"), ("DbGetInstanceNameList", "Nope")),
    *(("DbGetAttributeAlias", "none"), ("DbGetAliasAttribute", "none"), ("DbGetObjectList", "*")),
    *(("DbGetServerInfo", "Axis/e"), ("DbGetForwardedAttributeListForDevice", "a/b/e")),
)


def test_what_is_not_there_is_answered_in_the_same_way(facilities: tuple[TangoFacility, TangoFacility]) -> None:
    def ask(facility: TangoFacility, name: str, argument: str) -> object:
        try:
            answer = facility.device("sys/database/2").command_inout(name, argument)
        except tango.DevFailed as failure:
            return failure.args[0].reason
        return list(answer)

    for facility in facilities:
        facility.register("Axis/e", {"a/b/e": ("Axis", {})})
    answers = [{(name, word): ask(facility, name, word) for name, word in ASKED} for facility in facilities]
    assert answers[0] == answers[1]


def test_forwarded_attributes_are_found_by_their_root(facilities: tuple[TangoFacility, TangoFacility]) -> None:
    for facility in facilities:
        facility.database.put_device_attribute_property("a/b/c", {"Fwd": {"__root_att": ["t/r_1/x/double_scalar"]}})
        database = facility.device("sys/database/2")
        assert list(database.DbGetForwardedAttributeListForDevice("t/r_1/x")) == [
            "a/b/c",
            "Fwd",
            "t/r_1/x/double_scalar",
        ]
        assert list(database.DbGetForwardedAttributeListForDevice("t/rr1/x")) == []


def test_pipes_that_nobody_wrote(both: Both) -> None:
    for database in both:
        assert list(database.DbGetDevicePipeList(["a/b/d", "*"])) == []
        assert list(database.DbGetDevicePipePropertyHist(["a/b/d", "p", "label"])) == []
        database.DbDeleteAllDevicePipeProperty(["a/b/d", "p"])


def test_writing_a_pipe_is_refused_with_its_reason(both: Both) -> None:
    with pytest.raises(tango.DevFailed, match="a/b/c: the embedded database keeps no pipes"):
        both[0].DbPutDevicePipeProperty(["a/b/c", "1", "p", "1", "label", "1", "x"])
