"""Everything the facility asks of Tango, in a short-lived process: register, wait until ready, look at devices.

`python -m mamba.facility.tango_admin` reads one JSON request per line from its standard input and answers with JSON
lines; it ends with its input. It is a process of its own so that neither the supervisor nor `mambactl` carries the
50 MB of Tango, and so that a Tango call that hangs can be ended. Its first line says that it has loaded. Every
request has `host` and `timeout_s`, and (`verb`, more fields → answer):

=========  ======================================  ===============================================================
answering                                          `{}` when the database answers
register   profile, servers, is_shared             `{"changes": [text…]}`
running    servers [name…]                         `{"servers": {name: {pid, by}}}`, those that the site runs
await      servers {name: {pid, devices}}          an event `{"ready": name}` for each, then `{"waiting": {name: why}}`
survey     servers [name…], devices [name…]        events `{"database": true}`, `{"server": name, "seen": {answers,
                                                   pid, why}}`, `{"device": name, "seen": {state, status, why}}`,
                                                   then `{}`
=========  ======================================  ===============================================================
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tango

from mamba.errors import FacilityError, MambaError
from mamba.facility.registration import Registered, Wanted, plan_registration

Emit = Callable[[dict[str, Any]], None]
_PING_TIMEOUT_MS = 1000
_MEMORY = "mamba-registered"  # free property of the database: what the profile wrote last, per device


def open_database(host: str, timeout_s: float) -> tango.Database:
    """The database at `host` (host:port), once it answers.

    Raises:
        FacilityError: it did not answer within `timeout_s`.
    """
    name, _, port = host.rpartition(":")
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            database = tango.Database(name, int(port))
            database.get_info()
        except tango.DevFailed as failed:
            if time.monotonic() > deadline:
                raise FacilityError(
                    f"Tango database {host}: does not answer",
                    seen=read_reason(failed),
                    remedy="see that it runs there, and tango.host in the profile",
                ) from None
            time.sleep(0.1)  # between two looks at a condition with a deadline
        else:
            return database


def read_reason(failed: tango.DevFailed) -> str:
    """The first line of what a Tango exception says."""
    return str(failed.args[0].desc).strip().splitlines()[0] if failed.args else "no reason given"


def register(
    database: tango.Database, profile: str, servers: dict[str, dict[str, Wanted]], *, is_shared: bool
) -> list[str]:
    """Make the database hold what the profile wants; what differs only. Returns what was changed, one line each.

    In a database that others share, a device that left the profile stays while a server exports it: it may be the
    device of another beamline whose profile has the same name.
    """
    remembered = _recall(database, profile)
    found = {device: _read_registered(database, device) for device in _names(servers, remembered)}
    plan = plan_registration(servers, found, remembered)
    for server in servers:
        _add_device(database, f"dserver/{server}", "DServer", server)
    for device, server, class_name in plan.add:
        _add_device(database, device, class_name, server)
    if is_shared:
        plan.remove = [device for device in plan.remove if not database.get_device_info(device).exported]
    for device in plan.remove:
        database.delete_device(device)
    for device, values in plan.write.items():
        database.put_device_property(device, values)
    for device, names in plan.delete.items():
        database.delete_device_property(device, names)
    for device, alias in plan.alias.items():
        database.put_device_alias(device, alias)
    if plan.remember != remembered:
        database.put_property(_MEMORY, {profile: [json.dumps(plan.remember, sort_keys=True)]})
    return plan.describe()


def _names(servers: dict[str, dict[str, Wanted]], remembered: dict[str, Wanted]) -> set[str]:
    return {device.lower() for devices in servers.values() for device in devices} | set(remembered)


def _add_device(database: tango.Database, device: str, class_name: str, server: str) -> None:
    info = tango.DbDevInfo()
    info.name, info._class, info.server = device, class_name, server
    try:
        known = database.get_device_info(device)
    except tango.DevFailed:
        known = None
    if known is None or (known.ds_full_name.lower(), known.class_name) != (server.lower(), class_name):
        database.add_device(info)


def _read_registered(database: tango.Database, device: str) -> Registered | None:
    try:
        info = database.get_device_info(device)
    except tango.DevFailed:
        return None  # the database does not know it; if it does not answer, the next call says so
    names = list(database.get_device_property_list(device, "*"))
    values = database.get_device_property(device, names) if names else {}
    try:
        alias = database.get_alias_from_device(device)
    except tango.DevFailed:
        alias = ""
    return {
        "server": info.ds_full_name,
        "class": info.class_name,
        "alias": alias,
        "properties": {name: list(value) for name, value in values.items()},
    }


def _recall(database: tango.Database, profile: str) -> dict[str, Wanted]:
    stored = database.get_property(_MEMORY, [profile])[profile]
    return json.loads("".join(stored)) if stored else {}


def await_servers(host: str, servers: dict[str, dict[str, Any]], timeout_s: float, emit: Emit) -> dict[str, str]:
    """Emit `{"ready": name}` for each server once all its devices are exported by its process and answer a ping.

    Returns: why, for each server that was not ready in time.
    """
    deadline = time.monotonic() + timeout_s
    waiting = dict.fromkeys(servers, "not looked at yet")
    database = open_database(host, timeout_s)
    while waiting and time.monotonic() < deadline:
        for server in tuple(waiting):
            why = _find_obstacle(database, host, servers[server])
            waiting[server] = why
            if not why:
                del waiting[server]
                emit({"ready": server})
        if waiting:
            time.sleep(0.05)  # between two looks at a condition with a deadline
    return waiting


def find_running(database: tango.Database, host: str, servers: list[str]) -> dict[str, dict[str, Any]]:
    """What the site runs of these servers: `{server: {"pid": its process, "by": who starts it}}`.

    One that does not run but belongs to a Starter is started by it: it would do so itself sooner or later, and two
    processes of one server take each other's devices.
    """
    running = {}
    for server in servers:
        seen = _look_at_server(host, server)
        if seen["answers"]:
            running[server] = {"pid": seen["pid"], "by": "runs already"}
        elif starter := _find_starter(database, host, server):
            running[server] = {"pid": None, "by": f"started by {starter.dev_name()}"}
            starter.command_inout("DevStart", server)
    return running


def _find_starter(database: tango.Database, host: str, server: str) -> tango.DeviceProxy | None:
    """The Starter that controls this server, as Astor shows it; None when none does."""
    # The command, not `get_server_info`: that fails on the blanks which DataBaseds answers where nothing is set.
    _, machine, controlled, *_ = database.command_inout("DbGetServerInfo", server)
    if controlled.strip() != "1" or not machine.strip():
        return None
    return _connect(host, f"tango/admin/{machine.strip().partition('.')[0]}")


def _find_obstacle(database: tango.Database, host: str, server: dict[str, Any]) -> str:
    """What is missing until the server is ready; empty when nothing is."""
    for device in server["devices"]:
        try:
            info = database.get_device_info(device)
            # A server killed with SIGKILL stays "exported": only the process id tells the old from the new. Of one that
            # a Starter starts we do not know it; the ping below does not reach the old one.
            if not info.exported or server["pid"] not in (info.pid, None):
                return f"{device} is not exported yet{_find_unknown_class(host, info)}"
            _connect(host, device).ping()
        except tango.DevFailed as failed:
            return f"{device}: {read_reason(failed)}"
    return ""


def _find_unknown_class(host: str, info: tango.DbDevFullInfo) -> str:
    """Why a device will never be exported: its server runs and has no such class; empty when that is not so."""
    try:
        classes = list(_connect(host, f"dserver/{info.ds_full_name}").command_inout("QueryClass"))
    except tango.DevFailed:
        return ""  # the server does not run yet
    return "" if info.class_name in classes else f": its server has no class {info.class_name!r}"


def _connect(host: str, device: str) -> tango.DeviceProxy:
    proxy = tango.DeviceProxy(f"tango://{host}/{device}")
    proxy.set_timeout_millis(_PING_TIMEOUT_MS)
    return proxy


def survey(host: str, servers: list[str], devices: list[str], emit: Emit) -> None:
    """Emit whether each server answers, and state and status of each device, as they come in.

    All are asked at once: to connect to a server that hangs takes Tango 12 s, whatever time-out is set.
    """
    with ThreadPoolExecutor(len(servers) + len(devices) or 1) as pool:
        looks = [pool.submit(_look, "server", name, host, emit) for name in servers]
        looks += [pool.submit(_look, "device", name, host, emit) for name in devices]
        for look in looks:
            look.result()


def _look(kind: str, name: str, host: str, emit: Emit) -> None:
    look = _look_at_server if kind == "server" else _look_at_device
    emit({kind: name, "seen": look(host, name)})


def _look_at_server(host: str, server: str) -> dict[str, Any]:
    with tango.EnsureOmniThread():
        try:
            proxy = _connect(host, f"dserver/{server}")
            proxy.ping()
            pid = int(proxy.get_device_db().get_device_info(proxy.dev_name()).pid)
            return {"answers": True, "pid": pid, "why": ""}
        except tango.DevFailed as failed:
            return {"answers": False, "pid": None, "why": read_reason(failed)}


def _look_at_device(host: str, device: str) -> dict[str, Any]:
    with tango.EnsureOmniThread():
        try:
            state, status = _connect(host, device).read_attributes(["State", "Status"])
            return {"state": str(state.value), "status": str(status.value).splitlines()[0], "why": ""}
        except tango.DevFailed as failed:
            return {"state": "UNREACHABLE", "status": "", "why": read_reason(failed)}


def serve_request(request: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Answer one request of the table above."""
    host = request["host"]
    match request["verb"]:
        case "answering":
            open_database(host, request["timeout_s"])
            return {}
        case "register":
            database = open_database(host, 3.0)
            servers, profile = request["servers"], request["profile"]
            return {"changes": register(database, profile, servers, is_shared=request["is_shared"])}
        case "running":
            return {"servers": find_running(open_database(host, 3.0), host, request["servers"])}
        case "await":
            return {"waiting": await_servers(host, request["servers"], request["timeout_s"], emit)}
        case "survey":
            open_database(host, 1.0)
            emit({"database": True})
            survey(host, request["servers"], request["devices"], emit)
            return {}
        case verb:
            raise FacilityError(f"tango_admin: unknown verb {verb!r}")


def main() -> None:
    """Serve requests until the input ends."""

    def emit(message: dict[str, Any]) -> None:
        # one call per line: threads write here
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    emit({"ready": True})
    for line in sys.stdin:
        try:
            emit({"answer": serve_request(json.loads(line), emit)})
        except tango.DevFailed as failed:
            emit({"error": ["Tango: a request failed", read_reason(failed), "see logs/facility.log"]})
        except MambaError as error:
            emit({"error": [error.what, error.seen, error.remedy]})


if __name__ == "__main__":
    main()
