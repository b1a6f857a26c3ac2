"""Builds the Qt application and the operator's window, and ends both without leaving a timer or a socket behind."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from taurus.external.qt import QtCore, QtWidgets
from taurus.qt.qtgui.application import TaurusApplication
from taurus.taurusstatecontroller import application as taurus_state

from mamba.config import Profile, load_profile
from mamba.errors import FacilityError
from mamba.runtime import RuntimeDirectory
from taurus_gui.backend import Backend
from taurus_gui.style import apply_style
from taurus_gui.window import OperatorWindow


def make_application() -> QtWidgets.QApplication:
    """The process's one Qt application, made at the first call; Taurus delivers events from then on."""
    app = QtWidgets.QApplication.instance()
    if app is None:
        streams = sys.stdout, sys.stderr
        app = TaurusApplication(
            ["mamba"], app_name="mamba", org_name="mamba", org_domain="mamba.invalid", cmd_line_parser=None
        )
        # Taurus puts objects of its own there that are no terminal any more to who draws a progress bar.
        sys.stdout, sys.stderr = streams
        # Without this Taurus holds back every event until exec_ runs, which in-process users never call.
        taurus_state.application_started()
        apply_style(app)
    return app


def find_tango_host(runtime: RuntimeDirectory, profile: Profile) -> str:
    """Host:port of the Tango database: the site's own from the profile, else the embedded one that runs here.

    Raises:
        FacilityError: the profile wants the embedded database and nothing runs in this runtime directory.
    """
    if profile.tango.host != "embedded":
        return profile.tango.host
    state = runtime.read_state("facility") or {}
    if not state.get("tango_host"):
        raise FacilityError(
            f"{runtime.path}: no Tango database is known here",
            seen="no facility.json with a Tango host",
            remedy="start the beamline with 'mambactl up', or name its folder with --runtime",
        )
    return str(state["tango_host"])


def open_window(
    runtime: RuntimeDirectory | Path, profile: Profile | Path
) -> tuple[QtWidgets.QApplication, OperatorWindow]:
    """Show the operator's window on a running beamline; the caller runs the event loop, or an `Operator` does.

    Raises:
        FacilityError: nothing runs there, or the folder is not ours.
        ProfileError: the profile cannot be used.
    """
    directory = runtime if isinstance(runtime, RuntimeDirectory) else RuntimeDirectory.create(runtime)
    loaded = profile if isinstance(profile, Profile) else load_profile(profile)
    tango_host = find_tango_host(directory, loaded)
    app = make_application()
    window = OperatorWindow(loaded, tango_host, Backend(directory))
    window.show()
    return app, window


def close_window(app: QtWidgets.QApplication, window: OperatorWindow) -> None:
    """Close the window and delete its widgets; the application stays for another one."""
    window.close()
    window.deleteLater()
    app.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
    app.processEvents()
    gc.collect()
