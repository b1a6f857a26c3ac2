"""The ophyd side: M and D, naming, one Tango link, signals, motors, detectors."""

from mamba.devices.build import build_devices, describe_device, limits_of, read_device
from mamba.devices.camera import Camera, FrameSettings
from mamba.devices.counter import Counter
from mamba.devices.detectors import Detector1D, Detector2D, GatedCounter, LimaDetector, ZeroD
from mamba.devices.generic import LateDevice, WrappedDevice, tango
from mamba.devices.graphs import BeamlineGraph, graph
from mamba.devices.group import Group, adopt, find_device, iter_devices
from mamba.devices.motor import Motor
from mamba.devices.names import expression_of, key_of, record_without_dots
from mamba.devices.positioners import IORegister, PseudoMotor
from mamba.devices.reach import reach_of, stop_beyond
from mamba.devices.role_limits import set_current_role
from mamba.devices.shutter import Shutter
from mamba.devices.signal import TangoSignal

__all__ = [
    "BeamlineGraph",
    "Camera",
    "Counter",
    "Detector1D",
    "Detector2D",
    "FrameSettings",
    "GatedCounter",
    "Group",
    "IORegister",
    "LateDevice",
    "LimaDetector",
    "Motor",
    "PseudoMotor",
    "Shutter",
    "TangoSignal",
    "WrappedDevice",
    "ZeroD",
    "adopt",
    "build_devices",
    "describe_device",
    "expression_of",
    "find_device",
    "graph",
    "iter_devices",
    "key_of",
    "limits_of",
    "reach_of",
    "read_device",
    "record_without_dots",
    "set_current_role",
    "stop_beyond",
    "tango",
]
