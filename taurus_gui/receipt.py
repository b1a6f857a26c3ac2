"""What became of a command: the session host's receipt as windows show it and as the operator hands it back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from mamba.errors import RunPaused


@dataclass(frozen=True)
class Receipt:
    """One command, waiting, running or done.

    `err` is "" for success, else the code on the wire, `desc` its description; `result` is the decoded value of the
    cell; `state` is "waiting", "running", "done" or "refused" (it never became a command, so `id` is ""); `role` and
    `pid` of who sent it are known once it is done; `waits_for` says in a sentence what it waits for.
    """

    id: str
    text: str
    origin: str = ""
    person: str = ""
    state: str = "waiting"
    n: int | None = None
    duration_s: float = 0.0
    files: tuple[str, ...] = ()
    role: str = ""
    pid: int | None = None
    waits_for: str = ""
    err: str = ""
    desc: str = ""
    result: Any = field(default=None, compare=False)  # an array does not compare to a truth value

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "refused")

    @property
    def failed(self) -> bool:
        """Whether it ended with an error; a cell that ended because its run was paused did not."""
        return bool(self.err) and self.err != RunPaused.code

    @property
    def outcome(self) -> str:
        """One line: the error's first line, the result ("" while it runs and for None), or what it waits for."""
        if self.err:
            first = self.desc.splitlines()[0] if self.desc.strip() else self.err
            return first if self.err == "exc" else f"{first} ({self.err})"
        if self.state == "waiting":
            return self.waits_for
        return "" if self.result is None else " ".join(repr(self.result).split())


def read_receipt(fields: dict[str, Any]) -> Receipt:
    """The receipt in a `cmd/running` or `cmd/done` notice, a `cmd/status` answer, the history or a list of `state`."""
    rep = fields.get("rep")
    state = "done" if isinstance(rep, dict) else str(fields.get("state") or "running")
    rep = rep if isinstance(rep, dict) else {}
    err = str(rep.get("err") or "")
    return Receipt(
        id=str(fields.get("id") or ""),
        text=str(fields.get("text") or ""),
        origin=str(fields.get("origin") or ""),
        person=str(fields.get("person") or ""),
        state=state,
        n=fields.get("n"),
        duration_s=float(fields.get("duration_s") or 0.0),
        files=tuple(str(file) for file in fields.get("files") or ()),
        role=str(fields.get("role") or ""),
        pid=fields.get("pid"),
        waits_for=say_waiting(fields) if state == "waiting" else "",
        err=err,
        desc=str(rep.get("desc") or "") if err else "",
        result=None if err else rep.get("ret"),
    )


_REASONS = {
    "starting": "waits until the console has started",
    "prompt-occupied": "waits until the prompt is free: somebody is in a debugger, an input() or a search",
}
_MAX_WAITED_CHARS = 60


def say_waiting(notice: dict[str, Any]) -> str:
    """What a command waits for, as `cmd/waiting` tells it: with whose command keeps the console busy, since when."""
    why, running = str(notice.get("why") or ""), notice.get("running")
    if why in _REASONS or not isinstance(running, dict):
        return _REASONS.get(why, "waits for its turn")
    text = " ".join(str(running.get("text") or "").split())
    if len(text) > _MAX_WAITED_CHARS:
        text = f"{text[:_MAX_WAITED_CHARS]}…"
    who = f"{running.get('person') or 'somebody'} ({running.get('origin') or 'console'})"
    since = running.get("since") or running.get("time")
    return f"waits for {text} of {who}" + (time.strftime(", since %H:%M:%S", time.localtime(since)) if since else "")
