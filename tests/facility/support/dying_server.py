"""The small device server, which dies as soon as the file that its environment names is there."""

import os
import sys
import threading
from pathlib import Path

from tango.server import run

from tests.facility.support.tiny_server import Tiny


def die_when_told() -> None:
    order = Path(os.environ["MAMBA_RUNTIME_DIR"], "die")
    while not order.exists():
        threading.Event().wait(0.02)
    print("the power went away", flush=True)
    os._exit(3)


if __name__ == "__main__":
    threading.Thread(target=die_when_told, daemon=True).start()
    run((Tiny,), args=["Tiny", *sys.argv[1:]])
