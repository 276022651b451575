"""Planes whose rows of pixels run along rows of voxels.

A chunk of planes is made row by row: neighbouring planes then read neighbouring rows of voxels. What several
samples need, a row of voxels blended between slices and brought to the columns of the pixels, is kept for as
long as its slot of the ring is not wanted by another.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import math

import numpy as np

from scp.reconstruction.kernels.lines import blend, blend_true, drop_padded_slices, fill, store_pair
from scp.reconstruction.kernels.places import (
    ALIGNED,
    EDGE,
    INDEX,
    NEAREST,
    NONE,
    WEIGHT,
    axis_taps,
    entry,
    inside_range,
    is_inside,
    kernel,
    locate_pixel,
)
from scp.reconstruction.kernels.records import ACROSS
from scp.reconstruction.kernels.slabs import add, add_true, begin, finish, mix

RING = 64
"""Lines that are kept: with 512 columns they stay in the second cache."""


@entry
def render_rows(volume, starts, steps, slices, weights, sampling, storage, out):
    """Write *out*; arguments as in ``records``."""
    planes, rows, columns = out.shape
    order, method, samples = sampling.order, sampling.method, len(weights)
    step, even, no_place = steps[ACROSS, 2], slices[:0], -1e30
    lines, holds = np.empty((RING, columns), np.float32), np.empty((RING, columns), np.float32)
    known = np.empty((RING, 3))  # which row of voxels, at which k and i, lies in each slot
    fill(known.reshape(-1), no_place)
    line, held = np.empty(columns, np.float32), np.empty(columns, np.float32)
    total, weight = np.empty(columns, np.float32), np.empty(columns, np.float32)
    voxels, voxels_held = np.empty(volume.shape[2], np.float32), np.empty(volume.shape[2], np.float32)
    table, table_start = np.empty((columns, 4, 2)), no_place
    k_taps, j_taps, found, last_k, above = np.empty((4, 2)), np.empty((4, 2)), np.empty((4, 2)), no_place, 0
    for r in range(rows):
        for p in range(planes):
            pixels = out[p, r]
            begun = False
            for s in range(samples):
                k, j, i = locate_pixel(starts, steps, slices, p, s, r, NONE)
                first, last = inside_row(k, j, i, step, volume, columns)
                if first >= last:
                    continue
                if k != last_k:
                    above = axis_taps(k, volume.shape[0], order, slices, k_taps)
                    drop_padded_slices(slices, k_taps, above)
                    last_k = k
                beside = axis_taps(j, volume.shape[1], order, even, j_taps)
                aligned = is_aligned(i, step, last, volume.shape[2], order)
                low, high = span(i, step, first, last, volume.shape[2], order, aligned)
                if samples == 1 and above * beside <= 2 and aligned:
                    store_pair(volume, k_taps, above, j_taps, beside, low, high, storage, pixels[first:last])
                    fill(pixels[:first], storage.outside)
                    fill(pixels[last:], storage.outside)
                    break
                if not begun:
                    begin(method, total, weight)
                    begun = True
                if not aligned and i != table_start:
                    table_start = i
                    find_columns(i, step, volume.shape[2], order, even, table)
                for tap in range(beside):
                    row = int(j_taps[tap, INDEX])
                    slot = row % RING
                    found[tap, INDEX], found[tap, WEIGHT] = slot, j_taps[tap, WEIGHT]
                    if known[slot, 0] == row and known[slot, 1] == k and known[slot, 2] == i:
                        continue
                    known[slot, 0], known[slot, 1], known[slot, 2] = row, k, i
                    a, b = lines[slot, first:last], holds[slot, first:last]
                    if not aligned:
                        a, b = voxels[: high - low], voxels_held[: high - low]
                    if storage.has_holes:
                        fill(a, np.float32(0.0))
                        fill(b, np.float32(0.0))
                        blend_true(volume, storage.padding, k_taps, above, row, low, high, 1.0, a, b)
                    else:
                        blend(volume, k_taps, above, row, low, high, a)
                    if not aligned:
                        resample(a, low, table[first:last], order, lines[slot, first:last])
                        if storage.has_holes:
                            resample(b, low, table[first:last], order, holds[slot, first:last])
                inner_total, inner_weight = total[first:last], weight[first:last]
                if storage.has_holes or beside > 2:
                    mix(lines, found, beside, first, line[first:last])
                if storage.has_holes:
                    mix(holds, found, beside, first, held[first:last])
                    add_true(
                        method, weights[s], line[first:last], held[first:last], inner_total, inner_weight
                    )
                    continue
                one, other = (
                    lines[int(found[0, INDEX]), first:last],
                    lines[int(found[beside - 1, INDEX]), first:last],
                )
                w, v = np.float32(found[0, WEIGHT]), np.float32(found[1, WEIGHT] if beside == 2 else 0.0)
                if beside > 2:
                    one, w = line[first:last], np.float32(1.0)
                add(method, weights[s], one, other, w, v, inner_total, inner_weight)
            else:
                if begun:
                    finish(method, total, weight, storage, pixels)
                else:
                    fill(pixels, storage.outside)


@kernel
def inside_row(k, j, i, step, volume, columns):
    """Return the pixels [first, last) of a row that are inside the volume."""
    if not (is_inside(k, volume.shape[0]) and is_inside(j, volume.shape[1])):
        return 0, 0
    return inside_range(i, step, -0.5 - EDGE, volume.shape[2] - 0.5 + EDGE, NONE, columns)


@kernel
def is_aligned(start, step, last, size, order):
    """Tell whether each of the pixels up to *last* is one column of voxels, and all of these exist."""
    if abs(step - 1.0) * last > ALIGNED:
        return False
    if order == NEAREST:
        return math.floor(start + 0.5 + EDGE) + last <= size
    return abs(start - math.floor(start + 0.5)) < ALIGNED


@kernel
def span(start, step, first, last, size, order, aligned):
    """Return the voxels [low, high) that the pixels [first, last) are made of."""
    if aligned:
        low = math.floor(start + 0.5 + (EDGE if order == NEAREST else 0.0)) + first
        return low, low + last - first
    one, other = start + step * first, start + step * (last - 1)
    return max(math.floor(min(one, other)) - 1, 0), min(math.floor(max(one, other)) + 3, size)


@kernel
def find_columns(start, step, size, order, even, table):
    """Write the taps (columns, 4, 2) of every column; of those outside, what the border's has."""
    for c in range(len(table)):
        count = axis_taps(start + step * c, size, order, even, table[c])
        for tap in range(count, 4):
            table[c, tap, INDEX] = table[c, 0, INDEX]
            table[c, tap, WEIGHT] = 0.0


@kernel
def resample(voxels, low, table, order, line):
    """Write to *line* what *voxels*, of which the first is number *low*, give at each column."""
    for c in range(len(line)):
        value = 0.0
        for tap in range(order):
            value += table[c, tap, WEIGHT] * voxels[int(table[c, tap, INDEX]) - low]
        line[c] = value
