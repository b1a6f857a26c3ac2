"""Soft limits by role: how far an operator may move a device, and how far an expert; the server's limits hold as well.

*Current role*: of the person whose cell runs, told by the console when the cell begins; where nobody has to log in it
is "expert". A role without limits of its own takes those of the next higher role that has some; above all of them only
the server's limits hold.
"""

from __future__ import annotations

from collections.abc import Mapping

from mamba.config import ROLES, Role
from mamba.errors import LimitExceeded

_current: dict[str, Role] = {"role": "expert"}


def set_current_role(role: str) -> None:
    """The next cell is that of a person with this role; an unknown one counts as the least."""
    _current["role"] = next((known for known in ROLES if known == role), ROLES[0])


def current_role() -> Role:
    """The role of the person whose cell runs."""
    return _current["role"]


def find_role_limits(limits: Mapping[Role, tuple[float, float]], role: Role) -> tuple[float, float] | None:
    """The limits that hold for `role`: its own, or those of the next higher role that has some; None without any."""
    known = next((known for known in ROLES[ROLES.index(role) :] if known in limits), None)
    return None if known is None else limits[known]


def check_role_limits(name: str, value: float, limits: Mapping[Role, tuple[float, float]], unit: str) -> None:
    """Refuse a target outside the limits of the current role; `limits` in `unit`, by role.

    Raises:
        LimitExceeded: naming device, target, role and its limits; nothing moved.
    """
    mine = current_role()
    found = find_role_limits(limits, mine)
    if found is None:
        return
    low, high = found
    if not low <= value <= high:
        raise LimitExceeded(
            f"{name}: cannot go to {value:.10g} {unit}".rstrip(),
            seen=f"role {mine}; its limits are {low:.10g} to {high:.10g} {unit}".rstrip(),
            remedy="nothing moved; choose a value inside, or ask somebody with a higher role",
        )
