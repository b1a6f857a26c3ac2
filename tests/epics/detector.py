"""`MyAreaDetector` of the paper's Figure 4: ophyd's SimDetector with an image and its sum, as a beamline writes it."""

from __future__ import annotations

from ophyd import Component, EpicsSignalRO
from ophyd.areadetector import ADComponent, ImagePlugin, SimDetector
from ophyd.areadetector.trigger_mixins import SingleTrigger
from ophyd.status import SubscriptionStatus


class MyAreaDetector(SingleTrigger, SimDetector):
    """Records the sum over the frame; `image` has the frame itself."""

    _default_read_attrs = ("total",)  # areaDetector's classes record nothing unless told

    image = ADComponent(ImagePlugin, "image1:")
    total = Component(EpicsSignalRO, "Stats1:Total_RBV", kind="hinted")

    def warmup(self) -> None:
        """Take one frame, so that the plugins know its size: until then areaDetector refuses to describe it."""
        self.image.enable.set("Enable").wait(5)
        self.cam.array_callbacks.set(1).wait(5)
        done = SubscriptionStatus(self.cam.acquire, lambda *, value, old_value, **_: (old_value, value) == (1, 0))
        self.cam.acquire.put(1)
        done.wait(10)
