"""Checks of bytes and frames: the paper's Figure 3, ids, plain REQ, what is no request."""

from __future__ import annotations

import json
import time

import zmq

from mamba.wire.conformance.probe import Probe, Skipped, check, expect
from mamba.wire.messages import MAX_DEPTH, MAX_FRAME_BYTES, MAX_TOKENS, dump_request


@check("ping", '{"err": "", "ret": "pong"}')
def _ping(probe: Probe) -> str:
    (reply,) = probe.exchange(b'{"typ": "ping"}')
    return expect(reply == b'{"err": "", "ret": "pong"}', reply)


@check("wire/version", "1")
def _version(probe: Probe) -> str:
    reply = probe.ask("wire/version")
    return expect(reply == {"err": "", "ret": 1}, reply)


@check("Figure 3 (a): devices", '{"err": "", "ret": ["M.…", …]}, byte for byte')
def _devices(probe: Probe) -> str:
    token = {"token": probe.token} if probe.token else {}
    (reply,) = probe.exchange(dump_request("dev/keys", {"path": "M", **token}))
    content = json.loads(reply)
    if content["err"]:
        raise Skipped(content["desc"].split("\n")[0])
    same = reply == json.dumps({"err": "", "ret": content["ret"]}).encode()
    return expect(same and all(name.startswith("M.") for name in content["ret"]), reply)


@check("Figure 3 (b): an exception", '{"err": "exc", "desc": "ZeroDivisionError: division by zero"}')
def _exception(probe: Probe) -> str:
    probe.require_idle()
    token = {"token": probe.token} if probe.token else {}
    (reply,) = probe.exchange(dump_request("cmd", {"cmd": "1 / 0", "origin": "conformance", **token}))
    if json.loads(reply)["err"] in ("forbidden", "not-logged-in", "not-in-control"):
        raise Skipped(json.loads(reply)["desc"].split("\n")[0])
    return expect(reply == b'{"err": "exc", "desc": "ZeroDivisionError: division by zero"}', reply)


@check("Figure 3 (b): an anticipated error", '{"err": "use-command", "desc": "…"}, its own code')
def _own_code(probe: Probe) -> str:
    reply = probe.ask("dev/move", path="M.x", position=1)
    return expect(list(reply) == ["err", "desc"] and reply["err"] == "use-command", reply)


@check("Figure 3 (c): a notice", 'one frame that begins with {"typ": "cmd/')
def _notice(probe: Probe) -> str:
    sock = probe.connect(zmq.SUB, probe.runtime.notify)
    while not sock.poll(100):
        probe.command("1 + 1")
    frames = sock.recv_multipart()
    sock.close()
    return expect(len(frames) == 1 and frames[0].startswith(b'{"typ": "'), frames[0])


@check("Figure 3 (d): keys", 'b"" for b""')
def _keys(probe: Probe) -> str:
    sock = probe.connect(zmq.REQ, probe.runtime.keys)
    sock.send(b"")
    reply = sock.recv()
    sock.close()
    if reply and probe.ask("auth/whoami")["ret"]["required"]:
        raise Skipped(reply.decode())
    return expect(reply == b"", repr(reply))


@check("a plain REQ socket", '{"err": "", "ret": "pong"}')
def _req(probe: Probe) -> str:
    sock = probe.connect(zmq.REQ, probe.runtime.rpc)
    sock.send(b'{"typ": "ping"}')
    reply = sock.recv()
    sock.close()
    return expect(reply == b'{"err": "", "ret": "pong"}', reply)


@check("frames before the empty one", "they come back before the reply")
def _envelope(probe: Probe) -> str:
    sock = probe.connect(zmq.DEALER, probe.runtime.rpc)
    sock.send_multipart([b"one", b"two", b"", b'{"typ": "ping"}'])
    frames = sock.recv_multipart()
    sock.close()
    return expect(frames == [b"one", b"two", b"", b'{"err": "", "ret": "pong"}'], frames)


@check("ids", "a text, a number or null comes back; without one none comes")
def _ids(probe: Probe) -> str:
    given: list[str | float | None] = ["x", 7, 1.5, None]
    back = [json.loads(probe.exchange(dump_request("ping", {"id": each}))[0]).get("id", "none") for each in given]
    return expect(back == given, back)


@check("an id in an error", "comes back too")
def _id_of_error(probe: Probe) -> str:
    reply = json.loads(probe.exchange(b'{"typ": 5, "id": "x"}')[0])
    return expect(reply["err"] == "bad-request" and reply["id"] == "x", reply)


@check("more than one frame", "bad-request")
def _frames(probe: Probe) -> str:
    reply = probe.load(probe.exchange(b'{"typ": "ping"}', b"{}"))
    return expect(reply["err"] == "bad-request", reply["desc"])


@check("what is no JSON object", "bad-request for each")
def _garbage(probe: Probe) -> str:
    garbage = (b"", b"\x00\xff", b"[1]", b"{", b'{"typ": ""}', b'"ping"', '{"typ": "ping"}'.encode("utf-16"))
    codes = [probe.load(probe.exchange(frame))["err"] for frame in garbage]
    return expect(set(codes) == {"bad-request"}, codes)


@check("NaN and what is no JSON number", "bad-request for each")
def _numbers(probe: Probe) -> str:
    codes = [
        probe.load(probe.exchange(b'{"typ": "ping", "a": ' + number + b"}"))["err"]
        for number in (b"NaN", b"Infinity", b"-Infinity", b"1e999")
    ]
    return expect(set(codes) == {"bad-request"}, codes)


@check("a request that is too long, too deep, of too many parts", "bad-request within 1 s each")
def _too_much(probe: Probe) -> str:
    frames = (
        b'{"typ": "ping", "a": "' + b"x" * MAX_FRAME_BYTES + b'"}',
        b'{"typ": "ping", "a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"typ": "ping", "a": [' + b"[]," * MAX_TOKENS + b"1]}",
    )
    seen = []
    for frame in frames:
        started = time.monotonic()
        code = probe.load(probe.exchange(frame))["err"]
        seen.append(code if time.monotonic() - started < 1 else f"{code} after {time.monotonic() - started:.1f} s")
    return expect(set(seen) == {"bad-request"}, seen)


@check("after all of that", "ping is answered within 0.1 s")
def _still_there(probe: Probe) -> str:
    started = time.monotonic()
    probe.exchange(b'{"typ": "ping"}')
    took_s = time.monotonic() - started
    return expect(took_s < 0.1, f"{took_s * 1000:.1f} ms")
