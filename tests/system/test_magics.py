"""The words of SPEC and Spock, typed as lines into the console of the virtual beamline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.support.beamline_watch import BeamlineWatch
from tests.support.facility import Facility, wait_until

_PROMPT_AFTER = re.compile(r"In \[\d+\]: *\S.*\n(?:.*\n)*In \[\d+\]: *$")


@pytest.fixture
def watch(beamline: Facility) -> Iterator[BeamlineWatch]:
    with BeamlineWatch(beamline, "scan/") as watch:
        watch.wait_idle()
        yield watch


def ask(watch: BeamlineWatch, line: str) -> str:
    """Execute a line; what it wrote on the screen, up to the next prompt."""
    since = watch.screen_bytes()
    reply = watch.client.ask("cmd", cmd=line, origin="test", timeout_s=30)
    assert reply.ok, reply.desc
    wait_until(lambda: _PROMPT_AFTER.search(watch.read_screen(since)), "the next prompt")
    return watch.read_screen(since)


def refuse(watch: BeamlineWatch, line: str) -> str:
    reply = watch.client.ask("cmd", cmd=line, origin="test", timeout_s=30)
    assert not reply.ok
    assert len(reply.desc.splitlines()) <= 5
    return reply.desc


def test_mv_and_mvr_without_a_percent_sign_although_they_are_plans(watch: BeamlineWatch) -> None:
    x, y = watch.device("vbl/axis/sample_x"), watch.device("vbl/axis/sample_y")
    ask(watch, "mv M.sample_x 1.5 M.sample_y -0.5")
    assert (x.Position, y.Position) == (pytest.approx(1.5), pytest.approx(-0.5))
    ask(watch, "%mvr M.sample_x 2*0.25")
    assert x.Position == pytest.approx(2.0)
    ask(watch, "RE(mv(M.sample_x, 0))")
    assert x.Position == pytest.approx(0.0)
    ask(watch, "mv M.shutter open")
    assert str(watch.device("vbl/shutter/1").state()) == "OPEN"
    ask(watch, "mv M.shutter closed")


def test_umv_shows_the_position_on_one_line(watch: BeamlineWatch) -> None:
    shown = ask(watch, "M.sample_x.velocity.put(5); None")
    shown = ask(watch, "umv M.sample_x 3")
    found = [float(text) for text in re.findall(r"M\.sample_x (-?\d+\.\d+) mm", shown)]
    assert len(found) >= 2
    assert found == sorted(found)
    assert found[-1] == pytest.approx(3.0, abs=0.2)


def test_wm_tells_where_with_limits_and_state(watch: BeamlineWatch) -> None:
    shown = ask(watch, "wm M.sample_x M.shutter")
    assert re.search(r"position +set point +low limit +high limit +unit +state", shown)
    assert re.search(r"M\.sample_x +\S+ +\S+ +-25 +25 +mm +(ON|ALARM)", shown)
    assert "M.energy" in ask(watch, "%wm M")


def test_ct_counts_and_leaves_the_count_time_as_it_was(watch: BeamlineWatch) -> None:
    i0 = watch.device("vbl/counter/i0")
    before = i0.IntegrationTime
    shown = ask(watch, "ct 0.05")
    assert re.search(r"D\.i0 +\d", shown)
    assert re.search(r"D\.i1 +\d", shown)
    shown = ask(watch, "%ct 0.05 D.i1")
    assert "D.i0 " not in shown.partition("ct 0.05 D.i1")[2]
    assert i0.IntegrationTime == before
    watch.collect()
    assert not [notice for notice in watch.notices if notice["typ"] == "scan/start"]  # no run was opened


def test_ctrl_c_stops_a_move_at_once_and_leaves_the_prompt_and_the_engine_free(watch: BeamlineWatch) -> None:
    x = watch.device("vbl/axis/sample_x")
    ask(watch, "mv M.sample_x 0")
    shown = interrupt_when(watch, "umv M.sample_x 20", lambda: x.Position > 0.5)
    assert "umv: ended by Ctrl-C" in shown
    wait_until(lambda: str(x.state()) == "ON", "the motor stands")
    assert 0.5 < x.Position < 19
    ask(watch, "mv M.sample_x 0")


def test_ctrl_c_ends_a_count_and_puts_the_count_time_back(watch: BeamlineWatch) -> None:
    i0 = watch.device("vbl/counter/i0")
    before = i0.IntegrationTime
    assert "ct: ended by Ctrl-C" in interrupt_when(watch, "ct 60 D.i0", lambda: str(i0.state()) == "RUNNING")
    assert str(i0.state()) == "ON"
    assert i0.IntegrationTime == before


def interrupt_when(watch: BeamlineWatch, line: str, is_time: Callable[[], bool]) -> str:
    """Begin a line, press Ctrl-C when it is time; what the line is answered with."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(watch.client.ask, "cmd", cmd=line, origin="test", timeout_s=60)
        wait_until(is_time, "the time for Ctrl-C")
        with closing(watch.beamline.client()) as other:
            other.request("session/interrupt")
        reply = asked.result()
    assert not reply.ok
    return str(reply.desc)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%mv M.sample_x", "write motors and numbers in turn"),
        ("%mv M.sampel_x 3", "M.sampel_x: no such device"),
        ("%mv M.sample_x 99", "M.sample_x: cannot go to 99 mm"),
        ("%mv M.sample_y 1 M.sample_x 99", "M.sample_x: cannot go to 99 mm"),
        ("%mv M.sample_x nan", "M.sample_x: cannot be 'nan'"),
        ("%mv M.sample_x 3+", "'3+' is no position"),
        ("%mv M 3", "M is a group"),
        ("%wm", "name the motors"),
        ("%mv D.i0 3", "D.i0 cannot be moved"),
        ("%mvr M.shutter 1", "M.shutter knows no distances"),
        ("%ct -1", "count for more than 0 s"),
        ("%ct M.sample_x", "M.sample_x cannot count"),
        ("%stop_all M.sample_x", "takes no words"),
    ],
)
def test_what_cannot_be_is_one_clear_error_and_nothing_moves(watch: BeamlineWatch, line: str, expected: str) -> None:
    axes = watch.device("vbl/axis/sample_x"), watch.device("vbl/axis/sample_y")
    before = [axis.Position for axis in axes]
    assert expected in refuse(watch, line)
    assert [axis.Position for axis in axes] == before


def test_the_prompt_shows_values_of_devices_and_groups(watch: BeamlineWatch) -> None:
    ask(watch, "mv M.sample_y 0.5")
    group = ask(watch, "M")
    assert re.search(r"M\.sample_y +0\.5 +mm +\[-10, 10\] +ON", group)
    assert re.search(r"M\.shutter +(open|closed) ", group)
    device = ask(watch, "M.sample_y")
    assert re.search(r"M\.sample_y +0\.5 +mm +\[-10, 10\] +ON", device)
    assert "Motor of vbl/axis/sample_y" in device
    assert re.search(r"M\.sample_y\.readback +0\.5 +mm", ask(watch, "M.sample_y.readback"))
    assert "D.i0 " in ask(watch, "D")
