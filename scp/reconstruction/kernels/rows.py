"""Planes whose rows of pixels run along rows of voxels."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import math

import numpy as np

from scp.reconstruction.kernels.lines import (
    ROOM,
    blend,
    blend_true,
    line_taps,
    store_blend,
    store_blend_true,
)
from scp.reconstruction.kernels.places import (
    ALIGNED,
    EDGE,
    INDEX,
    NEAREST,
    WEIGHT,
    axis_taps,
    inside_range,
    is_inside,
    kernel,
    locate_pixel,
)
from scp.reconstruction.kernels.records import ACROSS
from scp.reconstruction.kernels.slabs import add, add_true, begin, finish


@kernel
def render_rows(volume, starts, steps, slices, weights, sampling, storage, out):
    """Write *out*; arguments as in ``records``."""
    planes, rows, columns = out.shape
    order, method, samples = sampling.order, sampling.method, len(weights)
    step = steps[ACROSS, 2]
    line, held = np.empty(columns, np.float32), np.empty(columns, np.float32)
    total, weight = np.empty(columns, np.float32), np.empty(columns, np.float32)
    voxels, voxels_held = np.empty(volume.shape[2], np.float32), np.empty(volume.shape[2], np.float32)
    taps, table, table_start = np.empty((ROOM, 3)), np.empty((columns, 4, 2)), -1e30
    for p in range(planes):
        for r in range(rows):
            pixels = out[p, r]
            begun = False
            for s in range(samples):
                k, j, i = locate_pixel(starts, steps, slices, p, s, r, 0)
                first, last = inside_row(k, j, i, step, volume, columns)
                count = line_taps(k, j, volume, order, slices, taps) if first < last else 0
                if count == 0:
                    continue
                aligned = is_aligned(i, step, last, volume.shape[2], order)
                low, high = span(i, step, first, last, volume.shape[2], order, aligned)
                if samples == 1 and count <= 2 and aligned:
                    write_row(volume, taps, count, low, first, last, storage, pixels)
                    break
                if not begun:
                    begin(method, total, weight)
                    begun = True
                if not aligned and i != table_start:
                    table_start = i
                    find_columns(i, step, volume.shape[2], order, table)
                a, b = (line[first:last], held[first:last]) if aligned else (voxels, voxels_held)
                if storage.has_holes:
                    blend_true(volume, storage.padding, taps, count, low, high, a, b)
                else:
                    blend(volume, taps, count, low, high, a)
                if not aligned:
                    resample(voxels, low, table[first:last], order, line[first:last])
                    if storage.has_holes:
                        resample(voxels_held, low, table[first:last], order, held[first:last])
                if storage.has_holes:
                    add_true(
                        method,
                        weights[s],
                        line[first:last],
                        held[first:last],
                        total[first:last],
                        weight[first:last],
                    )
                else:
                    add(method, weights[s], line[first:last], total[first:last], weight[first:last])
            else:
                if begun:
                    finish(method, total, weight, storage, pixels)
                else:
                    pixels[:] = storage.outside


@kernel
def inside_row(k, j, i, step, volume, columns):
    """Return the pixels [first, last) of a row that are inside the volume."""
    if not (is_inside(k, volume.shape[0]) and is_inside(j, volume.shape[1])):
        return 0, 0
    return inside_range(i, step, -0.5 - EDGE, volume.shape[2] - 0.5 + EDGE, 0, columns)


@kernel
def write_row(volume, taps, count, low, first, last, storage, pixels):
    """Write a thin row of pixels, each of which is one column of voxels; the first inside is *low*."""
    high = low + last - first
    if storage.has_holes:
        store_blend_true(volume, taps, count, low, high, storage, pixels[first:last])
    else:
        store_blend(volume, taps, count, low, high, storage.flip, pixels[first:last])
    for c in range(first):
        pixels[c] = storage.outside
    for c in range(last, len(pixels)):
        pixels[c] = storage.outside


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
def find_columns(start, step, size, order, table):
    """Write the taps (columns, 4, 2) of every column; of those outside, what the border's has."""
    even = np.empty((0, 4))
    for c in range(len(table)):
        count = axis_taps(start + step * c, size, order, even, table[c], 0)
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
