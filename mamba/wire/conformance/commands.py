"""Checks of commands, their values and their notices."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from mamba.wire.conformance.probe import TIMEOUT_S, Differs, Probe, Skipped, check, expect
from mamba.wire.messages import dump_request
from mamba.wire.values import decode, encode

_HOLD = "__import__('time').sleep(0.4)"

VALUES: tuple[tuple[str, Any], ...] = (
    ("float('nan')", {"$type": "float", "value": "nan"}),
    ("-float('inf')", {"$type": "float", "value": "-inf"}),
    ("2**1001", {"$type": "int", "hex": hex(2**1001)}),
    ("1 + 2j", {"$type": "complex", "real": 1.0, "imag": 2.0}),
    ("b'\\x00\\xff'", {"$type": "bytes", "base64": "AP8="}),
    ("(1, 'two')", {"$type": "tuple", "items": [1, "two"]}),
    ("{3}", {"$type": "set", "items": [3]}),
    ("{1: 'one'}", {"$type": "dict", "items": [[1, "one"]]}),
    ("__import__('datetime').date(2026, 1, 2)", {"$type": "date", "iso": "2026-01-02"}),
    ("__import__('pathlib').Path('/data')", {"$type": "path", "path": "/data"}),
    (
        "__import__('numpy').arange(2, dtype='<i2')",
        {"$type": "ndarray", "dtype": "<i2", "shape": [2], "base64": "AAABAA=="},
    ),
    ("__import__('numpy').float64(1.5)", 1.5),
    ("{'a': [None, True, 'ü']}", {"a": [None, True, "ü"]}),
)
"""Expressions, and the form in which their values travel."""


@contextmanager
def subscribed(probe: Probe) -> Iterator[zmq.Socket[bytes]]:
    """A socket that is known to hear this session."""
    sock = probe.connect(zmq.SUB, probe.runtime.notify)
    deadline = time.monotonic() + TIMEOUT_S
    while not sock.poll(100):
        probe.command("1 + 1")
        if time.monotonic() > deadline:
            raise Differs(f"no notice within {TIMEOUT_S:g} s")
    probe.require_idle()
    yield sock
    sock.close()


def wait_notice(sock: zmq.Socket[bytes], typ: str, **fields: Any) -> dict[str, Any]:
    """The next notice of this kind."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and sock.poll(int(TIMEOUT_S * 1000)):
        notice: dict[str, Any] = json.loads(sock.recv())
        if notice["typ"] == typ and all(notice.get(key) == value for key, value in fields.items()):
            return notice
    raise Differs(f"no {typ} within {TIMEOUT_S:g} s")


@check("cmd", '{"err": "", "ret": 2}')
def _command(probe: Probe) -> str:
    reply = probe.command("1 + 1")
    return expect(reply == {"err": "", "ret": 2}, reply)


@check("cmd with wait=false", "an id at once, cmd/done with it and the result later")
def _no_wait(probe: Probe) -> str:
    with subscribed(probe) as sock:
        sent = probe.command("6 * 7", wait=False)["ret"]
        done = wait_notice(sock, "cmd/done", id=sent["id"])
    return expect(done["rep"] == {"err": "", "ret": 42} and done["text"] == "6 * 7", done["rep"])


@check("cmd/running, then cmd/done", "with n, text, origin, person, time")
def _notices(probe: Probe) -> str:
    with subscribed(probe) as sock:
        sent = probe.command("'seen'", wait=False)["ret"]
        running = wait_notice(sock, "cmd/running", id=sent["id"])
        wait_notice(sock, "cmd/done", id=sent["id"], n=running["n"])
    named = {"id", "n", "text", "origin", "person", "time", "seq"} <= set(running)
    return expect(named and running["origin"] == "conformance", running)


@check("sequence numbers of notices", "one more each time, per typ; state['seq'] holds the last")
def _seq(probe: Probe) -> str:
    with subscribed(probe) as sock:
        before = probe.ask("state")["ret"]["seq"].get("cmd/done", 0)
        numbers = []
        for text in ("1", "2", "3"):
            sent = probe.command(text, wait=False)["ret"]
            numbers.append(wait_notice(sock, "cmd/done", id=sent["id"])["seq"])
    return expect(numbers == [before + 1, before + 2, before + 3], f"{before}, then {numbers}")


@check("cmd/status, cmd/history", "the receipt: state done, rep, duration_s, files")
def _receipt(probe: Probe) -> str:
    sent = probe.command("'receipt'", wait=False)["ret"]
    probe.require_idle()
    receipt = probe.ask("cmd/status", id=sent["id"])["ret"]
    history = probe.ask("cmd/history", limit=5)["ret"]
    named = {"n", "text", "origin", "person", "time", "duration_s", "files", "rep"} <= set(receipt)
    right = named and receipt["state"] == "done" and sent["id"] in [each["id"] for each in history]
    return expect(right, receipt)


@check("cmd/cancel", "a command that waits is answered `cancelled`; one that is done is `too-late`")
def _cancel(probe: Probe) -> str:
    with subscribed(probe) as sock:
        first = probe.command(_HOLD, wait=False)["ret"]
        waiting = probe.ask("cmd", cmd="'never executed'", origin="conformance", wait=False)["ret"]
        probe.ask("cmd/cancel", id=waiting["id"])
        codes = [wait_notice(sock, "cmd/done", id=waiting["id"])["rep"]["err"]]
        wait_notice(sock, "cmd/done", id=first["id"])
    codes.append(probe.ask("cmd/cancel", id=first["id"])["err"])
    return expect(codes == ["cancelled", "too-late"], codes)


@check("a deadline", "a command that waits too long is answered `deadline-passed`")
def _deadline(probe: Probe) -> str:
    probe.command(_HOLD, wait=False)
    reply = probe.ask("cmd", cmd="'never executed'", origin="conformance", deadline_s=0.05)
    return expect(reply["err"] == "deadline-passed", reply)


@check("hold=false while something runs", "busy, with what runs")
def _busy(probe: Probe) -> str:
    probe.command(_HOLD, wait=False)
    reply = probe.ask("cmd", cmd="'never executed'", origin="conformance", hold=False)
    return expect(reply["err"] == "busy" and "sleep" in reply["desc"], reply)


@check("a slow request", "delays no other: ping within 0.1 s")
def _order(probe: Probe) -> str:
    probe.require_idle()
    token = {"token": probe.token} if probe.token else {}
    slow = dump_request("cmd", {"cmd": _HOLD, "origin": "conformance", **token})
    probe.dealer.send_multipart([b"slow", b"", slow])
    started = time.monotonic()
    probe.exchange(b'{"typ": "ping"}')
    took_s = time.monotonic() - started
    reply = probe.load(probe.receive(b"slow"))
    if reply["err"] in ("forbidden", "not-logged-in", "not-in-control"):
        raise Skipped(reply["desc"].split("\n")[0])
    return expect(took_s < 0.1, f"{took_s * 1000:.1f} ms")


@check("a text that cannot be a cell", "text-refused: empty, ESC, NUL")
def _text(probe: Probe) -> str:
    codes = [probe.command(text)["err"] for text in ("", " \n", "1\x1b", "'\x00'")]
    return expect(set(codes) == {"text-refused"}, codes)


@check("Unicode and several lines", "the executed text is the sent text")
def _unicode(probe: Probe) -> str:
    reply = probe.command("_text = '🦀 ü\t' + '''\n'''\n_text")
    return expect(reply == {"err": "", "ret": "🦀 ü\t\n"}, reply)


@check("typed values", f"{len(VALUES)} values in the form of the reference")
def _values(probe: Probe) -> str:
    for text, form in VALUES:
        reply = probe.command(text)
        if reply != {"err": "", "ret": form}:
            raise Differs(f"{text}: {reply}")
    return "all of them"


@check("typed values, read and written again", "the same form")
def _both_ways(probe: Probe) -> str:
    for text, _ in VALUES:
        form = probe.command(text)["ret"]
        if encode(decode(form)) != form:
            raise Differs(f"{text}: {encode(decode(form))}")
    return "all of them"


@check("a value without a form", '{"$type": "repr", …}')
def _repr(probe: Probe) -> str:
    value = probe.command("object()")["ret"]
    return expect(value["$type"] == "repr" and value["class"] == "builtins.object", value)
