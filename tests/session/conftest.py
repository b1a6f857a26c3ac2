"""Session hosts: one with IPython per module, small ones per test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.session_host import HostUnderTest

TINY = [sys.executable, "-m", "tests.session.support.tiny_console"]


@pytest.fixture(scope="module")
def ipython() -> Iterator[HostUnderTest]:
    """A host with the real console; shared, so leave it idle."""
    host = HostUnderTest()
    try:
        host.client.command("'ready'", timeout_s=30)
        yield host
    finally:
        host.close()


@pytest.fixture
def tiny() -> Iterator[HostUnderTest]:
    """A host with the small console."""
    host = HostUnderTest(console=TINY)
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()
