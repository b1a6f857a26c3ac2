"""Templates of paths."""

from pathlib import Path

import pytest

from mamba.data_worker.nodes import Job
from mamba.data_worker.sinks.paths import resolve_path
from mamba.errors import DataError

JOB = Job(3, 8, Path("/data/camera_00001.h5"), "D.camera", "", {
    "proposal": "2026-1", "sample": {"name": "Cu/Al, 50 %"}, "scan_id": 12, "user": "../../etc", "temperature": 2.5,
})  # fmt: skip


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("", "camera_00001.h5"),
        ("{proposal}/{sample}/{device}_{scan:05d}", "2026-1/Cu_Al_50_/camera_00012.h5"),
        ("{user}/{name}_{arm}.h5", ".._.._etc/camera_00001_3.h5"),
        ("/plain", "plain.h5"),
        ("v1.2", "v1.2.h5"),
    ],
)
def test_a_template_is_filled(template: str, path: str) -> None:
    assert resolve_path(template, JOB) == Path("/data") / path


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{smaple}/{scan}", r"nothing is known of \{smaple\}\n.*did you mean 'sample'"),
        ("{temperature}", r"nothing is known of \{temperature\}"),
        ("{scan", "is no template"),
        ("{proposal:05d}", "is no template"),
        ("../{scan}", "is no template"),
        ("a//b", "is no template"),
        ("{}", r"nothing is known of \{\}"),
    ],
)
def test_a_bad_template_is_one_clear_error(template: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        resolve_path(template, JOB)
    assert len(str(caught.value).splitlines()) <= 3
