"""Run engine, plans, documents to notices, NeXus master file, the verdict on a run."""

from mamba.scans.documents import DocumentNotices, notices_of
from mamba.scans.nexus import NexusWriter
from mamba.scans.plans import acquire
from mamba.scans.run_engine import BeamlineRunEngine, make_run_engine
from mamba.scans.verdict import Verdict

__all__ = [
    "BeamlineRunEngine",
    "DocumentNotices",
    "NexusWriter",
    "Verdict",
    "acquire",
    "make_run_engine",
    "notices_of",
]
