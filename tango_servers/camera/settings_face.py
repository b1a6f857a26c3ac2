"""The settings of a camera as Tango attributes: kept over a restart, fixed while it is armed."""

from __future__ import annotations

from enum import IntEnum

from tango import AttrWriteType
from tango.server import attribute, device_property

from tango_servers.face import Face, memory


class Policy(IntEnum):
    """What the camera does when its receiver gives no block back."""

    hold = 0
    drop = 1


class StreamTransport(IntEnum):
    """How frames travel."""

    ring = 0
    zmq = 1


class CameraSettings(Face):
    """Base of Camera: what the next acquisition will be."""

    DefaultExposureTime = device_property(
        dtype=float, default_value=0.0001, doc="Exposure time (s) until ExposureTime is written."
    )

    def init_device(self) -> None:
        """Take up the settings kept from the last time."""
        super().init_device()
        if not hasattr(self, "_exposure_s"):
            self._recall_settings()
        self._show_set_points()

    def refuse_while_armed(self, what: str) -> None:
        """Raise DeviceError while the camera is armed or running."""
        raise NotImplementedError

    def _recall_settings(self) -> None:
        name = self.get_name()
        self._exposure_s = memory.recall_number(name, "ExposureTime", self.DefaultExposureTime)
        self._period_s = memory.recall_number(name, "AcquisitionPeriod", 0.0)
        self._frames = int(memory.recall_number(name, "FramesRequested", 1))
        self._policy = Policy(int(memory.recall_number(name, "OverflowPolicy", 0)))
        self._transport = StreamTransport(int(memory.recall_number(name, "Transport", 0)))
        self._arm = int(memory.recall_number(name, "ArmId", 0))

    def _show_set_points(self) -> None:
        self.show_set_point("ExposureTime", self._exposure_s)
        self.show_set_point("AcquisitionPeriod", self._period_s)
        self.show_set_point("FramesRequested", self._frames)
        self.show_set_point("OverflowPolicy", int(self._policy))
        self.show_set_point("Transport", int(self._transport))

    def _keep(self, name: str, value: float | int) -> None:
        memory.keep(self.get_name(), name, value)

    def _refuse_setting(self, name: str) -> None:
        with self.refusing(f"write_{name}"):
            self.refuse_while_armed(f"change {name}")

    # Settings, all kept over a restart and fixed while armed.

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Exposure time",
        unit="s",
        format="%.6f",
        min_value="1e-6",
        max_value="3600",
        doc="Exposure time of a frame; also the shortest period. Kept over a restart.",
    )
    def ExposureTime(self) -> float:
        """Exposure time (s)."""
        return self._exposure_s

    @ExposureTime.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def ExposureTime(self, seconds: float) -> None:
        """Set the exposure time; refused while armed."""
        self._refuse_setting("ExposureTime")
        self._exposure_s = seconds
        self._keep("ExposureTime", seconds)

    @attribute(
        dtype=float,
        access=AttrWriteType.READ_WRITE,
        label="Period",
        unit="s",
        format="%.6f",
        min_value="0",
        max_value="3600",
        doc="Time from frame to frame; 0: as fast as it can. Kept over a restart.",
    )
    def AcquisitionPeriod(self) -> float:
        """Time from frame to frame (s)."""
        return self._period_s

    @AcquisitionPeriod.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def AcquisitionPeriod(self, seconds: float) -> None:
        """Set the period; refused while armed."""
        self._refuse_setting("AcquisitionPeriod")
        self._period_s = seconds
        self._keep("AcquisitionPeriod", seconds)

    @attribute(
        dtype=int,
        access=AttrWriteType.READ_WRITE,
        label="Frames",
        unit="",
        format="%d",
        min_value="0",
        doc="How many frames the next acquisition takes; 0: until Stop. Kept over a restart.",
    )
    def FramesRequested(self) -> int:
        """Frames of the next acquisition."""
        return self._frames

    @FramesRequested.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def FramesRequested(self, frames: int) -> None:
        """Set the number of frames; refused while armed."""
        self._refuse_setting("FramesRequested")
        self._frames = frames
        self._keep("FramesRequested", frames)

    @attribute(
        dtype=Policy,
        access=AttrWriteType.READ_WRITE,
        label="Overflow policy",
        doc="When the receiver gives no block back: 'hold' waits and never loses, 'drop' skips frames and counts them. "
        "Kept over a restart.",
    )
    def OverflowPolicy(self) -> Policy:
        """What happens when no block is free."""
        return self._policy

    @OverflowPolicy.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def OverflowPolicy(self, policy: int) -> None:
        """Set the policy; refused while armed."""
        self._refuse_setting("OverflowPolicy")
        self._policy = Policy(policy)
        self._keep("OverflowPolicy", int(policy))

    @attribute(
        dtype=StreamTransport,
        access=AttrWriteType.READ_WRITE,
        label="Transport",
        doc="How frames travel: 'ring' by shared memory to a receiver on this host, 'zmq' over TCP. "
        "Kept over a restart.",
    )
    def Transport(self) -> StreamTransport:
        """How frames travel."""
        return self._transport

    @Transport.write  # type: ignore[no-redef]  # PyTango's way to write the setter
    def Transport(self, transport: int) -> None:
        """Set the transport; refused while armed."""
        self._refuse_setting("Transport")
        self._transport = StreamTransport(transport)
        self._keep("Transport", int(transport))
