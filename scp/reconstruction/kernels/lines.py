"""Rows of voxels under the kernels ``rows`` and ``tiles``: blended into lines, or written as pixels at once.

A line is what a straight run of points parallel to the rows of voxels sees. Where voxels may be padding, the
sum of the weights of true ones, *held*, goes with it.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import numpy as np

from scp.reconstruction.kernels.places import INDEX, WEIGHT, inlined, kernel
from scp.reconstruction.kernels.records import USABLE

MOSTLY = np.float32(0.499)
"""As in ``reference``: weight of true voxels from which a point is inside."""

LOWEST, HIGHEST = np.float32(-32768.0), np.float32(32767.0)
HALF = np.float32(0.5)


@kernel
def fill(array, value):
    """Set all of *array*; quicker to compile than an assignment to a slice."""
    for c in range(len(array)):
        array[c] = value


@kernel
def drop_padded_slices(slices, taps, count):
    """Take the weight from taps that are slices of padding."""
    for tap in range(count):
        if slices[int(taps[tap, INDEX]), USABLE] == 0:
            taps[tap, WEIGHT] = 0.0


@kernel
def blend(volume, taps, count, row, low, high, line):
    """Write the weighted sum of row *row* of 1, 2 or 4 slices to *line*, columns *low* to *high* - 1."""
    first = volume[int(taps[0, INDEX]), row, low:high]
    if count == 1:
        for i in range(len(first)):
            line[i] = first[i]
        return
    second = volume[int(taps[1, INDEX]), row, low:high]
    w, v = np.float32(taps[0, WEIGHT]), np.float32(taps[1, WEIGHT])
    for i in range(len(first)):
        line[i] = w * np.float32(first[i]) + v * np.float32(second[i])
    if count == 4:
        first = volume[int(taps[2, INDEX]), row, low:high]
        second = volume[int(taps[3, INDEX]), row, low:high]
        w, v = np.float32(taps[2, WEIGHT]), np.float32(taps[3, WEIGHT])
        for i in range(len(first)):
            line[i] += w * np.float32(first[i]) + v * np.float32(second[i])


@kernel
def blend_true(volume, padding, taps, count, row, low, high, share, line, held):
    """Add what of row *row* is not *padding* to *line*, times *share*, and its weight to *held*."""
    for tap in range(count):
        voxels = volume[int(taps[tap, INDEX]), row, low:high]
        w = np.float32(taps[tap, WEIGHT] * share)
        for i in range(len(voxels)):
            true = w if np.int32(voxels[i]) != padding else np.float32(0.0)
            line[i] += true * np.float32(voxels[i])
            held[i] += true


@inlined
def stored(value, flip):
    """Return a pixel: floor(value + 0.5), kept within 16 bits; *flip* is the sign bit where unsigned."""
    return np.int16(min(max(np.floor(value + HALF), LOWEST), HIGHEST)) ^ flip


@kernel
def store_pair(volume, k_taps, above, j_taps, beside, low, high, storage, pixels):
    """Write a line of at most two rows straight to *pixels*: the fastest way, for most thin planes."""
    a, b = int(k_taps[0, INDEX]), int(k_taps[above - 1, INDEX])
    c, d = int(j_taps[0, INDEX]), int(j_taps[beside - 1, INDEX])
    first, second = volume[a, c, low:high], volume[b, d, low:high]
    w, v = np.float32(k_taps[0, WEIGHT] * j_taps[0, WEIGHT]), np.float32(0.0)
    if above * beside > 1:
        v = np.float32(k_taps[above - 1, WEIGHT] * j_taps[beside - 1, WEIGHT])
    flip = storage.flip
    if storage.has_holes:
        store_pair_true(first, second, w, v, storage, pixels)
    elif above * beside == 1:
        for i in range(len(first)):
            pixels[i] = first[i] ^ flip
    else:
        for i in range(len(first)):
            pixels[i] = np.int16(np.floor(w * np.float32(first[i]) + v * np.float32(second[i]) + HALF)) ^ flip


@kernel
def store_pair_true(first, second, w, v, storage, pixels):
    """Write the weighted sum of two rows of voxels where enough of it is not padding."""
    none, nothing, outside, flip = storage.padding, np.float32(0.0), storage.outside, storage.flip
    for i in range(len(first)):
        a = w if np.int32(first[i]) != none else nothing
        b = v if np.int32(second[i]) != none else nothing
        held = a + b
        value = (a * np.float32(first[i]) + b * np.float32(second[i])) / max(held, MOSTLY)
        pixel = np.int16(np.floor(value + HALF)) ^ flip
        pixels[i] = pixel if held >= MOSTLY else outside
