"""The small device server with a child of its own that would outlive it."""

import subprocess
import sys

from tango.server import run

from tests.facility.support.tiny_server import Tiny

if __name__ == "__main__":
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    run((Tiny,), args=["Tiny", *sys.argv[1:]])
