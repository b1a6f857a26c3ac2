"""`python -m mamba.console --runtime DIR --profile FILE`: the beamline's IPython; the session host starts it."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from pathlib import Path

from mamba.config import Profile, load_profile
from mamba.errors import MambaError
from mamba.runtime import RuntimeDirectory


def main(arguments: list[str] | None = None) -> int:
    """Run the console until the person leaves or it is ended; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mamba.console", description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="runtime directory of the beamline")
    parser.add_argument("--profile", type=Path, required=True, help="profile of the beamline")
    options = parser.parse_args(arguments)
    # the start-up script finds them with read_environment(), prompt_toolkit asks no terminal that is a pipe to a host
    os.environ["MAMBA_RUNTIME_DIR"] = str(options.runtime.absolute())
    os.environ["MAMBA_PROFILE"] = str(options.profile.absolute())
    os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
    try:
        from mamba.console.shell import check_terminal

        check_terminal()
        runtime = RuntimeDirectory.create(options.runtime)
        profile = load_profile(options.profile)
    except MambaError as error:
        print(error, file=sys.stderr)  # noqa: T201  # there is no console to say it in
        return 2
    return _run(profile, runtime)


def _run(profile: Profile, runtime: RuntimeDirectory) -> int:
    gc.disable()  # nothing of what is loaded now ever goes: to look for garbage in it takes a sixth of the time
    from mamba.console.closing import Closing
    from mamba.console.server import connect_later, current_session, server_start
    from mamba.console.shell import make_shell, run_startup

    log_file = runtime.logs / "ipython.log"
    _log_to(log_file)
    shell = make_shell(profile, runtime)
    closing = Closing(shell, session=current_session, log_file=log_file)
    shell.before_exit = closing.close
    closing.catch_signals()
    connect_later(runtime.agent, profile.person)
    shell.show_banner()  # type: ignore[no-untyped-call]  # IPython
    error = run_startup(shell, profile.console.startup)
    if current_session() is None:
        # the script failed before its last line, or has none: commands still work, and server_start can follow
        shell.user_ns.setdefault("U", server_start({}, {}))
    session = current_session()
    if session is not None:
        session.startup_error = error
    gc.freeze()
    gc.enable()
    shell.mainloop()  # type: ignore[no-untyped-call]  # IPython
    return 0


def _log_to(file: Path) -> None:
    """Log warnings of everybody and information of ours to `file`, never to the person's terminal."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    logging.basicConfig(filename=file, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mamba").setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
