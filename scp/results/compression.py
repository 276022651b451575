"""Lossless compression of single frames: RLE, JPEG-LS, JPEG 2000 (PS3.5 8.2, annexes A.4 and G).

The codecs are called by name, not whatever is installed: equal pixels become equal bytes. Colour is not
transformed, so Photometric Interpretation stays RGB.

Planes come from several threads at once. RLE and JPEG-LS bear that, JPEG 2000 does not.
"""

from collections.abc import Callable, Mapping
from threading import Lock

import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import encode_buffer
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from rle.utils import encode_pixel_data

Frame = NDArray[np.generic]
"""Stored values of shape (rows, columns) or (rows, columns, samples), little endian."""

_one_at_a_time = Lock()
"""The JPEG 2000 encoder logs each step from C, by references that all its calls share: two calls at once free
them twice, and the process dies. It holds the interpreter else, so that one by one takes no longer."""


def _rle(frame: Frame) -> bytes:
    return encode_pixel_data(
        frame.tobytes(),
        byteorder="<",
        rows=frame.shape[0],
        columns=frame.shape[1],
        samples_per_pixel=_samples_per_pixel(frame),
        bits_allocated=8 * frame.dtype.itemsize,
    )


def _jpeg_ls(frame: Frame) -> bytes:
    """JPEG-LS knows no sign: bits go through as they are, Pixel Representation says what they mean."""
    return bytes(
        jpeg_ls.encode_pixel_data(
            frame.tobytes(),
            lossy_error=0,
            rows=frame.shape[0],
            columns=frame.shape[1],
            samples_per_pixel=_samples_per_pixel(frame),
            bits_stored=8 * frame.dtype.itemsize,
            planar_configuration=0,
        )
    )


def _jpeg_2000(frame: Frame) -> bytes:
    with _one_at_a_time:
        return encode_buffer(
            frame.tobytes(),
            frame.shape[1],
            frame.shape[0],
            _samples_per_pixel(frame),
            8 * frame.dtype.itemsize,
            frame.dtype.kind == "i",
        )


def _samples_per_pixel(frame: Frame) -> int:
    return 1 if frame.ndim == 2 else frame.shape[2]


COMPRESS: Mapping[str, Callable[[Frame], bytes]] = {
    str(RLELossless): _rle,
    str(JPEGLSLossless): _jpeg_ls,
    str(JPEG2000Lossless): _jpeg_2000,
}
"""By transfer syntax; what is not here is not compressed."""
