"""What each kind refuses, and in which words."""

from typing import Any

import pytest

from mamba.data_worker.nodes import Flow
from mamba.errors import GraphInvalid
from tests.data_worker.processors.steps import make

IMAGES = Flow((4, 6), "uint16", 4, units="counts")
ROW = Flow((2,), "float64", 4, columns=("a", "b"))
NUMBER = Flow((), "float64", 4)
SPECTRUM = Flow((8,), "float32", 4)
BOX = {"name": "a", "x": 0, "y": 0, "width": 2, "height": 2}

TABLE: list[tuple[str, dict[str, Any], dict[str, Flow], str]] = [
    ("dark_flat", {}, {"a": ROW}, r"node 'step': it takes images\n  seen: shape \(2,\)\n  do: "),
    ("dark_flat", {"dark": {}}, {"a": IMAGES}, "'dark' cannot be used\n.*\n.*give a file or a value"),
    ("dark_flat", {"dark": {"value": 1, "file": "/a"}}, {"a": IMAGES}, "give a file or a value, not both"),
    ("dark_flat", {"flat": {"file": "flat.h5"}}, {"a": IMAGES}, "'flat.file' .*\n.*\n.*write the whole path"),
    ("dark_flat", {"most_bad": 2}, {"a": IMAGES}, "'most_bad' cannot be used\n.*\n.*less than or equal to 1"),
    ("dark_flat", {}, {"a": Flow((4, 6), "complex64")}, "it takes real numbers\n  seen: complex64"),
    ("dark_flat", {"flet": {"value": 1}}, {"a": IMAGES}, "unknown key 'flet'\n  do:   did you mean 'flat'"),
    ("mask", {}, {"a": IMAGES}, "name bad pixels: a file, a list, or both"),
    ("mask", {"pixels": [[6, 0]]}, {"a": IMAGES}, r"pixel \[6, 0\] is beyond the frame\n  seen: 6 × 4 pixels"),
    ("mask", {"pixels": [[0, -1]]}, {"a": IMAGES}, r"pixel \[0, -1\] is beyond the frame"),
    ("mask", {"pixels": [[0, 0]], "value": -1}, {"a": IMAGES}, "value -1 does not fit the pixels' type uint16"),
    ("mask", {"pixels": [[0, 0]], "value": float("nan")}, {"a": IMAGES}, "give a whole number from 0 to 65535"),
    ("mask", {"pixels": [[0, 0, 0]]}, {"a": IMAGES}, "'pixels.0' cannot be used"),
    ("threshold", {}, {"a": IMAGES}, "give low, high or both"),
    ("threshold", {"low": 2, "high": 1}, {"a": IMAGES}, "low is above high"),
    ("threshold", {"high": 2.5}, {"a": IMAGES}, "above 2.5 does not fit the pixels' type uint16"),
    ("channel", {"index": 4}, {"a": IMAGES}, r"there is no channel 4\n  seen: shape \(4, 6\)"),
    ("channel", {"index": 0}, {"a": ROW}, "it takes stacked images"),
    ("channel", {"index": -1}, {"a": IMAGES}, "greater than or equal to 0"),
    ("rebin", {"factors": [2]}, {"a": IMAGES}, r"a factor for each axis .*\n  seen: 1 factors, shape \(4, 6\)"),
    ("rebin", {"factors": [2, 4]}, {"a": IMAGES}, "6 cannot be divided by 4\n.*\n.*or set crop"),
    ("rebin", {"factors": [5, 1], "crop": True}, {"a": IMAGES}, "4 cannot be divided by 5"),
    ("rebin", {"factors": [0, 1]}, {"a": IMAGES}, "greater than or equal to 1"),
    ("rebin", {"factors": [2]}, {"a": ROW}, "seen: 1 factors, columns a, b"),
    ("frame_values", {"of": ["sum", "sum"]}, {"a": IMAGES}, "one of them stands twice"),
    ("frame_values", {"of": ["median"]}, {"a": IMAGES}, "'of.0' cannot be used\n  seen: 'median'"),
    ("frame_values", {}, {"a": NUMBER}, "it takes images or spectra\n  seen: one number per frame"),
    ("combine_frames", {}, {"a": IMAGES}, "'frames' is missing"),
    ("combine_frames", {"frames": 1}, {"a": IMAGES}, "greater than or equal to 2"),
    ("region_sums", {"regions": []}, {"a": IMAGES}, "'regions' cannot be used"),
    ("region_sums", {"regions": [BOX, BOX]}, {"a": IMAGES}, "region 'a' stands twice"),
    ("region_sums", {"regions": [{**BOX, "x": 5}]}, {"a": IMAGES}, "region 'a' reaches beyond the frame"),
    ("region_sums", {"regions": [{**BOX, "shape": "star"}]}, {"a": IMAGES}, "'regions.0.shape' cannot be used"),
    ("centroid", {"region": {**BOX, "y": 3}}, {"a": IMAGES}, "region 'a' reaches beyond the frame"),
    ("centroid", {"pixel_size": 0}, {"a": IMAGES}, "greater than 0"),
    ("centroid", {}, {"a": SPECTRUM}, "it takes images"),
    ("rolling", {"last": 1}, {"a": ROW}, "greater than or equal to 2"),
    ("rolling", {"last": 5}, {"a": IMAGES}, "of images and spectra it gives one of mean, std"),
    ("rolling", {"last": 9000}, {"a": Flow((2048, 2048), "uint16")}, "do not fit in its memory\n  seen: 72000 MiB"),
    ("expression", {"formula": ""}, {"a": ROW}, "'formula' cannot be used"),
    ("expression", {"formula": "a.a"}, {"a": ROW, "b": Flow((), "float64", every=5)}, "seen: a 1, b 5"),
    ("peak_fit", {}, {"a": ROW}, r"it takes spectra or images\n  seen: shape \(2,\)"),
    ("peak_fit", {"low": 3, "high": 2}, {"a": SPECTRUM}, "low is not below high"),
    ("peak_fit", {"low": 5}, {"a": SPECTRUM}, "too few points to fit a peak\n  seen: 3 of 8 between 0 and 7"),
]


@pytest.mark.parametrize(("kind", "parameters", "inputs", "message"), TABLE)
def test_bad_input_is_one_clear_error(
    kind: str, parameters: dict[str, Any], inputs: dict[str, Flow], message: str
) -> None:
    with pytest.raises(GraphInvalid, match=message) as caught:
        make(kind, parameters, inputs)
    assert str(caught.value).startswith("node 'step': ")
    assert len(str(caught.value).splitlines()) <= 5
