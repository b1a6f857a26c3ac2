"""`make demo` as a newcomer sees it, without the installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nexusformat.nexus import nxload

from tests.support.facility import assert_nothing_left, make_environment, runtime_folder


@pytest.mark.timeout(300)
@pytest.mark.error_logged  # nexusformat logs its whole report, "errors: 0" too, as critical
def test_the_demo_measures_a_spectrum_and_leaves_nothing(tmp_path: Path) -> None:
    with runtime_folder() as runtime:
        demo = subprocess.run(
            [sys.executable, "-m", "mamba.cli", "--runtime", str(runtime.path), "demo", "--output", "out"],
            cwd=tmp_path,
            env=make_environment(),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert demo.stdout.splitlines()[-1] == "demo: ok"
        assert_nothing_left(runtime)
    out = tmp_path / "out"
    summary = json.loads((out / "summary.json").read_text())
    assert abs(summary["e0_ev"] - 8980.5) <= 1.0
    assert (summary["points"], summary["frames_produced"], summary["frames_written"]) == (451, 2000, 2000)
    assert summary["missing_ranges"] == []
    assert all((out / file).is_file() for file in summary["files"])
    assert nxload(out / "demo.nxs").entry.validate() == (0, 0)
    console = (out / "console.txt").read_text()
    for words in ("In [1]: RE(xafs_scan(", "In [2]: RE(acquire(", "ZeroDivisionError", "ZError: nobody is logged in"):
        assert words in console
    for picture in ("demo.png", "window.png"):
        assert (out / picture).stat().st_size > 50_000
