"""Run a session host: `python -m mamba.session --runtime DIR --profile FILE`, until SIGTERM.

Exit status: 0 after SIGTERM, 1 when it could not start (somebody else runs here, the profile cannot be used).
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from pathlib import Path

from mamba.config import Profile, load_profile
from mamba.errors import MambaError
from mamba.runtime import RuntimeDirectory
from mamba.session.audit import find_audit_file
from mamba.session.console_life import GRACE_S
from mamba.session.host import SessionHost
from mamba.session.people import PasswordCheck


def main(arguments: list[str] | None = None) -> int:
    """Run one session; returns the exit status."""
    options = _parse(arguments)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        runtime = RuntimeDirectory.create(options.runtime)
        profile = load_profile(options.profile)
        lock = runtime.lock("session")
    except MambaError as error:
        print(f"mamba.session: {error}", file=sys.stderr)  # noqa: T201  # for the person or program that started it
        return 1
    command = options.console or [sys.executable, "-m", "mamba.console"]
    try:
        SessionHost(
            runtime,
            command=[*command, "--runtime", str(runtime.path), "--profile", str(profile.path)],
            env=_make_env(runtime.path, profile.path),
            profile=str(profile.path),
            person=profile.person or _find_login_name(),
            audit_file=find_audit_file(profile, runtime),
            authenticator=_make_authenticator(profile),
            control_timeout_s=profile.people.control_timeout_s if profile.people.control else None,
            grace_s=options.grace,
        ).run()
    except MambaError as error:
        print(f"mamba.session: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        lock.release()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mamba.session", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runtime", type=Path, required=True, help="runtime directory (0700)")
    parser.add_argument("--profile", type=Path, required=True, help="beamline profile (YAML)")
    parser.add_argument(
        "--grace", type=float, default=GRACE_S, help="s that the console has to end; default %(default)g"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("console", nargs="*", help="program to run as the console instead of mamba.console (after --)")
    return parser.parse_args(arguments)


def _make_authenticator(profile: Profile) -> PasswordCheck | None:
    if profile.people.login == "none":
        return None
    from mamba.session.logins.authenticator import make_authenticator  # Argon2 and LDAP, only where people log in

    return make_authenticator(profile.people)


def _find_login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return f"uid {os.getuid()}"


def _make_env(runtime: Path, profile: Path) -> dict[str, str]:
    """What IPython inherits: everything, but for what would tell it of a terminal that is not its own."""
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "TERM_PROGRAM")}
    return {
        **env,
        "TERM": "xterm-256color",
        "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody may be there to answer where the cursor is
        "MAMBA_RUNTIME_DIR": str(runtime),
        "MAMBA_PROFILE": str(profile),
    }


if __name__ == "__main__":
    sys.exit(main())
