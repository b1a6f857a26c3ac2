"""The console under the real session host: what a client asks is done in IPython and comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mamba.errors import ZError
from tests.support.session_host import HostUnderTest, wait_until


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    host = HostUnderTest()
    try:
        host.wait_prompt()
        yield host
    finally:
        host.close()


def test_result_and_error_reach_the_client(host: HostUnderTest) -> None:
    assert host.client.request("cmd", cmd="1 + 1", origin="scan window") == 2
    with pytest.raises(ZError, match="division by zero") as caught:
        host.client.request("cmd", cmd="1 / 0")
    assert caught.value.code == "exc"
    assert host.client.request("dev/keys", path="M") == ["M.m1", "M.m2"]
    assert host.client.request("dev/read", path="M.m2")["M.m2"] == 0


def test_second_logout_is_refused_in_the_console(host: HostUnderTest) -> None:
    host.client.request("auth/login", person="Ada")
    wait_until(lambda: host.client.request("cmd", cmd="U.person") == "Ada", what="the console knows who")
    assert host.client.request("cmd", cmd="U.logout()") is None
    with pytest.raises(ZError) as caught:
        host.client.request("cmd", cmd="U.logout()")
    assert caught.value.code == "not-logged-in"


def test_abort_from_a_client_carries_its_reason(host: HostUnderTest) -> None:
    notices = host.subscribe("scan/")
    replies = []
    text = "M.m1.delay = 0.05; RE(scan([D.i0], M.m1, 0, 1, 200))"
    asking = threading.Thread(target=lambda: replies.append(host.make_client().ask("cmd", cmd=text, timeout_s=30)))
    asking.start()

    def find(typ: str) -> dict | None:
        notice = notices.receive(0.1)
        return notice if notice is not None and notice["typ"] == typ else None

    wait_until(lambda: find("scan/point"), what="a point")
    host.client.request("run/abort", reason="beam dump")
    stop = wait_until(lambda: find("scan/stop"), what="the end")
    asking.join(10)
    assert (stop["exit_status"], stop["reason"]) == ("abort", "beam dump")
    assert replies[0].err == "run-failed"
    assert host.client.request("run/status")["state"] == "idle"
