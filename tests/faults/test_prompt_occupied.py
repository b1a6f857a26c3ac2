"""While the person is asked something or searches, nothing is typed into it: delivered after, or `prompt-occupied`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.support.keyboard import Keyboard, find_typed
from tests.support.session_host import HostUnderTest, wait_until

SHORT, FULL = 2, 20
"""Times in each state."""


@dataclass(frozen=True)
class Occupied:
    """How the prompt gets into the state and out of it, what was typed by then, and how it is seen meanwhile."""

    enter: str
    leave: str
    typed: tuple[str, ...]
    prompt: str = "occupied"


STATES = {
    "debugger": Occupied(
        "import pdb; pdb.Pdb(nosigint=True).set_trace(); after = 1\r",
        "answer = 'de' 'bug'\rc\r",
        ("import pdb; pdb.Pdb(nosigint=True).set_trace(); after = 1", "answer"),
    ),
    "input": Occupied("answer = input('name? ')\r", "debug\r", ("answer = input('name? ')", "answer")),
    "search": Occupied("\x12deb", "\x07'debug'\r", ("'debug'", "answer")),
    "paste": Occupied("\x1b[200~answer = 'de", "bug'\x1b[201~\r", ("answer = 'debug'", "answer"), prompt="idle"),
    "pager": Occupied("!more README\r", "q", ("!more README", "answer")),
}


def occupy(host: HostUnderTest, name: str) -> None:
    """Get into the state, let a command wait and another be refused, leave it; nothing of either got into it."""
    state = STATES[name]
    host.client.command("answer = 'debug'; open('README', 'w').write('line\\n' * 200)")
    host.wait_prompt()
    before = len(find_typed(host))
    with Keyboard(host) as keyboard, ThreadPoolExecutor(1) as pool:
        keyboard.press(state.enter)
        if name == "paste":
            keyboard.wait_read()
        else:
            host.wait_prompt(state.prompt)
        waiting = pool.submit(host.make_client().command, "'from the client'", timeout_s=30)
        if state.prompt == "occupied":
            wait_until(lambda: tell_why(host) == "prompt-occupied", what=f"{name}: told why")
            refused = host.client.ask("cmd", cmd="'refused'", hold=False)
            assert refused.err in ("busy", "prompt-occupied")
        assert not waiting.done()
        keyboard.press(state.leave)
        assert waiting.result(timeout=30) == "from the client"
        host.wait_prompt()
        keyboard.press(f"{state.typed[-1]}\r")
        wait_until(lambda: len(find_typed(host)) >= before + len(state.typed), what=f"{name}: typed")
    assert find_typed(host)[before:] == list(state.typed)
    assert host.client.request("cmd/history", limit=1)[0]["rep"] == {"err": "", "ret": "debug"}


def tell_why(host: HostUnderTest) -> str:
    waiting = host.client.request("state")["waiting"]
    return str(waiting[0]["why"]) if waiting else ""


@pytest.mark.parametrize("name", STATES)
def test_nothing_strays_into_it(host: HostUnderTest, name: str) -> None:
    for _ in range(SHORT):
        occupy(host, name)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STATES)
def test_nothing_strays_into_it_twenty_times(host: HostUnderTest, name: str) -> None:
    """5 states × 20: no stray character, delivered after."""
    for _ in range(FULL):
        occupy(host, name)
