import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.data_worker.frame import Block
from mamba.data_worker.sources.stream import BlockOrder
from mamba.errors import StreamBroken
from tests.data_worker.processors.steps import run


@given(st.integers(1, 5), st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
def test_region_sums_are_exact_at_full_scale(count: int, x: int, y: int, width: int, height: int) -> None:
    regions = [{"name": "a", "x": x, "y": y, "width": width, "height": height}]
    frames = np.full((count, 40, 40), 65535, dtype=np.uint16)
    frames[:, y, x] = np.arange(count)
    expected = [width * height * 65535 - 65535 + n for n in range(count)]
    assert run("region_sums", {"regions": regions}, frames).stacked[:, 0].tolist() == expected


def test_a_source_refuses_a_lost_block_and_another_arm() -> None:
    for second in (Block(1, 2, 8, 4), Block(2, 1, 4, 4)):
        order = BlockOrder()
        order.check(Block(1, 0, 0, 4))
        with pytest.raises(StreamBroken, match="a block is missing"):
            order.check(second)
