"""Goes through a plan before it runs: no motor moves unless every set point of the whole plan may be reached.

bluesky sends set points one by one, so that a scan whose last point lies beyond a limit moves to all the others first,
and `mv` of two motors moves the one before it refuses the other. A plan that is *checked first* is gone through twice:
once to look, asking devices only where they stand, and once in earnest.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any

from bluesky.utils import Msg, plan

Plan = Generator[Msg, Any, Any]


def check_first(make_plan: Callable[..., Iterable[Msg]]) -> Callable[..., Plan]:
    """The plan `make_plan`, which must be the same each time it is made, refused as a whole before anything moves.

    Raises (the plan, before its first message):
        LimitExceeded, BadValue: what the device says of the first set point it refuses.
    """

    @plan
    @functools.wraps(make_plan)
    def checked(*args: Any, **kwargs: Any) -> Plan:
        yield from check_set_points(make_plan(*args, **kwargs))
        return (yield from make_plan(*args, **kwargs))

    return checked  # type: ignore[no-any-return]  # bluesky's decorator is untyped


def check_set_points(messages: Iterable[Msg]) -> Plan:
    """Offer every set point of a plan to its device's `check_value`; only questions where devices stand are passed on.

    Raises:
        LimitExceeded, BadValue: as the device says.
    """
    steps: Any = iter(messages)
    answer = None
    while True:
        try:
            msg = steps.send(answer)
        except StopIteration:
            return
        answer = None
        if msg.command == "set":
            _check(msg.obj, msg.args[0])
        elif msg.command == "locate":
            answer = yield msg
        elif msg.command == "open_run":
            answer = "dry run"


def _check(device: Any, value: Any) -> None:
    check = getattr(device, "check_value", None)
    # an asynchronous device can only be asked by its own loop; it checks when it is told to move
    if check is not None and not inspect.iscoroutinefunction(check):
        check(value)
