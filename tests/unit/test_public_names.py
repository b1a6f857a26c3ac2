"""What start-up scripts, sites' packages and clients import: a name that goes away breaks a beamline."""

import ast
import importlib

import pytest

from mamba.config import BUILT_IN_PROFILE

NAMES = {
    "mamba.console": ["User", "ZError", "server_start"],
    "mamba.devices": [
        "BeamlineGraph",
        "Camera",
        "Counter",
        "Detector1D",
        "Detector2D",
        "FrameSettings",
        "GatedCounter",
        "Group",
        "IORegister",
        "LateDevice",
        "LimaDetector",
        "Motor",
        "PseudoMotor",
        "Shutter",
        "TangoSignal",
        "WrappedDevice",
        "ZeroD",
        "adopt",
        "build_devices",
        "describe_device",
        "expression_of",
        "find_device",
        "graph",
        "iter_devices",
        "key_of",
        "limits_of",
        "reach_of",
        "read_device",
        "record_without_dots",
        "set_current_role",
        "stop_beyond",
        "tango",
    ],
    "mamba.scans": [
        "BeamlineRunEngine",
        "DocumentNotices",
        "NexusWriter",
        "Verdict",
        "acquire",
        "count",
        "grid_scan",
        "list_scan",
        "make_run_engine",
        "mv",
        "mvr",
        "next_row",
        "notices_of",
        "rel_list_scan",
        "rel_scan",
        "scan",
        "sleep",
        "with_shutter",
    ],
}


@pytest.mark.parametrize("package", NAMES)
def test_packages_export_what_they_always_did(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == NAMES[package]
    assert all(hasattr(module, name) for name in NAMES[package])


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("mamba.config", ["load_profile", "read_environment"]),
        ("mamba.wire.client", ["Client"]),
        ("mamba.wire.subscriber", ["Subscriber"]),
        ("mamba.wire.notices", ["attach", "publish"]),
        ("mamba.experiments.xafs", ["make_grid", "xafs_scan"]),
        ("mamba.alignment.edge", ["find_edge"]),
        ("mamba.data_worker.control", ["arm", "shutdown_ray"]),
        ("mamba.data_worker.graph", ["load_graph"]),
    ],
)
def test_modules_keep_their_names(module: str, names: list[str]) -> None:
    assert all(hasattr(importlib.import_module(module), name) for name in names)


def test_the_start_up_script_imports_public_names_only() -> None:
    script = ast.parse((BUILT_IN_PROFILE.parent / "startup.py").read_text())
    for statement in ast.walk(script):
        if isinstance(statement, ast.ImportFrom):
            module = importlib.import_module(str(statement.module))
            assert all(hasattr(module, alias.name) for alias in statement.names)
