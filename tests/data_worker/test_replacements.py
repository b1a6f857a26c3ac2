"""A group is away until its thread is through and its nodes are ready, in whatever order; then it may die again."""

import threading
from collections.abc import Callable, Iterator

import pytest

from mamba.data_worker.replacements import Arrived, Failed, Replacements
from mamba.errors import NodeFailed
from tests.support.graph_killer import wait_for


class Actors:
    """Stands for Ray's: a replacement takes until it is let go."""

    def __init__(self) -> None:
        self.go, self.living = threading.Semaphore(0), True
        self.at_work = self.most_at_work = 0
        self.error: NodeFailed | None = None

    def replace(self, group: str) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        assert self.go.acquire(timeout=10)
        self.at_work -= 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def actors() -> Iterator[Actors]:
    actors = Actors()
    yield actors
    actors.go.release(10)


@pytest.fixture
def look(actors: Actors) -> Callable[[Replacements], tuple[list[Failed], list[str], list[Arrived]]]:
    def until_something(replacements: Replacements) -> tuple[list[Failed], list[str], list[Arrived]]:
        found: list[tuple[list[Failed], list[str], list[Arrived]]] = []
        wait_for(lambda: found.append(replacements.look()) or any(found[-1]), "nothing came of it", 10)
        return found[-1]

    return until_something


def test_ready_nodes_wait_for_the_thread(actors, look):
    replacements = Replacements(actors.replace, lambda group: actors.living)
    replacements.begin("bad")
    replacements.note_ready("bad")
    assert replacements.look() == ([], [], [])
    assert "bad" in replacements
    actors.go.release()
    failed, died, (arrived,) = look(replacements)
    assert (failed, died, arrived.group, "bad" in replacements) == ([], [], "bad", False)


def test_one_that_lives_and_never_gets_ready_is_given_up(actors, look, monkeypatch):
    monkeypatch.setattr("mamba.data_worker.replacements._READY_WITHIN_S", 0.2)
    replacements = Replacements(actors.replace, lambda group: True)
    replacements.begin("bad")
    actors.go.release()
    (failed,), died, arrived = look(replacements)
    assert (failed.group, died, arrived, "bad" in replacements) == ("bad", [], [], False)
    assert "the new one does not come" in str(failed.error)


def test_one_that_dies_again_and_again_is_replaced_one_after_the_other(actors, look):
    replacements = Replacements(actors.replace, lambda group: actors.living)
    actors.living = False
    for _ in range(3):
        replacements.begin("bad")
        actors.go.release()
        assert look(replacements) == ([], ["bad"], [])
        assert "bad" not in replacements
    assert actors.most_at_work == 1


def test_one_that_cannot_be_replaced_is_told_once_whatever_its_nodes_said(actors, look):
    replacements = Replacements(actors.replace, lambda group: False)
    actors.error = NodeFailed("no more")
    replacements.begin("bad")
    replacements.note_ready("bad")
    actors.go.release()
    assert look(replacements) == ([Failed("bad", actors.error)], [], [])
    assert replacements.look() == ([], [], [])
