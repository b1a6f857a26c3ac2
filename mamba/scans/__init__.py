"""Run engine, plans, documents to notices, NeXus master file, the verdict on a run."""
