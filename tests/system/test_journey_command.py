"""The journey of a command, stop by stop, as docs/journey-of-a-command.md tells it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from mamba.config import BUILT_IN_PROFILE, load_profile
from mamba.wire.subscriber import Subscriber
from tests.support.facility import Facility, wait_until
from tests.system.conftest import read_truth

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the imports of Taurus
    from taurus_gui import command_text
    from taurus_gui.application import close_window, open_window
    from taurus_gui.operator import Operator

PAGE = Path(__file__).parents[2] / "docs" / "journey-of-a-command.md"
TEXT = "RE(scan([D.i0], M.energy, 8.9, 9.1, 5))"


@pytest.fixture
def operator(beamline: Facility):
    app, window = open_window(beamline.runtime, load_profile(BUILT_IN_PROFILE))
    try:
        yield Operator(window)
    finally:
        close_window(app, window)


def test_a_scan_from_button_to_motor_and_back(beamline: Facility, operator: Operator) -> None:
    moves_before = len(read_truth(beamline, "VirtualBeamline-demo", "move"))
    with Subscriber(beamline.runtime.notify) as subscriber, beamline.client() as client:
        client.request("auth/login", person="Ada")
        operator.fill_scan(start="8.9", stop="9.1", points=5, plan="scan", detectors=["D.i0"], motor="M.energy")
        # 1 and 2: the button's text is a pure function of the fields, and it is shown
        preview = operator.window.builder.preview
        wait_until(lambda: _pump() or preview.run.isEnabled(), "the builder has a command")
        assert command_text.scan_command("scan", ["D.i0"], "M.energy", start="8.9", stop="9.1", points="5") == TEXT
        assert preview.text() == TEXT
        # 3 to 8: it is sent, waits, runs as a numbered cell, signed
        receipt = operator.scan(start="8.9", stop="9.1", points=5, detectors=["D.i0"])
        notices = []
        wait_until(lambda: notices.extend(subscriber.drain()) or _has(notices, "cmd/done"), "the receipt as a notice")
        history = client.request("cmd/history", limit=1)
    by_type = {notice["typ"]: notice for notice in notices}
    running, done = by_type["cmd/running"], by_type["cmd/done"]
    assert (running["text"], running["person"], running["id"]) == (TEXT, "Ada", receipt.id)
    assert history[0]["n"] == done["n"] == receipt.n
    console = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", beamline.runtime.transcript.read_text())
    assert f"In [{receipt.n}]: {TEXT}" in console
    assert "(Ada)" in console
    # 9 to 13: the documents tell the run, and the hardware's own record says that exactly this was done
    assert by_type["scan/start"]["command_id"] == receipt.id
    points = [notice["data"] for notice in notices if notice["typ"] == "scan/point"]
    wanted = np.linspace(8.9, 9.1, 5)
    np.testing.assert_allclose([point["M_energy"] for point in points], wanted, atol=1e-5)
    assert by_type["scan/stop"]["exit_status"] == "success"
    moves = read_truth(beamline, "VirtualBeamline-demo", "move")[moves_before:]
    np.testing.assert_allclose([move["target"] for move in moves][-4:], wanted[1:], rtol=1e-12)
    counts = read_truth(beamline, "VirtualBeamline-demo", "count")[-5:]
    assert [count["counts"] for count in counts] == [point["D_i0"] for point in points]
    # and back: result and file reached the button that asked
    assert receipt.err == ""
    assert receipt.result == (by_type["scan/start"]["uid"],)
    assert receipt.files == tuple(done["files"])
    assert Path(receipt.files[0]).is_file()


def test_any_tango_device_is_wrapped_at_the_prompt_and_recorded(beamline: Facility) -> None:
    with beamline.client() as client:
        client.request("auth/login", person="Ada")
        client.command('D.ring = tango("vbl/source/ring")')
        client.command("RE(count([D.ring]))")
        described = client.request("dev/describe", path="D.ring")
        assert (described["class"], described["state"]) == ("StorageRing", "ON")
        assert "D.ring.Current" in client.request("dev/read", path="D.ring")
        client.command("del D.ring")


def test_an_error_comes_back_where_it_was_asked(operator: Operator) -> None:
    receipt = operator.type_command("1 / 0")
    assert (receipt.err, receipt.desc) == ("exc", "ZeroDivisionError: division by zero")


def test_a_move_beyond_a_limit_moves_nothing(beamline: Facility, operator: Operator) -> None:
    before = len(read_truth(beamline, "VirtualBeamline-demo", "move"))
    receipt = operator.type_command("RE(mv(M.energy, 99))")
    assert receipt.err == "limit-exceeded"
    assert "M.energy" in receipt.desc
    assert "99" in receipt.desc
    assert len(receipt.desc.splitlines()) <= 5
    assert len(read_truth(beamline, "VirtualBeamline-demo", "move")) == before


def test_pause_resume_and_abort_pass_the_prompt_by(beamline: Facility, operator: Operator) -> None:
    with beamline.client() as client:
        started = client.request("cmd", cmd="RE(scan([D.i0, D.i1], M.energy, 8.9, 9.1, 500))", wait=False)
        wait_until(lambda: client.request("run/status")["state"] == "running", "the scan runs")
        operator.pause()
        paused = wait_until(lambda: client.request("cmd/status", id=started["id"]).get("rep"), "the cell's end")
        assert paused["err"] == "run-paused"
        operator.resume()
        operator.abort("the sample fell off")
        assert client.request("state")["last_run"]["stop"]["reason"] == "the sample fell off"
        assert client.request("state")["last_run"]["stop"]["exit_status"] == "abort"
        assert client.command("M.energy.moving", timeout_s=5) is False


def test_the_page_names_every_stop() -> None:
    page = PAGE.read_text()
    stops = re.findall(r"^\| (\d+) .*?\| `([^`]+)` \|", page, flags=re.MULTILINE)
    root = PAGE.parents[1]
    assert [int(number) for number, _ in stops] == list(range(1, 14))
    for _, place in stops:
        assert (root / place).exists(), place


def _has(notices: list[dict], typ: str) -> bool:
    return any(notice["typ"] == typ for notice in notices)


def _pump() -> None:
    """Let the window work."""
    from taurus.external.qt import QtWidgets

    QtWidgets.QApplication.processEvents()
