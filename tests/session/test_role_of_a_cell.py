"""Soft limits by role follow whoever's cell runs, in the real console with logins."""

from __future__ import annotations

import pytest

from tests.faults.people import host_with_people, log_in

CHECK = "import mamba.devices.role_limits as r; r.check_role_limits('M.x', 7, {'operator': (-5, 5)}, 'mm')"


@pytest.mark.parametrize("first", ["operator", pytest.param("expert", marks=pytest.mark.soak)])
def test_each_command_has_the_limits_of_its_sender(first: str) -> None:
    with host_with_people(console=None) as host:
        tokens = {role: log_in(host, role) for role in ("operator", "expert")}  # type: ignore[arg-type]  # two of them
        order = [first, *(role for role in tokens if role != first)]
        replies = {role: host.client.ask("cmd", cmd=CHECK, token=tokens[role], timeout_s=20) for role in order}
        assert replies["expert"].ok
        assert replies["operator"].err == "limit-exceeded"
        assert "role operator; its limits are -5 to 5 mm" in replies["operator"].desc


def test_a_client_is_told_the_limits_that_hold_for_its_person() -> None:
    """`M.m1` has limits of its own and less for an operator; a window shows what `dev/limits` says."""
    with host_with_people(console=None) as host:
        tokens = {role: log_in(host, role) for role in ("observer", "operator", "expert")}  # type: ignore[arg-type]  # all three
        give = "M.m1.role_limits = {'operator': (-5.0, 5.0)}; M.m1.egu = 'mm'; type(M.m1).limits = (-20.0, 3.0)"
        assert host.client.ask("cmd", cmd=give, token=tokens["expert"], timeout_s=20).ok
        for verb in ("dev/limits", "dev/describe"):
            told = {role: host.client.request(verb, path="M.m1", token=token) for role, token in tokens.items()}
            seen = {role: answer.get("limits", answer) for role, answer in told.items()}
            assert seen["expert"] == {"low": -20.0, "high": 3.0, "unit": "mm"}
            assert seen["operator"] == seen["observer"] == {"low": -5.0, "high": 3.0, "unit": "mm"}
        assert host.client.ask("dev/limits", path="M.m1", role="expert", token=tokens["operator"]).err == "bad-request"
