"""What is wrong with a graph, and where in its data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from mamba.errors import GraphInvalid, find_nearest

Location = tuple[int | str, ...]
"""A place in a graph's data, such as ("nodes", 3, "kind")."""


class Problem(GraphInvalid):
    """A GraphInvalid that still knows where in the data it was found."""

    def __init__(self, location: Location, what: str, remedy: str, seen: str = "") -> None:
        self.location = location
        super().__init__(what, seen=seen, remedy=remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return GraphInvalid(self.what, seen=self.seen, remedy=self.remedy).__reduce__()


def explain(error: ValidationError, model: type[BaseModel], prefix: Location, owner: str = "") -> Problem:
    """What pydantic found first, in our words; `prefix`: where the model's data lie, `owner`: whose they are."""
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    location = first["loc"]
    name = ".".join(str(step) for step in location)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return Problem((*prefix, *location), f"{owner}unknown key {name!r}", find_nearest(str(location[-1]), known))
    if first["type"] == "missing":
        return Problem((*prefix, *location[:-1]), f"{owner}{name!r} is missing", f"add {location[-1]!r}")
    seen = repr(first["input"])
    what = f"{owner}{name!r} cannot be used" if name else f"{owner}cannot be used"
    return Problem((*prefix, *location), what, first["msg"], seen if len(seen) < 80 else seen[:77] + "…")


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    for step in location:
        if isinstance(step, int):
            continue
        annotation: Any = next(f.annotation for n, f in model.model_fields.items() if step in (n, f.alias))
        model = next(a for a in (*getattr(annotation, "__args__", ()), annotation) if isinstance(a, type))
    return [field.alias or name for name, field in model.model_fields.items()]
