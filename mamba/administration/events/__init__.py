"""The event doctor: what a device's attributes do about change events, and how to mend those that send none."""

from mamba.administration.events.attribute import AttributeEvents, Verdict
from mamba.administration.events.look import DeviceEvents, list_devices, look_at_device

__all__ = ["AttributeEvents", "DeviceEvents", "Verdict", "list_devices", "look_at_device"]
