"""Puts what became of a run's frames into its stop document: the ledger of each detector that was kicked off in it."""

from __future__ import annotations

from typing import Any

from bluesky.utils import Msg


class LedgerKeeper:
    """Knows which detectors with a ledger take part in a run of one engine."""

    def __init__(self, engine: Any) -> None:
        self._used: list[Any] = []
        kickoff, open_run = engine._command_registry["kickoff"], engine._command_registry["open_run"]

        async def kick_off_and_note(msg: Msg) -> Any:
            """Kick off as bluesky does."""
            if hasattr(msg.obj, "ledger") and msg.obj not in self._used:
                self._used.append(msg.obj)
            return await kickoff(msg)

        async def open_run_anew(msg: Msg) -> Any:
            """Open a run as bluesky does; no detector takes part yet."""
            self._used = []
            return await open_run(msg)

        engine.register_command("kickoff", kick_off_and_note)
        engine.register_command("open_run", open_run_anew)

    def summarize(self) -> list[dict[str, Any]]:
        """Of each detector, the summary of its ledger; one that has none is left out."""
        return [{"detector": each.name, **each.ledger.summarize()} for each in self._used if each.ledger is not None]
