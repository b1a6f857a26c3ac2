"""mambactl mdw: graphs in files; what a person sees of them before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.image import imread

from mamba.cli import main
from mamba.config import BUILT_IN_PROFILE
from mamba.data_worker.graph import load_graph

REGIONS = BUILT_IN_PROFILE.parent / "regions.yaml"
TWO_WAYS = """
name: two_ways
nodes:
  - {name: camera, kind: stream, group: intake}
  - {name: left, kind: region_sums, group: sums, parameters: {regions: [{name: a, x: 0, y: 0, width: 8, height: 8}]}}
  - {name: right, kind: region_sums, group: sums, parameters: {regions: [{name: b, x: 8, y: 0, width: 8, height: 8}]}}
  - {name: file, kind: hdf5}
edges:
  - {from: camera, to: left}
  - {from: camera, to: right, policy: drop}
  - {from: camera, to: file, as: raw}
  - {from: left, to: file}
  - {from: right, to: file}
"""


@pytest.fixture
def two_ways(tmp_path: Path) -> Path:
    file = tmp_path / "two_ways.yaml"
    file.write_text(TWO_WAYS)
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["mdw", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert ended.value.code == code, err
    return out + err


def test_validate_says_what_runs_along_each_edge(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "validate", REGIONS, "--shape", "2048x2048", "--rate", 100)
    assert "regions: valid; 3 nodes, 3 edges, 2 actors (file, intake)" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["camera", "file", "wait", "2048", "×", "2048", "uint16", "100", "839"] in rows
    assert ["region_sums", "file", "wait", "4", "columns", "uint64", "100", "0.0032"] in rows
    assert "--shape" in run(capsys, "validate", REGIONS)


@pytest.mark.parametrize(
    ("old", "new", "options", "says"),
    [
        ("kind: hdf5", "kind: hdf", [], "line 7: node 'file': unknown kind 'hdf'"),
        ("x: 8,", "x: 800,", ["--shape", "64x64"], "line 6: node 'right': region 'b' reaches beyond the frame"),
        ("x: 8,", "x: 8,", ["--shape", "8x8", "--shape", "camera=8x15"], "line 6: node 'right': region 'b'"),
        ("{from: left, to: file}", "{from: left, to: left}", [], "line 8: the edges form a cycle"),
    ],
)
def test_the_first_mistake_is_named_with_its_line(
    capsys: pytest.CaptureFixture[str], two_ways: Path, old: str, new: str, options: list[str], says: str
) -> None:
    two_ways.write_text(TWO_WAYS.replace(old, new))
    text = run(capsys, "validate", two_ways, *options, code=1)
    assert text.startswith(f"graph {two_ways} {says}")
    assert len(text.splitlines()) <= 5


def test_wrong_options_are_usage(capsys: pytest.CaptureFixture[str], two_ways: Path) -> None:
    assert "nodes: camera" in run(capsys, "validate", two_ways, "--shape", "other=8x8", code=2)
    assert "write 2048x2048" in run(capsys, "validate", two_ways, "--shape", "8*8", code=2)
    assert "no such type" in run(capsys, "validate", two_ways, "--shape", "8x8", "--dtype", "int17", code=2)
    assert ".svg" in run(capsys, "show", two_ways, "--png", "a.txt", code=2)


def test_show_draws_in_the_terminal(capsys: pytest.CaptureFixture[str], two_ways: Path) -> None:
    text = run(capsys, "show", two_ways, "--shape", "64x64")
    lines = text.splitlines()
    for name in ("camera", "left", "right", "file"):
        assert sum(f"│ {name} " in line for line in lines) == 1
    assert text.count("▶") == 3, "one for each node that takes something"
    assert "camera → right: drop, 64 × 64 uint16" in lines
    assert "camera → file: as raw, 64 × 64 uint16" in lines
    joints = {char for line in lines for char in line} & set("┬┴├┤┼")
    assert joints, "neither fork nor join is drawn"


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_show_draws_a_picture(capsys: pytest.CaptureFixture[str], two_ways: Path, form: str) -> None:
    out = two_ways.with_suffix(f".{form}")
    run(capsys, "show", two_ways, "--png", out, "--shape", "64x64")
    if form == "png":
        height, width, _ = imread(out).shape
        assert width > height > 300
    elif form == "svg":
        words = out.read_text()
        for word in ("two_ways", "camera", "region_sums", "intake", "as raw", "64 × 64 uint16", "drop: skips"):
            assert word in words
    else:
        assert out.read_bytes().startswith(b"%PDF")


def test_show_prints_every_form(capsys: pytest.CaptureFixture[str], two_ways: Path) -> None:
    graph = load_graph(two_ways)
    for form, suffix in (("yaml", "yaml"), ("json", "json"), ("python", "py")):
        copy = two_ways.with_name(f"copy.{suffix}")
        copy.write_text(run(capsys, "show", two_ways, "--as", form))
        assert load_graph(copy) == graph


def test_kinds_lists_what_a_graph_may_name(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "kinds")
    assert text.index("Sources:") < text.index("stream") < text.index("Processors:") < text.index("region_sums")
    page = run(capsys, "kinds", "hdf5")
    assert "hdf5: sink; takes" in page
    assert "spare_mib" in page
    assert "≥ 1" in page
    (found,) = json.loads(run(capsys, "kinds", "region_sums", "--json"))
    assert found["parameters"]["properties"]["regions"]["maxItems"] == 1024
    assert "did you mean 'hdf5'" in run(capsys, "kinds", "hdf", code=1)


@pytest.mark.parametrize(
    ("command", "name"),
    [("validate", "a.yaml"), ("show", "a.yaml"), ("validate", "a.py"), ("recover", "a.h5"), ("verify", "a.h5")],
)
def test_a_file_that_is_not_there_is_said_to_be_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, name: str
) -> None:
    missing = tmp_path / name
    what, remedy = run(capsys, command, missing, code=1).splitlines()
    assert what.endswith(f"{missing}: not there")
    assert remedy.startswith("  do:   name ")
