"""A console without IPython: a real Python prompt in the pty, and an agent on the link. Starts in 0.2 s.

Cells run in the main thread; a second thread reads the link, as IPython's agent does, so that `run/…` is answered
while a cell runs. Names in the cells: `link` (to misbehave), `silent` (an event: the agent answers nothing).
"""

from __future__ import annotations

import ast
import os
import queue
import signal
import sys
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Any

import zmq

from mamba.wire.agent_link import dump, dump_notice, join_notices, load


class Link:
    def __init__(self, endpoint: str) -> None:
        self.todo: queue.Queue[dict[str, Any]] = queue.Queue()
        self.silent = threading.Event()
        self.occupied = threading.Event()
        self.run: dict[str, Any] = {"state": "idle", "uid": None, "scan_id": None, "point": None, "num_points": None}
        self.run.update(reason="", waits_for=[])
        self.held: list[dict[str, Any]] = []
        self.person = ""
        self.replies: queue.Queue[Any] = queue.Queue()
        self._lock = threading.Lock()
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.sndhwm = 0  # a full pipe would block with the lock held
        self._socket.connect(endpoint)

    def send(self, typ: str, **fields: Any) -> None:
        with self._lock:
            self._socket.send(dump({"typ": typ, **fields}))

    def send_raw(self, *frames: bytes) -> None:
        with self._lock:
            self._socket.send_multipart(frames)

    def tell_state(self, prompt: str) -> None:
        self.send("state", prompt=prompt, run=self.run, devices={"M": ["M.m1", "M.m2", "M.stage.x"], "D": ["D.i0"]})

    def publish(self, typ: str, **fields: Any) -> None:
        self.send_raw(*join_notices([dump_notice({"typ": typ, "time": time.time(), **fields})]))

    def ask(self, verb: str, **args: Any) -> Any:
        self.send("request", id="r1", verb=verb, args=args)
        return self.replies.get(timeout=5)

    def read_for_ever(self) -> None:
        while True:
            if self._socket.poll(100):
                with self._lock:
                    message = load(self._socket.recv())
                if not self.silent.is_set():
                    self.take(message)

    def take(self, message: dict[str, Any]) -> None:
        typ = message["typ"]
        if typ == "cell/deliver":
            if self.occupied.is_set():
                self.held.append(message)
                self.send("cell/waiting", id=message["id"], why="prompt-occupied")
            else:
                self.todo.put(message)
        elif typ == "cell/cancel":
            self.held = [held for held in self.held if held["id"] != message["id"]]
            self.send("cell/cancelled", id=message["id"], rep={"err": "cancelled", "desc": "by the agent"})
        elif typ.startswith("run/"):
            self.send("answer", id=message["id"], rep=self.control(typ, message))
        elif typ == "call":
            self.send("answer", id=message["id"], rep={"err": "", "ret": [message["verb"], message["args"]]})
        elif typ == "session/person":
            self.person = message["person"]
        elif typ == "reply":
            self.replies.put(message["rep"])

    def control(self, typ: str, message: dict[str, Any]) -> dict[str, Any]:
        if self.run["state"] == "idle":
            return {"err": "no-run", "desc": "run: nothing runs"}
        if typ in ("run/abort", "run/stop", "run/halt"):
            os.kill(os.getpid(), signal.SIGINT)
        return {"err": "", "ret": message.get("reason", "")}


def execute(text: str, namespace: dict[str, Any]) -> dict[str, Any]:
    try:
        tree = ast.parse(text)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, "<cell>", "exec"), namespace)
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
    except BaseException as error:  # noqa: BLE001  # SystemExit in a cell ends the cell, as in IPython
        return {"err": "exc", "desc": f"{type(error).__name__}: {error}"}
    return {"err": "", "ret": value}


def run_cell(link: Link, message: dict[str, Any], n: int, namespace: dict[str, Any]) -> None:
    common = {key: message.get(key) for key in ("id", "text", "origin", "person")} | {"n": n, "time": time.time()}
    settings = termios.tcgetattr(0)
    termios.tcsetattr(0, termios.TCSANOW, COOKED)  # as IPython while a cell runs: Ctrl-C is a signal
    link.tell_state("running")
    link.send("cell/running", **common)
    print(f"In [{n}]: {message['text']}", flush=True)
    rep = execute(message["text"], namespace)
    termios.tcsetattr(0, termios.TCSANOW, settings)
    link.send("cell/done", **common, duration_s=time.time() - common["time"], files=[], rep=rep)
    link.tell_state("idle")


def read_keys(link: Link) -> None:
    """A line typed in the terminal is a cell of the person."""
    line = b""
    while keys := os.read(0, 4096):
        os.write(1, keys.replace(b"\r", b"\r\n"))
        line += keys
        *whole, line = line.replace(b"\r", b"\n").split(b"\n")
        for text in whole:
            link.todo.put({"id": None, "text": text.decode(), "origin": "console", "person": link.person})


COOKED = termios.tcgetattr(0)


def main() -> None:
    tty.setcbreak(0)
    raw = termios.tcgetattr(0)
    raw[3] &= ~termios.ISIG
    termios.tcsetattr(0, termios.TCSANOW, raw)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("tiny console", flush=True)  # before anybody can hear that it is there
    link = Link(f"ipc://{Path(sys.argv[sys.argv.index('--runtime') + 1])}/agent")
    namespace: dict[str, Any] = {"link": link, "silent": link.silent}
    link.send("hello", pid=os.getpid(), session="tiny", execution_count=1)
    link.tell_state("idle")
    for target in (link.read_for_ever, lambda: read_keys(link)):
        threading.Thread(target=target, daemon=True).start()
    link.send("ready")
    n = 0
    while True:
        try:
            message = link.todo.get()
            n += 1
            run_cell(link, message, n, namespace)
        except KeyboardInterrupt:
            continue


main()
