"""The IPython of the beamline: a terminal shell made from the profile, and its start-up script."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from IPython.paths import get_ipython_dir
from IPython.terminal.interactiveshell import PtkHistoryAdapter, TerminalInteractiveShell
from traitlets.config import Config

from mamba import __version__
from mamba.config import Profile
from mamba.console.output_prompt import QuickDisplayHook
from mamba.console.short_errors import show_short_errors
from mamba.errors import FacilityError
from mamba.runtime import RuntimeDirectory


def check_terminal() -> None:
    """Refuse to start where no prompt could be shown.

    Raises:
        FacilityError: standard input or output is no terminal, a dumb one, or IPython is told to use a simple prompt.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        seen = "standard input or output is not a terminal"
    elif os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        seen = f"TERM={os.environ.get('TERM', '')!r}"
    elif os.environ.get("IPY_TEST_SIMPLE_PROMPT"):
        seen = "IPY_TEST_SIMPLE_PROMPT asks for a simple prompt"
    else:
        return
    raise FacilityError(
        "console: needs a terminal with a full prompt, for commands to be delivered to it",
        seen=seen,
        remedy="start it with 'mambactl up'; join it with 'mambactl console'",
    )


class _PromptHistory(PtkHistoryAdapter):
    """What the up arrow shows, read from IPython's history once a prompt is there, and not for each text as well."""

    def append_string(self, string: str) -> None:
        self._loaded = False


class BeamlineShell(TerminalInteractiveShell):
    """IPython in a terminal.

    Attributes:
        before_exit: called once when IPython ends, while the namespace and its devices still exist.
        before_prompt: called before each prompt; the text it returns becomes the next cell without a prompt.
        after_prompt: called when a prompt has ended.
    """

    before_exit: Callable[[], None] | None = None
    before_prompt: Callable[[], str | None] = staticmethod(lambda: None)
    after_prompt: Callable[[], None] = staticmethod(lambda: None)
    displayhook_class = QuickDisplayHook
    _was_closed = False

    def init_prompt_toolkit_cli(self) -> None:
        """Build the prompt."""
        super().init_prompt_toolkit_cli()  # type: ignore[no-untyped-call]  # IPython
        if self.pt_app is not None:
            self.pt_app.history = self.pt_app.default_buffer.history = _PromptHistory(self)  # type: ignore[no-untyped-call]  # IPython

    def prompt_for_code(self) -> str:
        """The text of the next cell: a command's, or what the person wrote."""
        text = self.before_prompt()
        if text is None:
            try:
                text = str(super().prompt_for_code())  # type: ignore[no-untyped-call]  # IPython
            finally:
                self.after_prompt()
        return text

    def _atexit_once(self) -> None:
        if not self._was_closed:
            self._was_closed = True
            if self.before_exit is not None:
                self.before_exit()
        super()._atexit_once()  # type: ignore[no-untyped-call]  # IPython


def make_shell(profile: Profile, runtime: RuntimeDirectory) -> BeamlineShell:
    """The one IPython of this process, as `profile` wants it; its history is readable by its owner only."""
    config = Config()
    config.TerminalInteractiveShell.editing_mode = profile.console.editing_mode
    config.TerminalInteractiveShell.term_title = False
    config.InteractiveShell.colors = profile.console.colors
    config.InteractiveShell.enable_tip = False
    config.InteractiveShell.banner1 = _make_banner(profile)
    config.HistoryManager.hist_file = str(_open_history(profile, runtime))
    shell: BeamlineShell = BeamlineShell.instance(config=config)
    show_short_errors(shell)
    return shell


def _make_banner(profile: Profile) -> str:
    title = profile.title or profile.name
    return f"Mamba {__version__} · {title}\nM: motors   D: detectors   RE: run engine   U: you   %mamba: what goes on\n"


def _open_history(profile: Profile, runtime: RuntimeDirectory) -> Path:
    """A file that outlives the runtime directory, below the user's IPython folder; in the runtime directory if not."""
    folder = Path(get_ipython_dir()) / "mamba"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / f"{profile.name}.sqlite"
        _make_private(file)
    except OSError:
        file = runtime.path / "history.sqlite"
        _make_private(file)
    return file


def _make_private(file: Path) -> None:
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    file.chmod(0o600)


def run_startup(shell: TerminalInteractiveShell, script: Path) -> str:
    """Run the start-up script in the namespace of the console; the console stays usable when it fails.

    Returns:
        What went wrong, one line; "" if nothing did. The traceback is on the screen.
    """
    sys.path.insert(0, str(script.parent))
    try:
        shell.safe_execfile(str(script), shell.user_ns, raise_exceptions=True)  # type: ignore[no-untyped-call]  # IPython
    except BaseException as error:  # noqa: BLE001  # SystemExit and Ctrl-C too: whatever the script does, there is a console
        shell.showtraceback()
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"\nThe start-up script {script} failed: {message}\n  do:   mend it, then: %run -i {script}\n")  # noqa: T201
        return message
    return ""
