from mamba.data_worker.meters import NodeProgress
from mamba.data_worker.status_table import GraphStatus
from mamba.wire.values import decode, encode


def test_a_status_is_shown_alike_at_the_prompt_and_in_windows() -> None:
    nodes = (NodeProgress("camera", "stream", "camera", "running", rows=7),)
    status = GraphStatus("tomo", "D.camera", state="running", frames=10, nodes=nodes)
    assert repr(status).startswith("tomo of D.camera: running")
    assert repr(decode(encode(status))) == repr(status)
