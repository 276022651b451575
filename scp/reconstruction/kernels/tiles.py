"""Planes of which neighbours run along a row of voxels: sagittal planes of axial slices.

One plane alone would read one voxel of every cache line. A chunk of planes reads the line once: for a block
of columns the rows of voxels are blended into a tile, which is written out turned round.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import numpy as np

from scp.reconstruction.kernels.lines import (
    MOSTLY,
    ROOM,
    blend,
    blend_true,
    line_taps,
    store_blend,
    store_blend_true,
    stored,
)
from scp.reconstruction.kernels.places import (
    INDEX,
    LINEAR,
    WEIGHT,
    axis_taps,
    inlined,
    is_inside,
    kernel,
    locate_pixel,
)
from scp.reconstruction.kernels.records import AVERAGE, MAXIMUM

BLOCK = 64
"""Columns of a tile: with 32 planes it stays in the first cache."""


@kernel
def render_tiles(volume, starts, steps, slices, weights, sampling, storage, out):
    """Write *out*; arguments as in ``records``."""
    planes, rows, columns = out.shape
    depths = np.zeros((planes, len(weights), 4, 2))
    inside = np.zeros((planes, len(weights)), np.bool_)
    low, high, whole = find_depths(volume.shape[2], starts, sampling.order, depths, inside)
    if low >= high:
        out[:] = storage.outside
        return
    direct = whole and len(weights) == 1 and sampling.order <= LINEAR
    tile = np.empty((BLOCK, high - low), np.int16)
    line = np.empty((BLOCK, high - low), np.float32)
    held = np.ones((BLOCK, high - low), np.float32)
    hit, taps = np.empty(BLOCK, np.bool_), np.empty((ROOM, 3))
    for r in range(rows):
        for block in range(0, columns, BLOCK):
            width = min(BLOCK, columns - block)
            for c in range(width):
                k, j, _ = locate_pixel(starts, steps, slices, 0, 0, r, block + c)
                count = 0
                if is_inside(k, volume.shape[0]) and is_inside(j, volume.shape[1]):
                    count = line_taps(k, j, volume, sampling.order, slices, taps)
                hit[c] = count > 0
                if count == 0:
                    continue
                if direct and count <= 2 and storage.has_holes:
                    store_blend_true(volume, taps, count, low, high, storage, tile[c])
                elif direct and count <= 2:
                    store_blend(volume, taps, count, low, high, storage.flip, tile[c])
                elif storage.has_holes:
                    blend_true(volume, storage.padding, taps, count, low, high, line[c], held[c])
                else:
                    blend(volume, taps, count, low, high, line[c])
                if direct and count > 2:
                    store_line(line[c], held[c], storage, tile[c])
            for p in range(planes):
                pixels = out[p, r, block : block + width]
                if not direct:
                    turn_blended(
                        line, held, hit, low, depths[p], inside[p], weights, sampling, storage, pixels
                    )
                elif inside[p, 0]:
                    turn(tile, hit, int(depths[p, 0, 0, INDEX]) - low, storage.outside, pixels)
                else:
                    pixels[:] = storage.outside


@kernel
def find_depths(size, starts, order, depths, inside):
    """Find the taps *depths* (planes, samples, 4, 2) along the rows of voxels, and which are *inside*.

    Return the voxels [low, high) that are needed, and whether each sample is just one.
    """
    even = np.empty((0, 4))
    low, high, whole = size, 0, True
    for p in range(inside.shape[0]):
        for s in range(inside.shape[1]):
            place = starts[p, s, 2]
            inside[p, s] = is_inside(place, size)
            if not inside[p, s]:
                continue
            count = axis_taps(place, size, order, even, depths[p, s], 0)
            whole &= count == 1
            for tap in range(4):
                if tap >= count:
                    depths[p, s, tap, INDEX] = depths[p, s, 0, INDEX]
                index = int(depths[p, s, tap, INDEX])
                low, high = min(low, index), max(high, index + 1)
    return low, high, whole


@kernel
def store_line(line, held, storage, pixels):
    """Make pixels of a blended line."""
    for i in range(len(pixels)):
        pixel = stored(line[i] / max(held[i], MOSTLY), storage.flip)
        pixels[i] = pixel if held[i] >= MOSTLY else storage.outside


@inlined
def turn(tile, hit, column, outside, pixels):
    """Write one column of the tile as a piece of a row of pixels."""
    for c in range(len(pixels)):
        pixels[c] = tile[c, column] if hit[c] else outside


@kernel
def turn_blended(line, held, hit, low, depths, inside, weights, sampling, storage, pixels):
    """As :func:`turn`, of pixels that are made of several columns: between voxels, or of a slab."""
    for c in range(len(pixels)):
        total, weight = np.float32(0.0), np.float32(0.0)
        for s in range(len(weights) if hit[c] else 0):
            value, true = np.float32(0.0), np.float32(0.0)
            for tap in range(sampling.order if inside[s] else 0):
                at = int(depths[s, tap, INDEX]) - low
                share = np.float32(depths[s, tap, WEIGHT])
                value += share * line[c, at]
                true += share * held[c, at]
            if true < MOSTLY:
                continue
            w = np.float32(weights[s])
            if sampling.method == AVERAGE:
                total += w * (value / true)
            elif weight == 0:
                total = value / true
            elif sampling.method == MAXIMUM:
                total = max(total, value / true)
            else:
                total = min(total, value / true)
            weight += w
        if weight == 0:
            pixels[c] = storage.outside
        else:
            pixels[c] = stored(total / weight if sampling.method == AVERAGE else total, storage.flip)
