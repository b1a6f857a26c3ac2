from __future__ import annotations

from dataclasses import replace

import pytest

from taurus_gui.access import Access

ALICE = Access(required=True, person="alice", role="operator")
CONTROLLED = replace(ALICE, control=True)


@pytest.mark.parametrize(
    ("access", "hold", "act"),
    [
        (Access(person="default"), "", ""),
        (Access(required=True, role="observer"), "log in first", "log in first"),
        (Access(required=True, role="observer", is_lost=True), "log in again", "log in again"),
        (replace(ALICE, role="observer"), "alice is an observer", "alice is an observer"),
        (ALICE, "", ""),
        (CONTROLLED, "", "nobody is in control: take control first"),
        (replace(CONTROLLED, holder="alice"), "", ""),
        (replace(CONTROLLED, holder="bob"), "", "bob is in control"),
        (replace(CONTROLLED, holder="bob", role="expert"), "", "bob is in control"),
        (replace(CONTROLLED, holder="bob", role="observer"), "alice is an observer", "alice is an observer"),
    ],
)
def test_who_may_hold_and_who_may_act(access: Access, hold: str, act: str) -> None:
    for said, expected in ((access.why_not_hold, hold), (access.why_not_act, act)):
        assert said.startswith(expected)
        assert bool(said) == bool(expected)


def test_only_the_holder_is_asked() -> None:
    asked = replace(CONTROLLED, holder="bob", asked_by="alice")
    assert not asked.is_asked
    assert replace(asked, person="bob").is_asked
    assert not replace(asked, person="", holder="").is_asked


def test_a_lost_login_stays_lost_until_the_next_one() -> None:
    lost = replace(ALICE.see_person({"person": "", "role": "observer"}), is_lost=True)
    assert lost.see_person({"person": "", "role": "observer"}).is_lost
    assert not lost.see_person({"person": "alice", "role": "operator"}).is_lost
