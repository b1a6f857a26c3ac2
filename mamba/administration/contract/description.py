"""Checks that a device explains itself: answers, properties, attributes, commands. They only read."""

from __future__ import annotations

import tango

from mamba.administration.contract.finding import Finding, failed, join_names, passed, skipped
from mamba.administration.subject import FLOATS, Subject
from mamba.errors import find_nearest

# What cppTango and PyTango say when the author said nothing.
_NO_TEXT = frozenset({"", "-", "uninitialised", "no description", "no doc", "not specified", "n/a"})
_NO_UNIT = frozenset({"", "no unit", "not specified"})
# Device properties of Tango itself, which no class declares.
_OF_TANGO = frozenset(
    {
        "polled_attr",
        "polled_cmd",
        "non_auto_polled_attr",
        "non_auto_polled_cmd",
        "poll_ring_depth",
        "cmd_poll_ring_depth",
        "attr_poll_ring_depth",
        "poll_old_factor",
        "min_poll_period",
        "cmd_min_poll_period",
        "attr_min_poll_period",
        "logging_level",
        "logging_target",
        "logging_rft",
        "logging_path",
        "doc_url",
        "description",
        "projecttitle",
        "allowedaccesscmd",
        "blackbox_depth",
    }
)


def check_answers(subject: Subject) -> Finding:
    """State and Status are there, and Status says more than State."""
    check = "State and Status explain"
    state, status = subject.device.state(), str(subject.device.status()).strip()
    if not status or status.lower().rstrip(".") == f"the device is in {state} state".lower():
        seen = f"State {state}, Status {status!r}: no more than Tango's own text"
        return failed(check, seen, "set a Status that says what the device does and, in ALARM or FAULT, what to do")
    return passed(check, f"{state}: {status.splitlines()[0]}")


def _read_declared(subject: Subject) -> dict[str, str]:
    """Declared device properties and their descriptions."""
    class_name = subject.device.info().dev_class
    told = list(subject.admin.command_inout("QueryWizardDevProperty", class_name))
    return dict(zip(told[0::3], told[1::3], strict=True))


def check_properties(subject: Subject) -> Finding:
    """Every device property that the class declares has a description."""
    check = "properties documented"
    declared = _read_declared(subject)
    if not declared:
        return skipped(check, "the class declares no device property")
    silent = [name for name, text in declared.items() if _is_silent(text)]
    if silent:
        seen = f"no description: {join_names(silent)} (of {len(declared)})"
        return failed(check, seen, "give each device_property a doc with its unit")
    return passed(check, f"{len(declared)} declared, each with a description")


def check_known_properties(subject: Subject) -> Finding:
    """Every device property in the database is one that the class declares: others are typing errors."""
    check = "properties known"
    declared = _read_declared(subject)
    stored = list(subject.database.get_device_property_list(subject.name, "*"))
    if not stored:
        return skipped(check, "no device property is set")
    if not declared:
        return skipped(check, f"set: {join_names(stored)}; the class does not say which ones it reads")
    known = {name.lower() for name in declared} | _OF_TANGO
    unknown = [name for name in stored if name.lower() not in known and not name.startswith("__")]
    if unknown:
        return failed(
            check,
            f"set, but read by nobody: {join_names(unknown)}",
            f"{unknown[0]}: {find_nearest(unknown[0], list(declared))}",
        )
    return passed(check, f"{len(stored)} set, all declared by the class")


def check_attributes(subject: Subject) -> Finding:
    """Every attribute has a description and a label; every float a unit."""
    check = "attributes documented"
    attributes = subject.attributes
    if not attributes:
        return skipped(check, "no attributes but State and Status")
    missing = {
        "description": [info.name for info in attributes if _is_silent(info.description)],
        "label": [info.name for info in attributes if not info.label.strip()],
        "unit": [i.name for i in attributes if i.data_type in FLOATS and i.unit.strip().lower() in _NO_UNIT],
    }
    if any(missing.values()):
        seen = "; ".join(f"no {field}: {join_names(names)}" for field, names in missing.items() if names)
        return failed(check, f"{seen} (of {len(attributes)})", "give them doc, label and unit in the class")
    return passed(check, f"{len(attributes)} with description and label, floats with unit")


def check_commands(subject: Subject) -> Finding:
    """Every command says what it takes and gives; where it takes and gives nothing there is nothing to say."""
    check = "commands documented"
    commands = subject.commands
    spoken = {
        name: [text for kind, text in ((i.in_type, i.in_type_desc), (i.out_type, i.out_type_desc)) if _is_value(kind)]
        for name, i in commands.items()
    }
    if not any(spoken.values()):
        return skipped(check, f"{len(commands)} commands, none takes or gives a value")
    silent = [name for name, texts in spoken.items() if any(_is_silent(text) for text in texts)]
    if silent:
        seen = f"argument or result without description: {join_names(silent)} (of {len(commands)})"
        return failed(check, seen, "give the command doc_in and doc_out")
    return passed(check, f"{len(commands)} commands, arguments and results described")


def _is_value(kind: tango.CmdArgType) -> bool:
    return bool(kind != tango.CmdArgType.DevVoid)


def _is_silent(text: str) -> bool:
    return text.strip().lower() in _NO_TEXT or "(not documented)" in text  # what PyTango 10 says of an argument
