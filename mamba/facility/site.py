"""What a site runs itself: servers that are up, by hand or by Tango's Starter, are left alone by `up` and by `down`."""

from __future__ import annotations

from typing import Any

from mamba.config import Profile
from mamba.errors import ServerFailed
from mamba.facility.admin_link import AdminLink
from mamba.facility.progress import Progress

_READY_TIMEOUT_S = 30.0


async def find_site_servers(
    admin: AdminLink, host: str, profile: Profile, progress: Progress, *, since_s: float
) -> dict[str, str]:
    """The servers of the profile that the site runs, all of their devices ready, with how they were found.

    A server that belongs to a Starter and does not run is started by that Starter.

    Raises:
        ServerFailed: one runs without all the devices that the profile gives it, or does not become ready.
        FacilityError: the Starter refused to start one.
    """
    answer = await admin.ask("running", host=host, servers=list(profile.servers), timeout_s=_READY_TIMEOUT_S)
    found: dict[str, dict[str, Any]] = answer["servers"]
    wait_s = _READY_TIMEOUT_S if any(server["pid"] is None for server in found.values()) else 3.0
    waits = {name: {"pid": found[name]["pid"], "devices": list(profile.servers[name].devices)} for name in found}
    answer = await admin.ask("await", host=host, servers=waits, timeout_s=wait_s)
    for name, why in answer["waiting"].items():
        raise ServerFailed(
            f"{name}: the site runs it, but not all of its devices are ready",
            seen=why,
            remedy="restart it by Astor or by hand, then 'mambactl up' again: it reads its devices when it starts",
        )
    for name, server in found.items():
        progress.report_step(name, since_s=since_s, note=f"the site's: {server['by']}")
    return {name: str(server["by"]) for name, server in found.items()}
