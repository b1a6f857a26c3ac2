"""NeXus files of runs: written while they go on, read back, joined, validated. The only place of scans with HDF5."""

from mamba.scans.nexus.combine import combine
from mamba.scans.nexus.writer import NexusWriter

__all__ = ["NexusWriter", "combine"]
