"""Rows of voxels under the kernels ``rows`` and ``tiles``: blended, and written as pixels.

A line is what a straight run of points parallel to the rows of voxels sees: a weighted sum of one to
sixteen rows. Where voxels may be padding, the sum of the weights of true ones goes with it.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import numpy as np

from scp.reconstruction.kernels.places import INDEX, WEIGHT, axis_taps, inlined, kernel
from scp.reconstruction.kernels.records import USABLE

MOSTLY = np.float32(0.499)
"""As in ``reference``: weight of true voxels from which a point is inside."""

LOWEST, HIGHEST = np.float32(-32768.0), np.float32(32767.0)
HALF = np.float32(0.5)


ROOM = 24
"""Taps (ROOM, 3) of a line: its rows of voxels in the first 16, the two axes' own taps after them."""

SLICE, ROW, SHARE = 0, 1, 2
"""Columns of the taps of a line: which slice, which row of it, and the weight."""


@inlined
def line_taps(k, j, volume, order, slices, taps):
    """Find the rows of voxels that make the line at (k, j); return how many they are.

    Rows of slices that are padding are left out, and their weight with them.
    """
    above = axis_taps(k, volume.shape[0], order, slices, taps, 16)
    beside = axis_taps(j, volume.shape[1], order, slices[:0], taps, 20)
    count = 0
    for a in range(16, 16 + above):
        if slices[int(taps[a, INDEX]), USABLE] == 0:
            continue
        for b in range(20, 20 + beside):
            taps[count, SLICE] = taps[a, INDEX]
            taps[count, ROW] = taps[b, INDEX]
            taps[count, SHARE] = taps[a, WEIGHT] * taps[b, WEIGHT]
            count += 1
    return count


@inlined
def voxels_of(volume, taps, tap, low, high):
    return volume[int(taps[tap, SLICE]), int(taps[tap, ROW]), low:high]


@kernel
def blend(volume, taps, count, low, high, line):
    """Write the weighted sum of *count* rows of *volume* to *line*, columns *low* to *high* - 1."""
    width = high - low
    first = voxels_of(volume, taps, 0, low, high)
    w = np.float32(taps[0, SHARE])
    if count == 1:
        for i in range(width):
            line[i] = w * np.float32(first[i])
        return
    second = voxels_of(volume, taps, 1, low, high)
    v = np.float32(taps[1, SHARE])
    for i in range(width):
        line[i] = w * np.float32(first[i]) + v * np.float32(second[i])
    for tap in range(2, count):
        row = voxels_of(volume, taps, tap, low, high)
        w = np.float32(taps[tap, SHARE])
        for i in range(width):
            line[i] += w * np.float32(row[i])


@kernel
def blend_true(volume, padding, taps, count, low, high, line, held):
    """As :func:`blend`, of the voxels that are not *padding*; their weight goes to *held*."""
    width = high - low
    line[:width] = np.float32(0.0)
    held[:width] = np.float32(0.0)
    for tap in range(count):
        row = voxels_of(volume, taps, tap, low, high)
        w = np.float32(taps[tap, SHARE])
        for i in range(width):
            true = w if np.int32(row[i]) != padding else np.float32(0.0)
            line[i] += true * np.float32(row[i])
            held[i] += true


@inlined
def stored(value, flip):
    """Return a pixel: floor(value + 0.5), kept within 16 bits; *flip* is the sign bit where unsigned."""
    return np.int16(min(max(np.floor(value + HALF), LOWEST), HIGHEST)) ^ flip


@inlined
def store_blend(volume, taps, count, low, high, flip, pixels):
    """Write a line of at most two rows straight to *pixels*: the fastest way, for most coronal planes."""
    first = voxels_of(volume, taps, 0, low, high)
    if count == 1:
        for i in range(high - low):
            pixels[i] = first[i] ^ flip
        return
    second = voxels_of(volume, taps, 1, low, high)
    w, v = np.float32(taps[0, SHARE]), np.float32(taps[1, SHARE])
    for i in range(high - low):
        pixels[i] = np.int16(np.floor(w * np.float32(first[i]) + v * np.float32(second[i]) + HALF)) ^ flip


@inlined
def store_blend_true(volume, taps, count, low, high, storage, pixels):
    """As :func:`store_blend`, of the voxels that are not padding."""
    first = voxels_of(volume, taps, 0, low, high)
    tap = count - 1
    second = voxels_of(volume, taps, tap, low, high)
    none, nothing = storage.padding, np.float32(0.0)
    w = np.float32(taps[0, SHARE])
    v = np.float32(taps[1, SHARE]) if count == 2 else nothing
    outside = storage.outside
    for i in range(high - low):
        a = w if np.int32(first[i]) != none else nothing
        b = v if np.int32(second[i]) != none else nothing
        held = a + b
        value = (a * np.float32(first[i]) + b * np.float32(second[i])) / max(held, MOSTLY)
        pixel = np.int16(np.floor(value + HALF)) ^ storage.flip
        pixels[i] = pixel if held >= MOSTLY else outside
