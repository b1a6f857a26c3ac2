# Start-up script of the virtual beamline: IPython runs it first, in the namespace of the console.
import numpy as np

from mamba.config import load_profile, read_environment
from mamba.console import ZError, server_start
from mamba.devices import build_devices, tango
from mamba.experiments.xafs import xafs_scan
from mamba.scans import (
    acquire,
    count,
    grid_scan,
    list_scan,
    make_run_engine,
    mv,
    mvr,
    next_row,
    rel_scan,
    scan,
    sleep,
    with_shutter,
)

profile = load_profile(read_environment().profile)
M, D = build_devices(profile)
RE = make_run_engine(profile)
U = server_start(M, D, RE)
