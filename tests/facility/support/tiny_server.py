"""A device server with one device class, for tests of the facility alone."""

import sys

from tango import AttrWriteType, DevState
from tango.server import Device, attribute, device_property, run


class Tiny(Device):
    """Keeps one number; its property says where it starts."""

    Start = device_property(dtype=float, default_value=0.0)

    def init_device(self) -> None:
        super().init_device()
        self.set_state(DevState.ON)
        self.set_status("at rest")
        self._value = self.Start

    @attribute(dtype=float, access=AttrWriteType.READ_WRITE)
    def Value(self) -> float:
        return self._value

    @Value.write
    def Value(self, value: float) -> None:
        self._value = value


if __name__ == "__main__":
    run((Tiny,), args=["Tiny", *sys.argv[1:]])
