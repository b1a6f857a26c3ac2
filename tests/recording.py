"""A recording of two people's console: a typist at the prompt in tmux, and three clients at once (`make recording`).

It is what a viewer of `mambactl console` sees, captured by tmux, in docs/recordings: a .cast (asciicast version 2, for
asciinema's player), a .txt (the last screens as text) and a .png (the last screen). The typist's lines and the clients'
answers are checked before anything is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyte
from PIL import Image, ImageDraw, ImageFont

from mamba.session.audit_chain import read_entries
from tests.support.session_host import HostUnderTest, wait_until

OUT = Path("docs/recordings/typist-and-three-clients")
COLUMNS, ROWS = 100, 32
TYPED = (
    "positions = [0.5, 1.0, 1.5]",
    "sum(p ** 2 for p in positions)",
    "RE(scan([D.i0], M.m1, 0, 1, 5))",
    "'nothing of this line was lost while three clients worked'",
)
CLIENTS = {
    "scan window": "RE(count([D.i0], {}))",
    "alignment script": "round({} / 7, 4)",
    "robot": "'sample {} in place'",
}
_COLOURS = {
    "default": "#d8dee9",
    "green": "#8fbc6f",
    "brightgreen": "#a3d98b",
    "red": "#e06c75",
    "brightred": "#ff7b86",
    "cyan": "#56b6c2",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "brown": "#d7af5f",
}


def main() -> None:
    """Record, check and write."""
    host = HostUnderTest()
    raw = host.folder / "pane"
    try:
        host.client.command("'ready'", timeout_s=30)
        tmux = ("tmux", "-S", str(host.folder / "tmux"), "-f", "/dev/null")
        console = f"{sys.executable} -m mamba.cli --runtime {host.runtime.path} console"
        subprocess.run([*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), console], check=True)
        raw.touch()
        subprocess.run([*tmux, "pipe-pane", f"cat >> {raw}"], check=True)
        try:
            events = _perform(host, tmux, raw)
            screens = subprocess.run(
                [*tmux, "capture-pane", "-p", "-S", "-200"], check=True, capture_output=True, text=True
            )
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
        _check(host)
    finally:
        host.close()
    _write(events, screens.stdout)


def _perform(host: HostUnderTest, tmux: tuple[str, ...], raw: Path) -> list[tuple[float, str]]:
    """The typist and the clients; returns what the pane showed, with its times (s)."""
    with ThreadPoolExecutor(4) as pool:
        typist = pool.submit(_type, tmux)
        clients = [pool.submit(_work, host, origin, text) for origin, text in CLIENTS.items()]
        events, seen, began = [], 0, time.monotonic()
        while not all(job.done() for job in (typist, *clients)):
            time.sleep(0.02)  # the grain of the recording
            data = raw.read_bytes()[seen:]
            if data:
                seen += len(data)
                events.append((time.monotonic() - began, data.decode(errors="replace")))
        for job in (typist, *clients):
            job.result()
    wait_until(lambda: host.client.request("state")["prompt"] == "idle", what="the end")
    time.sleep(0.5)  # the last picture stands still for a moment
    events.append((time.monotonic() - began, raw.read_bytes()[seen:].decode(errors="replace")))
    return events


def _type(tmux: tuple[str, ...]) -> None:
    for line in TYPED:
        for key in line:
            subprocess.run([*tmux, "send-keys", "-l", key], check=True)
            time.sleep(0.06)  # a typist
        subprocess.run([*tmux, "send-keys", "Enter"], check=True)
        time.sleep(0.4)  # reads the answer


def _work(host: HostUnderTest, origin: str, text: str) -> None:
    client = host.make_client()
    for number in range(1, 7):
        client.command(text.format(number), origin=origin, timeout_s=30)
        time.sleep(0.9 + len(origin) / 40)  # three paces


def _check(host: HostUnderTest) -> None:
    cells = [e for e in read_entries(host.runtime.logs / "audit.jsonl") if e["verb"] == "cmd"]
    typed = [cell["text"] for cell in cells if cell["origin"] == "console"]
    assert tuple(typed) == TYPED, typed
    for origin, text in CLIENTS.items():
        asked = [(cell["text"], cell["result"]) for cell in cells if cell["origin"] == origin]
        assert asked == [(text.format(number), "") for number in range(1, 7)], asked


def _write(events: list[tuple[float, str]], screens: str) -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "A typist and three clients at one prompt"}
    lines = [json.dumps(header), *(json.dumps([round(when, 3), "o", data]) for when, data in events)]
    OUT.with_suffix(".cast").write_text("\n".join(lines) + "\n")
    OUT.with_suffix(".txt").write_text(screens.rstrip() + "\n")
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    for _, data in events:
        stream.feed(data)
    _draw(screen).save(OUT.with_suffix(".png"))
    print(f"{OUT}.cast, .txt, .png: {len(events)} pieces in {events[-1][0]:.1f} s; every line and every answer right")


def _draw(screen: Any) -> Image.Image:
    font = ImageFont.truetype("DejaVuSansMono.ttf", 15)
    width, height = int(font.getlength("M")), 20
    image = Image.new("RGB", (COLUMNS * width + 20, ROWS * height + 20), "#1e222a")
    draw = ImageDraw.Draw(image)
    for row in range(ROWS):
        for column in range(COLUMNS):
            char = screen.buffer[row][column]
            if char.data.strip():
                colour = _COLOURS.get(char.fg) or (f"#{char.fg}" if len(char.fg) == 6 else _COLOURS["default"])
                draw.text((10 + column * width, 10 + row * height), char.data, font=font, fill=colour)
    return image


if __name__ == "__main__":
    main()
