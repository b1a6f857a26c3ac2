"""Frames are exact functions of seed, shape and number."""

from __future__ import annotations

import numpy as np
import pytest

from tango_servers.camera.model import (
    SPOT_CENTRES,
    FrameRenderer,
    find_brightness,
    read_number,
    reduce_preview,
    render_frame,
)

SHAPE = (256, 320)


def test_a_frame_is_the_same_whoever_draws_it() -> None:
    renderer = FrameRenderer(SHAPE)
    block = np.full((3, *SHAPE), 7, np.uint16)
    for index, number in enumerate((0, 17, 123456)):
        renderer.draw_into(block[index], number)
        np.testing.assert_array_equal(block[index], render_frame(number, SHAPE))


def test_frames_differ_by_number_and_seed() -> None:
    frames = [render_frame(number, SHAPE) for number in range(40)]
    assert len({frame.tobytes() for frame in frames}) == 40
    assert not np.array_equal(render_frame(3, SHAPE, seed=1), render_frame(3, SHAPE, seed=2))


@pytest.mark.parametrize("number", [0, 1, 65536, 2**40 + 5])
def test_the_number_is_stamped(number: int) -> None:
    frame = render_frame(number, SHAPE)
    assert read_number(frame) == number
    assert frame.tobytes()[:8] == number.to_bytes(8, "little")


@pytest.mark.parametrize("shape", [(1024, 1024), (256, 320)])
def test_spots_shine_where_they_should(shape: tuple[int, int]) -> None:
    frame = render_frame(5, shape)
    for index, (y, x) in enumerate(SPOT_CENTRES):
        row, column = round(y * shape[0]), round(x * shape[1])
        patch = frame[row - 1 : row + 1, column - 1 : column + 1]
        assert patch.max() == pytest.approx(100 + find_brightness(5, index), rel=0.12)
    assert np.median(frame) == pytest.approx(100, abs=9)


def test_the_smallest_frame_can_be_drawn() -> None:
    assert read_number(render_frame(9, (16, 16))) == 9


def test_brightness_varies_smoothly() -> None:
    for spot in range(4):
        values = np.array([find_brightness(number, spot) for number in range(2000)])
        assert values.min() > 1900
        assert values.max() < 6100
        assert np.abs(np.diff(values)).max() < 40


def test_a_preview_is_small() -> None:
    assert reduce_preview(render_frame(0, (1024, 1024))).shape == (256, 256)
    assert reduce_preview(render_frame(0, (1000, 300))).shape == (250, 75)
    np.testing.assert_array_equal(reduce_preview(render_frame(0, (64, 64))), render_frame(0, (64, 64)))
