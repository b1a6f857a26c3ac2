"""Check that events arrive; it only subscribes."""

from __future__ import annotations

from mamba.administration.contract.finding import Finding, failed, join_names, passed
from mamba.administration.listening import listen
from mamba.administration.subject import Subject


def check_events(subject: Subject) -> Finding:
    """State can be subscribed to, and no event comes with an error. Who waits for a move relies on State's."""
    check = "events arrive"
    names = ["State", *(info.name for info in subject.attributes)]
    with listen(subject.device, names) as heard:
        served = [name for name, listener in heard.items() if listener.refused is None]
        errors = [f"{name}: {listener.errors[0]}" for name, listener in heard.items() if listener.errors]
        refused = heard["State"].refused
    seen = f"{len(served)} of {len(names)} send them"
    if refused is not None:
        remedy = f"push State from the code or poll it; 'mambactl tango events {subject.name}' says how"
        return failed(check, f"State sends none: {refused[1]}; {seen}", remedy)
    if errors:
        return failed(check, join_names(errors), "let the attribute be read without an error")
    return passed(check, f"{seen}: {join_names(served)}")
