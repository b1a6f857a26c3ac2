"""A console that arms a graph and is killed by somebody: `python -m tests.support.console_program JSON` arms and waits.

JSON: `endpoint` and `data_format` of the detector, `frames`, `file`. Prints a line when every node runs.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from mamba.data_worker.control import arm
from tests.support.graph_killer import make_three_actors


def main() -> None:
    """Arm, say so, wait for the end of all things."""
    order = json.loads(sys.argv[1])
    armed = arm(make_three_actors(), arm_id=1, **{**order, "file": Path(order["file"])})
    print(json.dumps({"folder": str(armed._folder)}), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
