"""What Mamba takes from the process environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from mamba.config.model import Model


class Environment(Model):
    """What Mamba takes from the process environment."""

    runtime_dir: Path
    profile: Path
    tango_host: str = Field(description="TANGO_HOST; empty when it is not set")
    graphical: bool = Field(description="a screen is there to open windows on")


BUILT_IN_PROFILE = Path(__file__).parents[2] / "tango_servers" / "virtual_beamline" / "profile" / "beamline.yaml"
"""The virtual beamline: what runs when nothing else is asked for."""


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read MAMBA_RUNTIME_DIR, MAMBA_PROFILE, TANGO_HOST, XDG_RUNTIME_DIR, DISPLAY and WAYLAND_DISPLAY.

    Without them: the runtime directory is a folder of this user below XDG_RUNTIME_DIR or the system's folder for
    temporary files, the profile `beamline.yaml` in the current folder, else the virtual beamline.
    """
    env = os.environ if variables is None else variables
    base = env.get("XDG_RUNTIME_DIR")
    default_dir = Path(base) / "mamba" if base else Path("/tmp") / f"mamba-{os.getuid()}"  # noqa: S108  # 0700, checked
    here = Path("beamline.yaml")
    default_profile = here if here.is_file() else BUILT_IN_PROFILE
    return Environment(
        runtime_dir=Path(env.get("MAMBA_RUNTIME_DIR") or default_dir),
        profile=Path(env.get("MAMBA_PROFILE") or default_profile),
        tango_host=env.get("TANGO_HOST", ""),
        graphical=bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY")),
    )
