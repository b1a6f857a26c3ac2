"""Soft limits by role follow whoever's cell runs, in the real console with logins."""

from __future__ import annotations

import pytest

from tests.faults.people import host_with_people, log_in

CHECK = "import mamba.devices.role_limits as r; r.check_role_limits('M.x', 7, {'operator': (-5, 5)}, 'mm')"


@pytest.mark.parametrize("first", ["operator", "expert"])
def test_each_command_has_the_limits_of_its_sender(first: str) -> None:
    with host_with_people(console=None) as host:
        tokens = {role: log_in(host, role) for role in ("operator", "expert")}  # type: ignore[arg-type]  # two of them
        order = [first, *(role for role in tokens if role != first)]
        replies = {role: host.client.ask("cmd", cmd=CHECK, token=tokens[role], timeout_s=20) for role in order}
        assert replies["expert"].ok
        assert replies["operator"].err == "limit-exceeded"
        assert "role operator; its limits are -5 to 5 mm" in replies["operator"].desc
