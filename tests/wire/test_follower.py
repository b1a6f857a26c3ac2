"""A follower whose session wants to know who asks; the rest is in `tests/session/test_follower.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mamba.errors import ZError
from mamba.wire.follower import Follower, Reached, State
from tests.wire.conftest import ServerUnderTest


def test_a_refusal_is_raised_and_the_state_asked_for_again_with_a_token(server: ServerUnderTest, folder: Path) -> None:
    with Follower(server.endpoint, f"ipc://{folder}/notify") as follower:
        assert follower.receive(2) == Reached()
        follower.use_token("of another session")
        with pytest.raises(ZError, match="log in first"):
            follower.receive(2)
        follower.use_token("t-1")
        assert follower.receive(2) == State({"seq": {}})
