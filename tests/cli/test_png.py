"""What is encoded here is what Pillow reads back, and what a strict reader finds no fault with."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from scp.cli import png


@pytest.mark.parametrize(("mode", "samples"), [("L", ()), ("RGB", (3,))])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (300, 41)])
def test_a_picture_comes_back_as_it_was(mode, samples, size):
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, *samples), np.uint8)
    with Image.open(BytesIO(png.encoded(Image.fromarray(pixels)))) as back:
        back.verify()  # the checksums
    with Image.open(BytesIO(png.encoded(Image.fromarray(pixels)))) as back:
        assert (back.format, back.mode) == ("PNG", mode)
        assert np.array_equal(np.asarray(back), pixels)
