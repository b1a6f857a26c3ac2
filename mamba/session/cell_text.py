"""Which texts can become a cell unchanged."""

from __future__ import annotations

import re

from mamba.errors import TextRefused

MAX_CHARS = 1_000_000
"""The longest text; the prompt needs 3 s to show that much."""

# Everything but tab and line feed: the prompt would act on them, or change them (a lone CR, ESC, NUL).
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_text(text: str) -> None:
    """Refuse what would not be executed exactly as it was sent.

    Raises:
        TextRefused: empty, too long, or with a character that cannot stand in a cell; says which and where.
    """
    if not text.strip():
        raise TextRefused("command: its text is empty", remedy="send an expression or a statement")
    if len(text) > MAX_CHARS:
        raise TextRefused(
            "command: its text is too long",
            seen=f"{len(text)} characters",
            remedy=f"at most {MAX_CHARS}; write it to a file and send '%run FILE'",
        )
    found = _CONTROL.search(text) or _SURROGATE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise TextRefused(
            "command: a character in its text cannot stand in a cell",
            seen=f"U+{ord(found.group()):04X} in line {line}",
            remedy="write it as an escape ('\\x00') inside a string",
        )
