"""Whatever text a client sends is executed exactly as it was sent, or refused with `text-refused`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.session_host import HostUnderTest

SHORT, FULL = 60, 2000
"""Generated texts."""
SEED = 33
NASTY = ["\t", "\x1b", "\x00", "\r", "\r\n", "\n", "\x0c", "\x85", "\u2028", "\x7f", "\\", "'", "%", "!", "?", "µ→日🦀"]
_WORDS = st.one_of(st.sampled_from(NASTY), st.text(max_size=12), st.sampled_from(["x", " ", ">>> ", "In [1]: ", "# "]))
_CONTENTS = st.lists(_WORDS, max_size=12).map("".join)
_SIZES = st.sampled_from([0] * 56 + [4096] * 7 + [256 * 1024])


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    """A console whose pager asks nobody: a text such as `?` opens it, and would wait for a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAGER", "cat")
        host = HostUnderTest()
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A cell: a literal with anything in it, as it stands or escaped; several lines; a comment; blank; or anything."""
    content, padding = draw(_CONTENTS), "y" * draw(_SIZES)
    kind = draw(st.sampled_from(["raw", "escaped", "lines", "block", "comment", "blank", "any"]))
    return {
        "raw": f"sent = '''{content}{padding}'''",
        "escaped": f"sent = {(content + padding)!r}",
        "lines": f"first = 1\n# {content}\nsent = {padding!r}",
        "block": f"if True:\n\tsent = {content!r}\n\n    # {padding}",
        "comment": f"# {content}",
        "blank": draw(st.sampled_from(["", " ", "\n\n", "\t\n "])),
        "any": content + padding,
    }[kind]


def check(host: HostUnderTest, text: str) -> None:
    """Send `text`, then ask IPython what it executed, and what Python itself makes of the same text."""
    reply = host.client.ask("cmd", cmd=text, timeout_s=30)
    if reply.err == "text-refused":
        assert len(reply.desc.splitlines()) <= 5
        return
    last = host.client.request("cmd/history", limit=1)[0]
    if len(text) <= 16_000:
        assert last["text"] == text
    raw = host.client.command(f"get_ipython().history_manager.input_hist_raw[{last['n']}]", timeout_s=30)
    assert raw == text.rstrip("\n")  # IPython keeps its history without the last line feeds
    meant = find_meaning(text)
    if meant is not None:
        assert not reply.err, reply
        assert host.client.command("sent", timeout_s=30) == meant


def find_meaning(text: str) -> str | None:
    """What `sent` is after `text`, if that is Python which sets it to a literal."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Assign) and isinstance(last.value, ast.Constant) and len(tree.body) <= 2:
        return str(last.value.value)
    return None


@pytest.mark.parametrize("size", [4096, 256 * 1024])
def test_long_lines_and_many_lines_arrive(host: HostUnderTest, size: int) -> None:
    check(host, f"sent = '{'x' * size}'")
    check(host, "sent = '''" + "line of text\n" * (size // 13) + "'''")


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\r", "\x0c", "\x7f", "\x9b"])
def test_what_cannot_stand_in_a_cell_is_refused(host: HostUnderTest, bad: str) -> None:
    assert host.client.ask("cmd", cmd=f"sent = 'a{bad}b'").err == "text-refused"
    assert host.client.ask("cmd", cmd=" \n").err == "text-refused"


def generate(host: HostUnderTest, count: int) -> None:
    """Check so many texts, the same ones each time."""

    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(texts())
    def execute(text: str) -> None:
        check(host, text)

    execute()


def test_generated_texts(host: HostUnderTest) -> None:
    generate(host, SHORT)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_thousand_generated_texts(host: HostUnderTest) -> None:
    """2,000 texts, some of 4 kB and of 256 kB: executed text equals sent text, or `text-refused`."""
    generate(host, FULL)
