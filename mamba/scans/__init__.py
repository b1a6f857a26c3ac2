"""Run engine, plans, documents to notices, NeXus master file, the verdict on a run."""

from mamba.scans.documents import DocumentNotices, notices_of
from mamba.scans.nexus import NexusWriter
from mamba.scans.plans import (
    acquire,
    count,
    grid_scan,
    list_scan,
    mv,
    mvr,
    next_row,
    rel_list_scan,
    rel_scan,
    scan,
    sleep,
)
from mamba.scans.run_engine import BeamlineRunEngine, make_run_engine
from mamba.scans.shutter import with_shutter
from mamba.scans.verdict import Verdict

__all__ = [
    "BeamlineRunEngine",
    "DocumentNotices",
    "NexusWriter",
    "Verdict",
    "acquire",
    "count",
    "grid_scan",
    "list_scan",
    "make_run_engine",
    "mv",
    "mvr",
    "next_row",
    "notices_of",
    "rel_list_scan",
    "rel_scan",
    "scan",
    "sleep",
    "with_shutter",
]
