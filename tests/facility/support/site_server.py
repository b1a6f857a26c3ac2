"""The small device class in a server of another name."""

import sys

from tango.server import run

from tests.facility.support.tiny_server import Tiny

if __name__ == "__main__":
    run((Tiny,), args=["Site", *sys.argv[1:]])
