"""What the global options say, looked up only when a command needs it: `--help` reads no configuration."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mamba.config import Environment, Profile
    from mamba.runtime import RuntimeDirectory


class Settings:
    """Runtime directory and profile: from the options, else from the environment."""

    def __init__(self, runtime: Path | None, profile: Path | None) -> None:
        self._runtime = runtime
        self._profile = profile

    @cached_property
    def environment(self) -> Environment:
        """The process environment."""
        from mamba.config import read_environment

        return read_environment()

    @property
    def runtime_path(self) -> Path:
        """The runtime directory, absolute; it need not exist."""
        return (self._runtime or self.environment.runtime_dir).absolute()

    @property
    def profile_path(self) -> Path:
        """The profile to bring up, absolute."""
        return (self._profile or self.environment.profile).absolute()

    @cached_property
    def profile(self) -> Profile:
        """The profile that --profile names, else the one of what runs, else the one to bring up.

        Raises:
            ProfileError: it cannot be used.
        """
        from mamba.config import load_profile

        state = self.find_runtime().read_state("facility") if self._profile is None else None
        return load_profile(Path(state["profile"]["path"]) if state else self.profile_path)

    def find_runtime(self) -> RuntimeDirectory:
        """The names in the runtime directory, without making it."""
        from mamba.runtime import RuntimeDirectory

        return RuntimeDirectory(self.runtime_path)

    def open_runtime(self) -> RuntimeDirectory:
        """The runtime directory, made if there is none.

        Raises:
            FacilityError: it cannot be used.
        """
        from mamba.runtime import RuntimeDirectory

        return RuntimeDirectory.create(self.runtime_path)

    def as_arguments(self) -> list[str]:
        """Options that make another mambactl, in whatever folder, mean the same."""
        arguments = []
        if self._runtime is not None:
            arguments += ["--runtime", str(self.runtime_path)]
        if self._profile is not None or self.environment.profile == Path("beamline.yaml"):
            arguments += ["--profile", str(self.profile_path)]
        return arguments
