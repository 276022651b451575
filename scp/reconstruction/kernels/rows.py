"""Planes whose rows of pixels run along rows of voxels.

A chunk of planes is made row by row: neighbouring planes then read neighbouring rows of voxels. What several
samples need, a row of voxels blended between slices and brought to the columns of the pixels, is kept for as
long as its slot of the ring is not wanted by another.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import math
from typing import NamedTuple

import numpy as np

from scp.reconstruction.kernels.lines import blend, blend_true, drop_padded_slices, fill, store_pair
from scp.reconstruction.kernels.places import (
    ALIGNED,
    EDGE,
    INDEX,
    NEAREST,
    NO_PLACE,
    NONE,
    WEIGHT,
    axis_taps,
    entry,
    inside_range,
    is_inside,
    kernel,
    locate_height,
)
from scp.reconstruction.kernels.records import ACROSS, DOWN, Floats, Floats32, Pixels, Sampling, Storage
from scp.reconstruction.kernels.slabs import add, add_true, begin, finish, mix

RING = 64
"""Lines that are kept: with 512 columns they stay in the second cache."""


class Room(NamedTuple):
    """What one call works in.

    *lines* (RING, columns): rows of voxels as the pixels need them; *holds*: the weight of true voxels there;
    *known* (RING, 3): which row of voxels, at which k and i, lies in each slot; *table*: taps of each column.
    """

    lines: Floats32
    holds: Floats32
    known: Floats
    line: Floats32
    held: Floats32
    total: Floats32
    weight: Floats32
    voxels: Floats32
    voxels_held: Floats32
    table: Floats
    k_taps: Floats
    j_taps: Floats
    found: Floats


def render_rows(
    volume: Pixels,
    starts: Floats,
    steps: Floats,
    slices: Floats,
    weights: Floats,
    sampling: Sampling,
    storage: Storage,
    out: Pixels,
) -> None:
    """Write *out*; arguments as in ``records``."""
    columns, size = out.shape[2], volume.shape[2]
    room = Room(
        lines=np.empty((RING, columns), np.float32),
        holds=np.empty((RING, columns), np.float32),
        known=np.full((RING, 3), NO_PLACE),
        line=np.empty(columns, np.float32),
        held=np.empty(columns, np.float32),
        total=np.empty(columns, np.float32),
        weight=np.empty(columns, np.float32),
        voxels=np.empty(size, np.float32),
        voxels_held=np.empty(size, np.float32),
        table=np.empty((columns, 4, 2)),
        k_taps=np.empty((4, 2)),
        j_taps=np.empty((4, 2)),
        found=np.empty((4, 2)),
    )
    make_rows(volume, starts, steps, slices, weights, sampling, storage, room, out)


@entry
def make_rows(volume, starts, steps, slices, weights, sampling, storage, room, out):
    """Do the work of :func:`render_rows` in *room*."""
    planes, rows, columns = out.shape
    order, method, samples = sampling.order, sampling.method, len(weights)
    all_voxels, all_pixels = volume.reshape(-1), out.reshape(-1)
    step, even, table_start, last_height, last_i = steps[ACROSS, 2], slices[:0], NO_PLACE, NO_PLACE, NO_PLACE
    k, drift_j, drift_i, above = 0.0, 0.0, 0.0, 0
    first, last, aligned, low, high = NONE, NONE, False, NONE, NONE
    for r in range(rows):
        for p in range(planes):
            written = begun = False
            for s in range(samples):
                height = starts[p, s, 0] + r * steps[DOWN, 0]
                if height != last_height:
                    last_height = height
                    k, drift_j, drift_i = locate_height(height, slices)
                    above = axis_taps(k, volume.shape[0], order, slices, room.k_taps)
                    drop_padded_slices(slices, room.k_taps, above)
                j = starts[p, s, 1] + r * steps[DOWN, 1] - drift_j
                i = starts[p, s, 2] + r * steps[DOWN, 2] - drift_i
                if i != last_i:
                    last_i = i
                    first, last, aligned, low, high = across(i, step, volume.shape[2], columns, order)
                if first >= last or not (is_inside(k, volume.shape[0]) and is_inside(j, volume.shape[1])):
                    continue
                beside = axis_taps(j, volume.shape[1], order, even, room.j_taps)
                if samples == 1 and above * beside <= 2 and aligned:
                    at, count = np.uint64((p * rows + r) * columns + first), last - first
                    store_pair(
                        volume, all_voxels, room.k_taps, above, room.j_taps, beside,
                        low, count, storage, all_pixels, at,
                    )  # fmt: skip
                    if count < columns:
                        fill(out[p, r, :first], storage.outside)
                        fill(out[p, r, last:], storage.outside)
                    written = True
                    continue
                if not begun:
                    begun = True
                    begin(method, room.total, room.weight)
                if not aligned and i != table_start:
                    table_start = i
                    find_columns(i, step, volume.shape[2], order, even, room.table)
                keep_lines(volume, k, i, above, beside, low, high, first, last, aligned, order, storage, room)
                take(method, weights[s], beside, first, last, storage.has_holes, room)
            if begun:
                finish(method, room.total, room.weight, storage, out[p, r])
            elif not written:
                fill(out[p, r], storage.outside)


@kernel
def keep_lines(volume, k, i, above, beside, low, high, first, last, aligned, order, storage, room):
    """See to it that the lines of *beside* rows of voxels are in the ring; ``found`` tells where."""
    for tap in range(beside):
        row = int(room.j_taps[tap, INDEX])
        slot = row % RING
        room.found[tap, INDEX], room.found[tap, WEIGHT] = slot, room.j_taps[tap, WEIGHT]
        known = room.known[slot]
        if known[0] == row and known[1] == k and known[2] == i:
            continue
        known[0], known[1], known[2] = row, k, i
        a, b = room.lines[slot, first:last], room.holds[slot, first:last]
        if not aligned:
            a, b = room.voxels[: high - low], room.voxels_held[: high - low]
        if storage.has_holes:
            fill(a, np.float32(0.0))
            fill(b, np.float32(0.0))
            blend_true(volume, storage.padding, room.k_taps, above, row, low, high, 1.0, a, b)
        else:
            blend(volume, room.k_taps, above, row, low, high, a)
        if not aligned:
            table = room.table[first:last]
            resample(a, low, table, order, room.lines[slot, first:last])
            if storage.has_holes:
                resample(b, low, table, order, room.holds[slot, first:last])


@kernel
def take(method, sample_weight, beside, first, last, has_holes, room):
    """Add a sample, made of *beside* lines of the ring, to the slab."""
    line, held, total, weight = (
        room.line[first:last],
        room.held[first:last],
        room.total[first:last],
        room.weight[first:last],
    )
    if has_holes:
        mix(room.lines, room.found, beside, first, line)
        mix(room.holds, room.found, beside, first, held)
        add_true(method, sample_weight, line, held, total, weight)
        return
    one = room.lines[int(room.found[0, INDEX]), first:last]
    other = room.lines[int(room.found[beside - 1, INDEX]), first:last]
    w, v = np.float32(room.found[0, WEIGHT]), np.float32(room.found[1, WEIGHT] if beside == 2 else 0.0)
    if beside > 2:
        mix(room.lines, room.found, beside, first, line)
        one, w = line, np.float32(1.0)
    add(method, sample_weight, one, other, w, v, total, weight)


@kernel
def across(i, step, size, columns, order):
    """Return what holds for all rows of pixels that start at *i*.

    The pixels [first, last) that are inside the volume, whether each is one column of voxels, and the voxels
    [low, high) that they are made of.
    """
    first, last = inside_range(i, step, -0.5 - EDGE, size - 0.5 + EDGE, NONE, columns)
    aligned = is_aligned(i, step, last, size, order)
    low, high = span(i, step, first, last, size, order, aligned)
    return first, last, aligned, low, high


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
