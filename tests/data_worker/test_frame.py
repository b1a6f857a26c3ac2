import pytest
from hypothesis import given
from hypothesis import strategies as st

from mamba.data_worker.frame import DESCRIPTOR_BYTES, Block, BlockType, DataFormat, End
from mamba.errors import StreamBroken

blocks = st.builds(
    Block,
    arm=st.integers(-(2**63), 2**63 - 1),
    block=st.integers(0, 2**64 - 1),
    first=st.integers(0, 2**64 - 1),
    count=st.integers(0, 2**32 - 1),
    slot=st.integers(0, 2**16 - 1),
    type=st.sampled_from(BlockType),
    time=st.floats(0, 4e9),
)


@given(blocks)
def test_a_descriptor_comes_back_as_it_was(block: Block) -> None:
    data = block.pack()
    assert len(data) == DESCRIPTOR_BYTES == 40
    assert Block.unpack(data) == block


def test_the_layout_is_fixed() -> None:
    data = Block(arm=3, block=5, first=20, count=4, slot=2, time=1.5).pack()
    assert (
        data.hex() == "01010200" + "04000000" + "03" + "00" * 7 + "05" + "00" * 7 + "14" + "00" * 7 + "000000000000f83f"
    )


@given(st.binary(max_size=60).filter(lambda data: len(data) != 40 or data[0] != 1))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StreamBroken, match="not a block descriptor"):
        Block.unpack(data)


def test_the_end_carries_how_many_existed() -> None:
    block = Block.unpack(End(7, 2000).pack())
    assert (block.type, block.arm, block.first) == (BlockType.END, 7, 2000)


def test_a_format_travels_as_json_and_hides_its_token_from_logs() -> None:
    form = DataFormat((480, 640), "uint16", "zmq", 4, 8, token="secret")
    assert DataFormat.load(form.dump()) == form
    assert form.slot_bytes == 4 * 480 * 640 * 2
    assert "secret" not in repr(form)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shape": [1, 2]}', '{"shape": [1, 2], "dtype": "u2", "color": 1}'])
def test_what_is_no_format_is_refused(text: str) -> None:
    with pytest.raises(StreamBroken, match="not a data format"):
        DataFormat.load(text)


def test_a_later_version_is_refused() -> None:
    with pytest.raises(StreamBroken, match="cannot be served"):
        DataFormat.load(DataFormat((2, 2), "uint16", version=2).dump())
