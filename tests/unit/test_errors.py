import inspect
import pickle

import pytest

from mamba import errors
from mamba.errors import MambaError, ZError, find_nearest

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, MambaError)]


def test_every_class_stands_in_the_drawn_tree_with_its_code():
    lines = errors.__doc__.splitlines()
    for cls in CLASSES:
        line = next(line for line in lines if cls.__name__ in line.split() or f"── {cls.__name__} " in line)
        if cls is not ZError:
            assert cls.code in line


def test_codes_are_unique():
    codes = [c.code for c in CLASSES if c is not ZError]
    assert len(codes) == len(set(codes))


def test_a_message_says_what_was_seen_and_what_to_do():
    error = errors.LimitExceeded("M.energy: cannot move to 99 keV", seen="limits 5 … 25 keV", remedy="stay inside")
    assert str(error) == "M.energy: cannot move to 99 keV\n  seen: limits 5 … 25 keV\n  do:   stay inside"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_survive_the_way_between_processes(cls):
    error = ZError("code", "desc") if cls is ZError else cls("what", seen="seen", remedy="remedy")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code) == (type(error), str(error), error.code)


@pytest.mark.parametrize(
    ("word", "known", "text"),
    [
        ("modul", ["module", "devices"], "did you mean 'module'?"),
        ("zzz", ["a", "b"], "known: a, b"),
        ("zzz", [], "none is known"),
        ("Do", ["double_scalar", "double_scalar_rww", "wave"], "known: double_scalar, double_scalar_rww"),
        ("zzz", [f"k{i}" for i in range(10)], "known: k0, k1, k2, k3, k4, k5, k6, k7, …"),
    ],
)
def test_the_nearest_word_is_named(word, known, text):
    assert find_nearest(word, known) == text
