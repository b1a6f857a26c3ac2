"""What docs/data-worker.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mamba.cli import main
from mamba.data_worker.graph import load_graph, plan_flows
from mamba.data_worker.nodes import Flow, Item

PAGE = (Path(__file__).parents[2] / "docs" / "data-worker.md").read_text()


def find_block(language: str, contains: str) -> str:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (block,) = [each for its, each in blocks if its == language and contains in each]
    return str(block)


def test_both_forms_are_the_same_graph(tmp_path: Path) -> None:
    yaml, python = tmp_path / "tomo.yaml", tmp_path / "tomo.py"
    yaml.write_text(find_block("yaml", "name: tomo"))
    python.write_text(find_block("python", 'build("tomo"'))
    one, other = load_graph(yaml), load_graph(python)
    assert one.nodes == other.nodes
    assert sorted(one.edges, key=str) == sorted(other.edges, key=str)


def test_the_join_by_time_stamp_can_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(find_block("yaml", "kind: match_times"))
    camera = {"camera": Flow((16, 16), "uint16", 4)}
    assert plan_flows(load_graph(path), camera)["current"]["out"].columns == ("time", "missed", "current")


def test_the_session_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tomo.yaml").write_text(find_block("yaml", "name: tomo"))
    session = find_block("", "$ mambactl mdw validate")
    commands = re.findall(r"^\$ mambactl (.*)\n((?:[^$\n].*\n|\n)*)", session, re.MULTILINE)
    assert len(commands) == 2
    for command, shown in commands:
        with pytest.raises(SystemExit):
            main(command.split())
        out, err = capsys.readouterr()
        printed = [line.rstrip() for line in (out + err).splitlines() if line.strip()]
        assert printed == [line for line in shown.splitlines() if line.strip()]


def test_the_kind_of_your_own_works() -> None:
    names: dict[str, type] = {}
    exec(find_block("python", "class Scale(Node)"), names)
    node = names["Scale"]("scale", names["ScaleParameters"](factor=3))
    assert (node.process(Item(0, {"camera": np.ones((2, 4, 4), "uint16")})) == 3).all()
