"""Planes of which neighbours run along a row of voxels: sagittal planes of axial slices.

One plane alone would read one voxel of every cache line. A chunk of planes reads the line once: for a block
of columns the rows of voxels are blended into a tile, which is written out turned round.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import numpy as np

from scp.reconstruction.kernels.lines import MOSTLY, blend_true, drop_padded_slices, fill, store_pair, stored
from scp.reconstruction.kernels.places import (
    INDEX,
    LINEAR,
    NONE,
    WEIGHT,
    axis_taps,
    clip,
    entry,
    is_inside,
    kernel,
    run,
)
from scp.reconstruction.kernels.records import ACROSS, DOWN
from scp.reconstruction.kernels.slabs import add_true, begin, finish, mix

BLOCK = 128
"""Columns of a tile: with 32 planes it stays in the first cache."""


@entry
def render_tiles(volume, starts, steps, slices, weights, sampling, storage, out):
    """Write *out*; arguments as in ``records``."""
    planes, rows, columns = out.shape
    order, even = sampling.order, slices[:0]
    depths, counts = np.zeros((planes, len(weights), 4, 2)), np.zeros((planes, len(weights)), np.int64)
    low, high, whole = find_depths(volume.shape[2], starts, order, even, depths, counts)
    direct = whole and len(weights) == 1 and order <= LINEAR
    ks, js, hit = np.zeros(columns), np.zeros(columns), np.zeros(columns, np.bool_)
    tile = np.empty((BLOCK, max(high - low, 0)), np.int16)
    lines, holds = np.empty((high - low, BLOCK), np.float32), np.empty((high - low, BLOCK), np.float32)
    line, held = np.empty(max(high - low, BLOCK), np.float32), np.empty(max(high - low, BLOCK), np.float32)
    nothing, turned = np.zeros(high - low, np.float32), np.empty(BLOCK, np.int16)
    total, weight = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    k_taps, j_taps, last_k, above = np.empty((4, 2)), np.empty((4, 2)), -1e30, 0
    for r in range(rows):
        trace_row(volume.shape, starts, steps, slices, sampling.even, r, ks, js, hit)
        for block in range(0, columns, BLOCK):
            width = min(BLOCK, columns - block)
            turned[0] = touch(volume, low, ks[block : block + width], js[block : block + width])
            for c in range(width):
                if not hit[block + c]:
                    turn_in(nothing, holds, c)
                    continue
                if ks[block + c] != last_k:
                    last_k = ks[block + c]
                    above = axis_taps(last_k, volume.shape[0], order, slices, k_taps)
                    drop_padded_slices(slices, k_taps, above)
                beside = axis_taps(js[block + c], volume.shape[1], order, even, j_taps)
                if direct and above * beside <= 2:
                    store_pair(volume, k_taps, above, j_taps, beside, low, high, storage, tile[c])
                    continue
                fill(line, np.float32(0.0))
                fill(held, np.float32(0.0))
                for tap in range(beside):
                    row, share = int(j_taps[tap, INDEX]), j_taps[tap, WEIGHT]
                    blend_true(volume, storage.padding, k_taps, above, row, low, high, share, line, held)
                if direct:
                    store_line(line, held, storage, tile[c])
                else:
                    turn_in(line, lines, c)
                    turn_in(held, holds, c)
            for p in range(planes):
                pixels = out[p, r, block : block + width]
                if direct:
                    column = int(depths[p, 0, 0, INDEX])
                    turn(tile, hit[block:], column, counts[p, 0], storage.outside, turned, pixels)
                    continue
                begin(sampling.method, total, weight)
                for s in range(len(weights)):
                    if counts[p, s] > 0:
                        mix(lines, depths[p, s], counts[p, s], NONE, line[:BLOCK])
                        mix(holds, depths[p, s], counts[p, s], NONE, held[:BLOCK])
                        add_true(sampling.method, weights[s], line[:BLOCK], held[:BLOCK], total, weight)
                finish(sampling.method, total, weight, storage, pixels)


@kernel
def find_depths(size, starts, order, even, depths, counts):
    """Find the taps *depths* (planes, samples, 4, 2) along the rows of voxels, and how many each has.

    Return the voxels [low, high) that are needed, from which the taps count, and whether each sample is one.
    """
    low, high, whole = size, 0, True
    for p in range(counts.shape[0]):
        for s in range(counts.shape[1]):
            if not is_inside(starts[p, s, 2], size):
                continue
            counts[p, s] = axis_taps(starts[p, s, 2], size, order, even, depths[p, s])
            whole &= counts[p, s] == 1
            for tap in range(counts[p, s]):
                index = int(depths[p, s, tap, INDEX])
                low, high = min(low, index), max(high, index + 1)
    low = min(low, high)
    for p in range(counts.shape[0]):
        for s in range(counts.shape[1]):
            for tap in range(counts[p, s]):
                depths[p, s, tap, INDEX] -= low
    return low, high, whole


@kernel
def trace_row(shape, starts, steps, slices, even, r, ks, js, hit):
    """Find k and j of each column of row *r*, and whether it is inside the volume by them."""
    place, start, step, columns = np.empty(3), np.empty(3), np.empty(3), len(hit)
    for axis in range(3):
        place[axis] = starts[0, 0, axis] + r * steps[DOWN, axis]
    fill(hit, False)
    column = 0
    while column < columns:
        end = run(place, steps[ACROSS], slices, even, column, columns, start, step)
        start[2], step[2] = 0.0, 0.0
        first, last = clip(shape, start, step, column, end)
        for c in range(first, last):
            ks[c] = min(max(start[0] + step[0] * c, 0.0), shape[0] - 1.0)
            js[c] = min(max(start[1] + step[1] * c, 0.0), shape[1] - 1.0)
            hit[c] = True
        column = end


@kernel
def turn_in(line, lines, c):
    """Write *line* as column *c* of *lines*."""
    for i in range(len(lines)):
        lines[i, c] = line[i]


@kernel
def touch(volume, low, ks, js):
    """Read a voxel of each row that a block will need: many cache lines are then on their way at once."""
    seen, last = np.int16(0), volume.shape[0] - 1
    for c in range(len(ks)):
        seen ^= volume[min(int(ks[c]) + 1, last), int(js[c]), low]
    return seen


@kernel
def store_line(line, held, storage, pixels):
    """Make pixels of a blended line."""
    for i in range(len(pixels)):
        pixel = stored(line[i] / max(held[i], MOSTLY), storage.flip)
        pixels[i] = pixel if held[i] >= MOSTLY else storage.outside


@kernel
def turn(tile, hit, column, count, outside, turned, pixels):
    """Write one column of the tile as a piece of a row of pixels, where there is such a column.

    By way of *turned*: single pixels would fill the queue of stores before the first has its cache line.
    """
    for c in range(len(pixels)):
        turned[c] = tile[c, column] if hit[c] and count > 0 else outside
    for c in range(len(pixels)):
        pixels[c] = turned[c]
