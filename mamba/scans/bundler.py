"""Device names with dots, in documents that may not have them.

A device's name is the expression that reaches it (`M.energy`); event-model refuses dots in the keys of a descriptor and
of its configuration and hints. The bundler composes documents with the *recorded name* instead (`M_energy`). It is a
class attribute of the run engine, so nothing upstream is changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bluesky.bundlers import RunBundler


def record_name(name: str) -> str:
    """The form of a device's or a component's name that documents carry: `M.energy` → `M_energy`."""
    return name.replace(".", "_")


def _undot(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {record_name(key): value for key, value in mapping.items()}


def _undot_configuration(configuration: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        record_name(name): {part: _undot(values) for part, values in of_device.items()}
        for name, of_device in configuration.items()
    }


def _undot_hints(hints: Mapping[str, Any]) -> dict[str, Any]:
    return {
        record_name(name): {
            key: [record_name(field) for field in value] if key == "fields" else value for key, value in hint.items()
        }
        for name, hint in hints.items()
    }


class UndottedBundler(RunBundler):
    """Composes descriptors and events with recorded names."""

    async def open_run(self, msg: Any) -> str:
        """Emit the start document and put ourselves before the composer of descriptors."""
        uid: str = await super().open_run(msg)
        compose: Callable[..., Any] = self._compose_descriptor  # type: ignore[has-type]  # set by bluesky, untyped
        self._compose_descriptor = _undotting(compose)
        return uid


def _undotting(compose: Callable[..., Any]) -> Callable[..., Any]:
    def compose_descriptor(name: str, data_keys: Mapping[str, Any], **more: Any) -> Any:
        if "configuration" in more:
            more["configuration"] = _undot_configuration(more["configuration"])
        if "hints" in more:
            more["hints"] = _undot_hints(more["hints"])
        if "object_keys" in more:
            more["object_keys"] = {
                record_name(o): [record_name(key) for key in keys] for o, keys in more["object_keys"].items()
            }
        bundle = compose(name, _undot(data_keys), **more)
        if not any("." in key for key in data_keys):
            return bundle
        # a device that nobody adopted records under its own dotted name
        return dataclasses.replace(
            bundle,
            compose_event=_undot_readings(bundle.compose_event),
            compose_event_page=_undot_readings(bundle.compose_event_page),
        )

    return compose_descriptor


def _undot_readings(compose: Callable[..., Any]) -> Callable[..., Any]:
    def compose_event(*, data: Mapping[str, Any], timestamps: Mapping[str, Any], **more: Any) -> Any:
        if filled := more.pop("filled", None):
            more["filled"] = _undot(filled)
        return compose(data=_undot(data), timestamps=_undot(timestamps), **more)

    return compose_event
