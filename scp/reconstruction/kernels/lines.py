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

PIECE = np.uint64(32)
"""Pixels that are made without a test in between: the planes of a chunk."""


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


@inlined
def store_pair(volume, voxels, k_taps, above, j_taps, beside, low, count, storage, pixels, at):
    """Write a line of at most two rows straight to *pixels* from *at* on: the fastest way for thin planes.

    *voxels* are those of *volume* in one line: to make a view of a row takes longer than to blend it.
    """
    first = row_start(volume.shape, k_taps[0, INDEX], j_taps[0, INDEX]) + np.uint64(low)
    second = row_start(volume.shape, k_taps[above - 1, INDEX], j_taps[beside - 1, INDEX]) + np.uint64(low)
    w, v = np.float32(k_taps[0, WEIGHT] * j_taps[0, WEIGHT]), np.float32(0.0)
    if above * beside > 1:
        v = np.float32(k_taps[above - 1, WEIGHT] * j_taps[beside - 1, WEIGHT])
    if storage.has_holes:
        store_pair_true(voxels, first, second, w, v, storage, pixels, at, np.uint64(count))
    else:
        store_sum(voxels, first, second, w, v, storage.flip, pixels, at, np.uint64(count))


@inlined
def store_sum(voxels, first, second, w, v, flip, pixels, at, size):
    """Write the weighted sum of two rows of voxels, none of them padding."""
    rest = size & ~(PIECE - np.uint64(1))
    for start in range(np.uint64(0), rest, PIECE):
        for i in range(start, start + PIECE):
            value = w * np.float32(voxels[first + i]) + v * np.float32(voxels[second + i])
            pixels[at + i] = np.int16(np.floor(value + HALF)) ^ flip
    for i in range(rest, size):
        value = w * np.float32(voxels[first + i]) + v * np.float32(voxels[second + i])
        pixels[at + i] = np.int16(np.floor(value + HALF)) ^ flip


@inlined
def row_start(shape, k, j):
    """Return the number of the first voxel of row *j* of slice *k*."""
    return np.uint64((int(k) * shape[1] + int(j)) * shape[2])


@kernel
def store_pair_true(voxels, first, second, w, v, storage, pixels, at, size):
    """Write the weighted sum of two rows of voxels where enough of it is not padding."""
    none, nothing, outside, flip = storage.padding, np.float32(0.0), storage.outside, storage.flip
    for i in range(size):
        one, other = voxels[first + i], voxels[second + i]
        a = w if np.int32(one) != none else nothing
        b = v if np.int32(other) != none else nothing
        held = a + b
        value = (a * np.float32(one) + b * np.float32(other)) / max(held, MOSTLY)
        pixel = np.int16(np.floor(value + HALF)) ^ flip
        pixels[at + i] = pixel if held >= MOSTLY else outside
