"""Receipts: what was executed, by whom, with which result; the history in memory and the audit log on disk."""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

Receipt = dict[str, Any]
"""`id, n, text, origin, person, role, pid, time` (s since 1970), `duration_s, files, rep`; values ready."""

HISTORY = 1000
"""Receipts kept in memory."""
_MAX_NOTICE_CHARS = 1_000_000
_MAX_HISTORY_CHARS = 16_000


def clip_receipt(receipt: Receipt, limit: int) -> Receipt:
    """The receipt with what is longer than `limit` characters left out, and said so."""
    text, rep = receipt["text"], receipt["rep"]
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    size = len(json.dumps(rep))
    if size > limit:
        if rep.get("err"):
            rep = {**rep, "desc": f"{str(rep.get('desc'))[:limit]}…"}
        else:
            rep = {"err": "", "ret": {"$type": "repr", "class": "", "text": f"<result of {size} characters>"}}
    return {**receipt, "text": text, "rep": rep}


class Receipts:
    """The last 1000 receipts, and a JSON line per receipt in the audit log (mode 0600, appended to)."""

    def __init__(self, audit_file: Path) -> None:
        self._kept: deque[Receipt] = deque(maxlen=HISTORY)
        self._audit = os.open(audit_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def add(self, receipt: Receipt) -> Receipt:
        """Keep a receipt; returns it as it goes into the notice."""
        short = clip_receipt(receipt, _MAX_HISTORY_CHARS)
        self._kept.append(short)
        line = json.dumps({**short, "rep": _summarize(short["rep"])}) + "\n"
        try:
            os.write(self._audit, line.encode())
        except OSError as error:  # a full disk must not end the session
            log.warning("audit log: %s", error.strerror)
        return clip_receipt(receipt, _MAX_NOTICE_CHARS)

    def find(self, command_id: str) -> Receipt | None:
        """The receipt of one command, None when it is not among those kept."""
        return next((receipt for receipt in reversed(self._kept) if receipt["id"] == command_id), None)

    def list_last(self, limit: int) -> list[Receipt]:
        """The last receipts, oldest first."""
        return list(islice(self._kept, max(0, len(self._kept) - limit), None))

    def close(self) -> None:
        """Close the audit log."""
        os.close(self._audit)


def _summarize(rep: dict[str, Any]) -> dict[str, Any]:
    return {"err": rep["err"], "desc": rep.get("desc", "")} if rep.get("err") else {"err": ""}
