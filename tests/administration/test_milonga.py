"""tango-milonga, an administration console from the package index, on the embedded database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tango_facility import TangoFacility

DEVICE = "vbl/axis/sample_x"


@pytest.mark.soak
def test_a_property_is_changed_in_its_window(control_system: TangoFacility, tmp_path: Path) -> None:
    control_system.database.put_device_property(DEVICE, {"DefaultVelocity": ["5"]})
    picture = tmp_path / "window.png"
    words = [control_system.host, DEVICE, "DefaultVelocity", "2.5", str(picture)]
    path = [str(Path(sys.prefix) / "milonga"), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.administration.drive_milonga", *words],
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(path),
            "QT_API": "PySide6",
            "QT_QPA_PLATFORM": "offscreen",
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["before"], told["after"]) == (["5"], ["2.5"])
    assert DEVICE in told["devices"]
    assert told["errors"] == []
    assert picture.stat().st_size > 10_000
    assert list(control_system.database.get_device_property(DEVICE, "DefaultVelocity")["DefaultVelocity"]) == ["2.5"]
    history = control_system.database.get_device_property_history(DEVICE, "DefaultVelocity")
    assert [list(entry.get_value().value_string) for entry in history][-2:] == [["5"], ["2.5"]]
    control_system.database.delete_device_property(DEVICE, ["DefaultVelocity"])
