"""Reads frames by Tiled's reader; run by the Python of `.venv/tiled`, which knows nothing of ours.

Standard input: JSON with `resource` and `datum` (the documents) and `key` (the data key of the descriptor). Standard
output: the frames, as `numpy.save` writes them.
"""

import json
import sys

import numpy as np
from bluesky.consolidators import HDF5Consolidator


def main() -> None:
    """Read and write."""
    told = json.load(sys.stdin)
    consolidator = HDF5Consolidator(told["resource"], {"data_keys": {told["resource"]["data_key"]: told["key"]}})
    consolidator.consume_stream_datum(told["datum"])
    np.save(sys.stdout.buffer, consolidator.get_adapter().read())


if __name__ == "__main__":
    main()
