"""A password stands nowhere: not in a file, a notice, a document, the terminal or a process list, however it was given.

It is given by a request, by a request that is refused, at the console's prompt (`U.login`) and to `mambactl console`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from mamba.wire.subscriber import Subscriber
from tests.faults.people import PASSWORD, PEOPLE, host_with_people, log_in
from tests.session.test_join_people import console
from tests.session.test_join_people import log_in as answer_prompt
from tests.support.session_host import HostUnderTest, wait_until

WRONG = "analytical engine"


@pytest.fixture(scope="module")
def host() -> Iterator[HostUnderTest]:
    with host_with_people(console=None) as host:
        yield host


def find_in_files(folder: Path, secret: str) -> list[Path]:
    """The files below `folder` that hold `secret`, in UTF-8 or as JSON writes it."""
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def find_in_processes(host: HostUnderTest, secret: str) -> list[str]:
    """The processes of this host that show `secret` in their arguments or environment."""
    processes = [psutil.Process(host.process.pid), *psutil.Process(host.process.pid).children(recursive=True)]
    shown = {
        f"{process.pid} {file}": Path(f"/proc/{process.pid}/{file}").read_bytes()
        for process in processes
        for file in ("cmdline", "environ")
    }
    assert len(shown) >= 4
    return [where for where, text in shown.items() if secret.encode() in text]


def test_the_search_finds_what_is_there(host: HostUnderTest, tmp_path: Path) -> None:
    (tmp_path / "history").write_bytes(b"\0secret\0")
    assert find_in_files(tmp_path, "secret") == [tmp_path / "history"]
    assert find_in_processes(host, "mamba.console")
    assert find_in_files(host.folder, PEOPLE["operator"]), "names do stand there"


def test_a_password_stands_nowhere(host: HostUnderTest) -> None:
    heard: list[str] = []
    with Subscriber(host.runtime.notify) as notices:
        token = log_in(host, "operator")
        refused = host.client.ask("auth/login", person=PEOPLE["operator"], password=WRONG)
        assert refused.err == "login-refused"
        assert WRONG not in refused.desc
        host.client.request("cmd", cmd="RE(count([D.i0]))", token=token, timeout_s=30)
        log_in_at_the_prompt(host)
        host.client.request("cmd", cmd="U.history()", token=token, timeout_s=10)
        host.client.request("auth/logout", token=token)
        while (notice := notices.receive(0.2)) is not None:
            heard.append(repr(notice))
    assert any("scan/start" in notice for notice in heard)
    for secret in (PASSWORD, WRONG, token):
        assert find_in_files(host.folder, secret) == []
        assert find_in_processes(host, secret) == []
        assert secret not in host.transcript
        assert not [notice for notice in heard if secret in notice]


def log_in_at_the_prompt(host: HostUnderTest) -> None:
    person = PEOPLE["expert"]
    with console(host, "--login", person) as child:
        answer_prompt(child, PASSWORD)
        child.expect(r"In .*\]: ")  # joined: what is typed before that belongs to the question
        child.send(f"U.login({person!r}, proposal='P-28')\r")
        child.expect(f"Password of {person}: ")
        wait_until(lambda: host.client.request("state")["prompt"] == "occupied", what="the question")
        child.send(f"{PASSWORD}\r")
        child.expect("In ")
        child.send("U\r")
        child.expect(f"U: {person}")


def test_the_keys_socket_takes_no_password(host: HostUnderTest) -> None:
    with zmq.Context() as context, context.socket(zmq.REQ) as keys:
        keys.connect(host.runtime.keys)
        keys.send(PASSWORD.encode())
        assert keys.recv().startswith(b"not typed: people log in here")
