# ruff: noqa
"""The start-up script of the paper's Figure 4 (the two closing brackets that the printed figure lost are back).

Above the line stand the imports that the figure omits; below it, nothing is changed.
"""

from bluesky import RunEngine
from bluesky.plan_stubs import mv
from bluesky.plans import count, scan
from ophyd import EpicsMotor

from mamba.console import server_start
from tests.epics.detector import MyAreaDetector

# ------------------------------------------------------------------------------------------------
print("Example beamline init script loading...")


# ... `import' statements omitted ...
class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self


M = AttrDict(m1=EpicsMotor("IOC:m1", name="M.m1"), m2=EpicsMotor("IOC:m2", name="M.m2"))
D = AttrDict(ad=MyAreaDetector("13SIM1:", name="D.ad"))
D.ad.cam.trigger_mode.set(0).wait()
D.ad.cam.image_mode.set(1).wait()
D.ad.cam.num_images.set(1).wait()
D.ad.warmup()
RE = RunEngine()
U = server_start(M, D, RE)
print("Beamline init script loaded.")
