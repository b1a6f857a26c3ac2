"""Checks of verbs and fields."""

from __future__ import annotations

from mamba.wire.conformance.probe import Probe, Skipped, check, expect

STATE_FIELDS = (
    *("prompt", "startup_error", "running", "waiting", "run", "devices", "person", "logged_in", "login", "control"),
    *("history", "last_run", "seq", "time"),
)
"""What `state` holds at least."""


@check("wire/verbs", "holds ping, state, cmd, run/abort, dev/keys, auth/login")
def _verbs(probe: Probe) -> str:
    verbs = probe.ask("wire/verbs")["ret"]
    return expect({"ping", "state", "cmd", "run/abort", "dev/keys", "auth/login"} <= set(verbs), ", ".join(verbs))


@check("an unknown verb", "unknown-verb, with the nearest")
def _unknown_verb(probe: Probe) -> str:
    reply = probe.ask("dev/kyes", path="M")
    return expect(reply["err"] == "unknown-verb" and "'dev/keys'" in reply["desc"], reply["desc"])


@check("a missing field", "bad-request that names 'path'")
def _missing(probe: Probe) -> str:
    return _expect_bad(probe, "'path'", "dev/read")


@check("a field of another type", "bad-request that names 'limit'")
def _type(probe: Probe) -> str:
    return _expect_bad(probe, "'limit'", "cmd/history", limit="5")


@check("an unknown field", "bad-request that names it and the nearest")
def _unknown(probe: Probe) -> str:
    return _expect_bad(probe, "'limit'", "cmd/history", limt=5)


@check("a field beyond its bounds", "bad-request that names 'limit'")
def _bounds(probe: Probe) -> str:
    return _expect_bad(probe, "'limit'", "cmd/history", limit=-1)


def _expect_bad(probe: Probe, named: str, typ: str, **fields: object) -> str:
    reply = probe.ask(typ, **fields)
    return expect(reply["err"] == "bad-request" and named in reply["desc"], reply.get("desc", reply))


@check("a value that was sent", "is never repeated in an error")
def _silence(probe: Probe) -> str:
    reply = probe.ask("auth/login", person=["canary-8291"])
    return expect(reply["err"] == "bad-request" and "canary-8291" not in reply["desc"], reply["desc"])


@check("an unknown device", "unknown-device")
def _device(probe: Probe) -> str:
    reply = probe.ask("dev/keys", path="M.no_such_device")
    if reply["err"] in ("console-died", "console-starting"):
        raise Skipped(reply["err"])
    return expect(reply["err"] == "unknown-device", reply)


@check("run/… with nothing running", "no-run for each")
def _run(probe: Probe) -> str:
    codes = []
    for verb in ("run/resume", "run/pause", "run/stop", "run/abort", "run/halt"):
        probe.require_idle()  # immediately before each: nobody's run is to be touched
        codes.append(probe.ask(verb)["err"])
    return expect(set(codes) == {"no-run"}, codes)


@check("run/status", "state, uid, scan_id, point, num_points, reason, waits_for")
def _run_status(probe: Probe) -> str:
    run = probe.ask("run/status")["ret"]
    return expect({"state", "uid", "scan_id", "point", "num_points", "reason", "waits_for"} <= set(run), run)


@check("session/status", "pid, console_pid, sockets, prompt, uptime_s")
def _status(probe: Probe) -> str:
    status = probe.ask("session/status")["ret"]
    return expect({"pid", "console_pid", "sockets", "prompt", "uptime_s"} <= set(status), status)


@check("state", ", ".join(STATE_FIELDS))
def _state(probe: Probe) -> str:
    state = probe.ask("state")["ret"]
    missing = [name for name in STATE_FIELDS if name not in state]
    return expect(not missing, f"missing: {', '.join(missing)}" if missing else f"all {len(STATE_FIELDS)} of them")


@check("an unknown command", "unknown-command from cmd/status and cmd/cancel")
def _unknown_command(probe: Probe) -> str:
    codes = [probe.ask(verb, id="no such id")["err"] for verb in ("cmd/status", "cmd/cancel")]
    return expect(set(codes) == {"unknown-command"}, codes)
