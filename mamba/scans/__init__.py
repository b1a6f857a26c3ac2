"""Run engine, plans, documents to notices, NeXus master file, the verdict on a run."""

from mamba.scans.documents import DocumentNotices, notices_of
from mamba.scans.run_engine import BeamlineRunEngine, make_run_engine

__all__ = ["BeamlineRunEngine", "DocumentNotices", "make_run_engine", "notices_of"]
