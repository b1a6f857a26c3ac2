"""The reference of the wire names what is served, raised, published and told: all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mamba.errors import MambaError, ZError
from mamba.wire import values
from mamba.wire.conformance.requests import STATE_FIELDS
from tests.support.session_host import HostUnderTest

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "wire.md").read_text()


def read_table(heading: str) -> set[str]:
    """The names in the first column of the tables below a heading."""
    section = re.split(rf"^## {re.escape(heading)}$", REFERENCE, flags=re.MULTILINE)[1]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    return {
        name for line in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall("`([^`]+)`", line)
    }


def read_sources(*folders: str) -> str:
    return "\n".join(file.read_text() for folder in folders for file in sorted((ROOT / "mamba" / folder).rglob("*.py")))


def list_codes(kind: type[MambaError]) -> set[str]:
    below = [
        list_codes(each) for each in kind.__subclasses__() if each is not ZError and each.__module__ == "mamba.errors"
    ]
    return {kind.code}.union(*below)


def test_every_verb_of_a_running_host(tiny: HostUnderTest) -> None:
    assert read_table("Verbs") == set(tiny.client.request("wire/verbs"))


def test_every_error_code() -> None:
    raised = set(re.findall(r'ZError\(\s*"([a-z-]+)"', read_sources("session", "console", "wire")))
    assert list_codes(MambaError) | raised | {"exc"} == read_table("Error codes")


def test_every_notice() -> None:
    text = read_sources("session", "console", "data_worker", "scans")
    published = set(re.findall(r'publish\(\s*"([a-z]+/[a-z-]+)"', text))
    scans = set(re.findall(r'"(scan/[a-z]+)", \{', read_sources("scans"))) | {"scan/start", "scan/stop"}
    assert published | scans == read_table("Notices")


def test_every_field_of_the_state(tiny: HostUnderTest) -> None:
    told = set(tiny.client.request("state"))
    assert told == read_table("`state`") == set(STATE_FIELDS)


def test_every_typed_value() -> None:
    assert set(values._DECODERS) == read_table("Typed values")


@pytest.mark.parametrize("number", ["16 MiB", "20 000", "1 000 000", "32 MiB", "500 000", "200 000", "256 MiB"])
def test_limits_are_named(number: str) -> None:
    assert number in REFERENCE
