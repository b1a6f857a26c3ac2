"""The template's contract test, and a server copied from it."""

import math

from mamba.administration.contract import Leave, Result, examine
from mamba.administration.subject import open_subject
from tango_servers.template.model import HeaterModel
from tests.support.tango_facility import TangoFacility


def test_the_model_approaches_its_set_point() -> None:
    now_s = 0.0
    model = HeaterModel(clock=lambda: now_s, tau_s=1.0)
    model.set_target(120.0)
    now_s = 1.0
    assert math.isclose(model.temperature, 120.0 - 100.0 / math.e)
    assert model.heating
    model.place(model.temperature)
    assert not model.heating


def check_contract(facility: TangoFacility, server: str, class_name: str, module: str, **environment: str) -> None:
    """Start a server of one device and demand every promise of it."""
    name = f"test/{class_name.lower()}/1"
    facility.register(server, {name: (class_name, {})})
    facility.start(server, module, **environment)
    try:
        findings = list(examine(open_subject(facility.host, name), Leave.MOVE | Leave.RESTART))
        assert [finding for finding in findings if finding.result in (Result.FAILED, Result.NOT_TRIED)] == []
        kept = {finding.check for finding in findings if finding.result == Result.OK}
        assert kept >= {"Stop ends a move", "limits enforced", "memorized values survive", "events arrive"}
    finally:
        facility.stop(server)


def test_it_keeps_the_contract(control_system: TangoFacility) -> None:
    check_contract(control_system, "Heater/1", "Heater", "tango_servers.template")
