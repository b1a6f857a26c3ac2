"""Tango class `Camera`."""

from __future__ import annotations

import time

import numpy as np
from tango import AttrQuality, DevState
from tango.server import attribute, command, device_property

from mamba.errors import BadValue, DeviceError
from tango_servers.camera.model import LARGEST_PREVIEW, SMALLEST_SIDE, Frame, FrameRenderer
from tango_servers.camera.settings_face import CameraSettings
from tango_servers.camera.stream import POLICIES, PREVIEW_PERIOD_S, TRANSPORTS, Acquisition, AcquisitionPlan
from tango_servers.face import EVENT_PERIOD_S, memory
from tango_servers.launch import find_stream_directory, run_server
from tango_servers.pacer import Pacer

_COUNTERS = ("FramesProduced", "FramesSent", "FramesDropped")


class Camera(CameraSettings):
    """An area detector whose frames leave by a data stream, not through Tango.

    Arm opens the stream (DataEndpoint, DataFormat), Start lets the frames come. State: ON idle, STANDBY armed, RUNNING,
    and ON again when all frames are sent; FAULT when the stream broke.
    """

    DEVICE_CLASS_DESCRIPTION = __doc__

    Width = device_property(dtype=int, default_value=1024, doc="Width of a frame (pixels, at least 16).")
    Height = device_property(dtype=int, default_value=1024, doc="Height of a frame (pixels, at least 16).")
    RingMiB = device_property(
        dtype=int,
        default_value=128,
        doc="Shared memory (MiB) for frames under way: what the data worker may be behind; two blocks at least.",
    )
    Seed = device_property(dtype=int, default_value=0, doc="Seed of the noise in the frames.")

    def init_device(self) -> None:
        """Stand idle with the settings kept from the last time."""
        super().init_device()
        self.announces("Preview", "FrameRate", "ArmId", *_COUNTERS)
        self._acquisition: Acquisition | None = None
        self._renderer: FrameRenderer | None = None
        self._pushed_s = 0.0
        self._shown: Frame | None = None
        self._pacer = Pacer(self.get_name(), self._tick, self.fail)
        if min(self.Width, self.Height) < SMALLEST_SIDE:
            self.show(DevState.FAULT, f"Width and Height must be at least {SMALLEST_SIDE}; correct them and call Init")
        else:
            self.show(DevState.ON, "idle")

    def delete_device(self) -> None:
        """End a running acquisition and free its shared memory."""
        self._pacer.close()
        if self._acquisition is not None:
            self._acquisition.close()
        super().delete_device()

    @property
    def _armed(self) -> Acquisition | None:
        """The acquisition that is armed or running."""
        found = self._acquisition
        return None if found is None or found.done.is_set() else found

    # Following the acquisition.

    def _tick(self) -> float | None:
        acquisition = self._acquisition
        if acquisition is None:
            return None
        if acquisition.done.is_set():
            self._show_end(acquisition)
            return None
        if not acquisition.running:
            return None
        now = time.monotonic()
        self._push_preview(acquisition)
        if now >= self._pushed_s + EVENT_PERIOD_S:
            self._pushed_s = now
            with self.deciding:
                if acquisition is self._acquisition and acquisition.running:
                    self.show(DevState.RUNNING, _describe(acquisition))
            self._push_counters(acquisition)
        return now + PREVIEW_PERIOD_S

    def _show_end(self, acquisition: Acquisition) -> None:
        with self.deciding:
            # The next arm may have come since: then there is nothing to say of this one any more.
            if acquisition is not self._acquisition or self.get_state() not in (DevState.STANDBY, DevState.RUNNING):
                return
            if acquisition.error is not None:
                self.show(DevState.FAULT, f"the stream of arm {acquisition.plan.arm} broke: {acquisition.error}")
            else:
                self.show(DevState.ON, f"idle; {_describe(acquisition)}")
        if acquisition.error is not None:
            self.error_stream("%s", str(acquisition.error))
        self._push_preview(acquisition)
        self._push_counters(acquisition)
        self.push_state()

    def _push_counters(self, acquisition: Acquisition) -> None:
        for name, value in zip(_COUNTERS, (acquisition.produced, acquisition.sent, acquisition.dropped), strict=True):
            self.push_change_event(name, value)
        self.push_change_event("FrameRate", acquisition.rate_hz)

    def _push_preview(self, acquisition: Acquisition) -> None:
        preview = acquisition.preview
        if preview is not None and preview is not self._shown:
            self._shown = preview
            self.push_change_event("Preview", preview)

    # Commands.

    @command
    def Arm(self) -> None:
        """Open the data stream for the next acquisition; ArmId grows by one. Refused while armed or running."""
        with self.refusing("Arm"):
            self.refuse_while_armed("arm")
            plan = self._make_plan()
            if self._acquisition is not None:
                self._acquisition.abort()  # its receiver may not have left yet
            if self._renderer is None:
                self._renderer = FrameRenderer(plan.shape, seed=self.Seed)
            acquisition = Acquisition(plan, self._renderer, self.truth, self._pacer.wake)
        with self.deciding:
            self._acquisition, self._arm = acquisition, plan.arm
            self.show(DevState.STANDBY, f"armed as {plan.arm} for {plan.frames or 'endless'} frames; call Start")
        memory.keep(self.get_name(), "ArmId", self._arm)
        self.info_stream("%s", f"arm {plan.arm}: {plan.frames} frames, period {plan.period_s} s, {plan.policy}")
        self.push_change_event("ArmId", self._arm)
        self.push_state()

    def _make_plan(self) -> AcquisitionPlan:
        if min(self.Width, self.Height) < SMALLEST_SIDE:
            raise BadValue(f"{self.get_name()}: cannot arm", seen=f"frames of {self.Width} × {self.Height} pixels")
        if 0 < self._period_s < self._exposure_s:
            raise BadValue(
                f"{self.get_name()}: cannot arm",
                seen=f"ExposureTime {self._exposure_s:g} s is longer than AcquisitionPeriod {self._period_s:g} s",
                remedy="shorten the exposure, or set AcquisitionPeriod to 0 for the fastest possible",
            )
        return AcquisitionPlan(
            arm=self._arm + 1,
            frames=self._frames,
            period_s=max(self._period_s, self._exposure_s),
            policy=POLICIES[self._policy],
            transport=TRANSPORTS[self._transport],
            shape=(self.Height, self.Width),
            directory=find_stream_directory(),
            ring_mib=self.RingMiB,
        )

    @command
    def Start(self) -> None:
        """Let the frames come. Refused unless armed."""
        with self.refusing("Start"), self.deciding:
            acquisition = self._armed
            if acquisition is None or acquisition.running:
                raise DeviceError(
                    f"{self.get_name()}: cannot start",
                    seen="it is not armed" if acquisition is None else "it is running",
                    remedy="call Arm first" if acquisition is None else "wait until State is ON, or call Stop",
                )
            self.show(DevState.RUNNING, f"arm {acquisition.plan.arm} runs")
            acquisition.start()
        self._pacer.wake()
        self.push_state()

    @command
    def Stop(self) -> None:
        """Finish early: what was drawn is sent, the stream is told its end, State becomes ON. Idle: does nothing."""
        if self._armed is not None:
            self._armed.stop()

    @command
    def Abort(self) -> None:
        """Give up at once: nothing more is sent and the stream closes without an end. Idle: clears FAULT."""
        if self._acquisition is not None:
            self._acquisition.abort()
        with self.deciding:
            ended = self.get_state() != DevState.ON
            if ended:
                self.show(DevState.ON, "idle; the last acquisition was aborted")
        if ended:
            self.push_state()

    def refuse_while_armed(self, what: str) -> None:
        """Raise DeviceError while the camera is armed or running."""
        if self._armed is not None:
            raise DeviceError(
                f"{self.get_name()}: cannot {what}",
                seen="it is running" if self._armed.running else "it is armed",
                remedy="wait until State is ON, or call Abort",
            )

    # What it says of itself.

    # The properties have the names already: the attributes are given theirs.

    @attribute(name="Width", dtype=int, label="Width", unit="pixels", format="%d", doc="Width of a frame.")
    def frame_width(self) -> int:
        """Width of a frame (pixels)."""
        return int(self.Width)

    @attribute(name="Height", dtype=int, label="Height", unit="pixels", format="%d", doc="Height of a frame.")
    def frame_height(self) -> int:
        """Height of a frame (pixels)."""
        return int(self.Height)

    @attribute(dtype=str, label="Pixel format", unit="", doc="Type of a pixel, as NumPy names it.")
    def PixelFormat(self) -> str:
        """Type of a pixel, as NumPy names it."""
        return "uint16"

    @attribute(
        dtype=str,
        label="Data endpoint",
        unit="",
        doc="Where the receiver of the armed stream connects; empty while idle.",
    )
    def DataEndpoint(self) -> str:
        """Where the receiver of the armed stream connects; empty while idle."""
        return "" if self._armed is None else self._armed.endpoint

    @attribute(
        dtype=str,
        label="Data format",
        unit="",
        doc="JSON for the receiver of the armed stream: shape, dtype and more; empty while idle.",
    )
    def DataFormat(self) -> str:
        """JSON for the receiver of the armed stream: shape, dtype and more; empty while idle."""
        return "" if self._armed is None else self._armed.format

    @attribute(dtype=int, label="Arm", unit="", format="%d", doc="Number of the last arm; grows by one with each.")
    def ArmId(self) -> int:
        """Number of the last arm; grows by one with each."""
        return self._arm

    @attribute(
        dtype=int, label="Frames produced", unit="frames", format="%d", doc="Frames that existed in the last arm."
    )
    def FramesProduced(self) -> int:
        """Frames that existed in the last arm."""
        return 0 if self._acquisition is None else self._acquisition.produced

    @attribute(dtype=int, label="Frames sent", unit="frames", format="%d", doc="Frames of the last arm that went out.")
    def FramesSent(self) -> int:
        """Frames of the last arm that went out."""
        return 0 if self._acquisition is None else self._acquisition.sent

    @attribute(
        dtype=int,
        label="Frames dropped",
        unit="frames",
        format="%d",
        doc="Frames of the last arm that found no free block; with the policy hold always 0.",
    )
    def FramesDropped(self) -> int:
        """Frames of the last arm that found no free block; with the policy hold always 0."""
        return 0 if self._acquisition is None else self._acquisition.dropped

    @attribute(
        dtype=float,
        label="Frame rate",
        unit="Hz",
        format="%.1f",
        doc="Frames per second over the last second; 0 while it does not run.",
    )
    def FrameRate(self) -> float:
        """Frames per second over the last second; 0 while it does not run."""
        return 0.0 if self._acquisition is None else self._acquisition.rate_hz

    @attribute(
        dtype=((np.uint16,),),
        max_dim_x=LARGEST_PREVIEW,
        max_dim_y=LARGEST_PREVIEW,
        label="Preview",
        unit="counts",
        doc="The latest frame, every n-th pixel, at most ten times a second while it runs; invalid before the first.",
    )
    def Preview(self) -> tuple[Frame, float, AttrQuality]:
        """The latest reduced frame."""
        preview = None if self._acquisition is None else self._acquisition.preview
        if preview is None:
            return np.zeros((1, 1), np.uint16), time.time(), AttrQuality.ATTR_INVALID
        return preview, time.time(), AttrQuality.ATTR_VALID


def _describe(acquisition: Acquisition) -> str:
    wanted = acquisition.plan.frames or "endless"
    text = f"arm {acquisition.plan.arm}: {acquisition.sent} of {wanted} frames sent, {acquisition.dropped} dropped"
    return text + ("; waits for its receiver" if acquisition.waiting else "")


def run() -> None:
    """Run a server of cameras."""
    run_server("Camera", [Camera])
