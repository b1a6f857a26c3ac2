"""`make demo` as a newcomer sees it, without the installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.facility import assert_nothing_left, make_environment, runtime_folder

_VALIDATE = "import sys; from nexusformat.nexus import nxload; print(*nxload(sys.argv[1]).entry.validate())"


@pytest.mark.timeout(300)
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
    # a process of its own: nexusformat warns of the sizes of files that were validated before
    validated = subprocess.run([sys.executable, "-c", _VALIDATE, out / "demo.nxs"], capture_output=True, text=True)
    assert validated.stdout.splitlines()[-1] == "0 0", validated.stdout + validated.stderr
    console = (out / "console.txt").read_text()
    for words in ("In [1]: RE(xafs_scan(", "In [2]: RE(acquire(", "ZeroDivisionError", "ZError: nobody is logged in"):
        assert words in console
    for picture in ("demo.png", "window.png"):
        assert (out / picture).stat().st_size > 50_000
