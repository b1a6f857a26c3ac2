"""Receipts: what was executed, by whom, with which result; the newest in memory, all of them in the audit log."""

from __future__ import annotations

import json
from collections import deque
from itertools import islice
from typing import Any

from mamba.session.audit import AuditLog

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
    """The last 1000 receipts; each is also an entry of the audit log."""

    def __init__(self, audit: AuditLog) -> None:
        self._kept: deque[Receipt] = deque(maxlen=HISTORY)
        self._audit = audit

    def add(self, receipt: Receipt) -> Receipt:
        """Keep a receipt; returns it as it goes into the notice."""
        self._kept.append(clip_receipt(receipt, _MAX_HISTORY_CHARS))
        names = ("person", "origin", "text", "id", "duration_s", "files")
        rep = receipt["rep"]
        self._audit.add(
            "cmd",
            cell=receipt["n"],
            role=receipt.get("role", ""),
            pid=receipt.get("pid"),
            result=rep["err"],
            desc=str(rep.get("desc", "")),
            **{name: receipt[name] for name in names},
        )
        return clip_receipt(receipt, _MAX_NOTICE_CHARS)

    def find(self, command_id: str) -> Receipt | None:
        """The receipt of one command, None when it is not among those kept."""
        return next((receipt for receipt in reversed(self._kept) if receipt["id"] == command_id), None)

    def list_last(self, limit: int) -> list[Receipt]:
        """The last receipts, oldest first."""
        return list(islice(self._kept, max(0, len(self._kept) - limit), None))
