"""Nothing that is received is unpickled or evaluated: seen in the source and the linter's rules, tried on every socket.

Two things execute text or bytes by design, and are no exception to the promise: IPython executes cells, which is what
a console is for; Ray pickles the arguments of actor calls on its own, behind its token and in its 0700 folder, and gets
nothing but JSON texts from us.
"""

from __future__ import annotations

import ast
import base64
import json
import pickle
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
import zmq

from mamba.errors import WireError
from mamba.plain_yaml import PlainLoader
from mamba.wire.client import Client
from mamba.wire.subscriber import Subscriber
from mamba.wire.values import decode
from tests.faults.sockets import connect_bare, raw_request_socket, wait_closed
from tests.session.conftest import tiny  # noqa: F401  # a fixture
from tests.support.session_host import HostUnderTest, wait_until

ROOT = Path(__file__).parents[2]
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib"}
MODULES |= {"multiprocessing", "imp", "xmlrpc"}  # whose connections and files pickle
BUILT_IN = {"eval", "exec", "compile", "__import__"}
METHODS = {"recv_pyobj", "send_pyobj", "recv_serialized", "read_pickle", "to_pickle", "unsafe_load", "full_load"}
# What stands there by design: graphs are read with a loader that only knows one number more than the safe one, and a
# node of kind `python` executes a file that a person of the beamline wrote and named in a graph.
BY_DESIGN = {
    "mamba/data_worker/graph_text.py": ["yaml.compose"],
    "mamba/plain_yaml.py": ["yaml.load"],
    "mamba/data_worker/processors/python_file.py": ["compile"],
}
# Ray is imported in the process that is made for it, and nowhere else.
RAY = {"mamba/data_worker/ray_host.py"}


def list_sources() -> list[Path]:
    files = [file for room in ("mamba", "taurus_gui", "tango_servers") for file in (ROOT / room).rglob("*.py")]
    assert len(files) > 150
    return files


def find_forbidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            yield from _find_forbidden_call(node)


def _find_forbidden_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name in BUILT_IN or name.rpartition(".")[2] in METHODS:
        yield name
    if name == "yaml.load" or (name == "yaml.compose" and "SafeLoader" not in ast.unparse(call)):
        yield name
    if any(key.arg == "allow_pickle" and ast.unparse(key.value) != "False" for key in call.keywords):
        yield f"{name}(allow_pickle)"


def test_nothing_in_the_source_unpickles_or_evaluates() -> None:
    found = {}
    for file in list_sources():
        if seen := sorted(set(find_forbidden(ast.parse(file.read_text())))):
            found[str(file.relative_to(ROOT))] = seen
    assert found == BY_DESIGN
    assert issubclass(PlainLoader, yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        yaml.load("!!python/object/apply:os.getcwd []", Loader=PlainLoader)  # that is what is tried


def test_ray_stays_in_its_room() -> None:
    found = set()
    for file in list_sources():
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "ray" for name in names):
                found.add(str(file.relative_to(ROOT)))
    assert found == RAY


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from pickle import loads", "import xmlrpc.client", "eval(x)", "exec(x)", "s.recv_pyobj()"),
        *("yaml.load(f)", "yaml.compose(f)", "np.load(f, allow_pickle=True)", "h.read(allow_pickle=flag)"),
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert list(find_forbidden(ast.parse(code)))


def test_the_linter_refuses_them_too() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    dropped = {rule for rules in lint["per-file-ignores"].values() for rule in rules} | set(lint["ignore"])
    assert not dropped & {"S301", "S302", "S307", "S403", "S506"}
    ignoring_all = [where for where, rules in lint["per-file-ignores"].items() if "S" in rules]
    # the start-up script is typed text, as a person would type it at the prompt
    assert sorted(ignoring_all) == ["tango_servers/virtual_beamline/profile/startup.py", "tests/**"]
    for file in list_sources():
        assert not {"S301", "S302", "S307"} & set(file.read_text().replace(",", " ").split()), file


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.fixture(params=[0, 2, 5], ids=lambda protocol: f"protocol {protocol}")
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[bytes]:
    file = tmp_path / "executed"
    made = pickle.dumps(Bomb(file), request.param)
    yield made
    assert not file.exists(), "the pickle was loaded"
    pickle.loads(made)
    assert file.exists(), "the pickle is one"


def test_a_pickle_on_every_socket_executes_nothing(tiny: HostUnderTest, bomb: bytes) -> None:  # noqa: F811
    with raw_request_socket(tiny.runtime.rpc) as connection:
        for frames in (
            [bomb],
            [bomb, bomb],
            [json.dumps({"typ": "ping", "x": base64.b64encode(bomb).decode()}).encode()],
        ):
            connection.send_multipart([b"", *frames])
            assert json.loads(connection.recv_multipart()[-1])["err"] == "bad-request"
    with raw_request_socket(tiny.runtime.agent) as stranger:
        stranger.send(bomb)
        wait_until(lambda: "a message that cannot be read" in tiny.log.read_text())
    with raw_request_socket(tiny.runtime.keys, zmq.DEALER) as keys:
        keys.send(bomb)  # without REQ's empty frame: not even typed
        keys.send_multipart([b"", b""])
        assert keys.recv_multipart() == [b"", b""]
    with raw_request_socket(tiny.runtime.notify, zmq.SUB) as subscriber:
        subscriber.subscribe(bomb)
    with connect_bare(tiny.runtime.terminal) as terminal:
        terminal.sendall(b"x\xff\xff\xff\xff" + bomb)
        wait_closed(terminal)
    tiny.client.command(f"link.send_raw({bomb!r})")  # from the console itself
    assert tiny.client.command("1 + 1", timeout_s=5) == 2


def test_a_pickle_from_a_host_that_is_none_executes_nothing(bomb: bytes, tmp_path: Path) -> None:
    """The asking side: replies, notices, and values of the typed form."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    endpoint, notify = f"ipc://{tmp_path}/r", f"ipc://{tmp_path}/n"
    with context.socket(zmq.ROUTER) as host, context.socket(zmq.XPUB) as publisher, Client(endpoint) as client:
        host.linger = publisher.linger = 0
        host.bind(endpoint)
        publisher.bind(notify)
        host.rcvtimeo = publisher.rcvtimeo = 5000
        answer = _answer_in_background(host, bomb)
        with pytest.raises(WireError):
            client.request("ping", timeout_s=5)
        answer.join()
        with Subscriber(notify) as subscriber:
            publisher.recv()
            publisher.send(bomb)
            with pytest.raises(ValueError):  # noqa: PT011  # whatever JSON or UTF-8 says of it
                subscriber.receive(5)
    context.term()
    for dtype in ("O", "|O8"):
        with pytest.raises(WireError, match="do not fit"):
            decode({"$type": "ndarray", "dtype": dtype, "shape": [1], "base64": base64.b64encode(bomb[:8]).decode()})


def _answer_in_background(host: zmq.Socket[bytes], answer: bytes) -> threading.Thread:
    def serve() -> None:
        *envelope, _ = host.recv_multipart()
        host.send_multipart([*envelope, answer])

    thread = threading.Thread(target=serve)
    thread.start()
    return thread
