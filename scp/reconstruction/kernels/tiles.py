"""Planes of which neighbours run along a row of voxels: sagittal planes of axial slices.

One plane alone would read one voxel of every cache line. A chunk of planes reads the line once: for a block
of columns the rows of voxels are blended into a tile, which is written out turned round.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scp.reconstruction.kernels.lines import (
    MOSTLY,
    blend_true,
    drop_padded_slices,
    fill,
    row_start,
    store_pair,
    store_sum,
    stored,
)
from scp.reconstruction.kernels.places import (
    INDEX,
    LINEAR,
    NO_PLACE,
    NONE,
    WEIGHT,
    axis_taps,
    clip,
    entry,
    is_inside,
    kernel,
    run,
)
from scp.reconstruction.kernels.records import ACROSS, DOWN, Floats, Floats32, Pixels, Sampling, Storage
from scp.reconstruction.kernels.slabs import add_true, begin, finish, mix

BLOCK = 256
"""Columns of a tile: with 32 planes it stays in the first cache, and the voxels that it is made of in the
second until the next row of pixels wants them too."""


class Room(NamedTuple):
    """What one call works in.

    *depths* (planes, samples, 4, 2) and *counts*: taps along the rows of voxels; *ks*, *js*, *hit* of each
    column of a tile; *beside* (BLOCK, 4, 2) and *besides*: taps for *js*. A tile is *tile* (BLOCK, depth) of
    pixels, or *lines* and *holds* (depth, BLOCK) where those are yet to be made.
    """

    depths: Floats
    counts: NDArray[np.int64]
    ks: Floats
    js: Floats
    hit: NDArray[np.bool_]
    beside: Floats
    besides: NDArray[np.int64]
    tile: Pixels
    turned: Pixels
    lines: Floats32
    holds: Floats32
    line: Floats32
    held: Floats32
    nothing: Floats32
    total: Floats32
    weight: Floats32
    place: Floats
    start: Floats
    step: Floats
    k_taps: Floats


def render_tiles(
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
    size, (planes, samples) = volume.shape[2], starts.shape[:2]
    room = Room(
        depths=np.zeros((planes, samples, 4, 2)),
        counts=np.zeros((planes, samples), np.int64),
        ks=np.zeros(BLOCK),
        js=np.full(BLOCK, NO_PLACE),
        hit=np.zeros(BLOCK, np.bool_),
        beside=np.empty((BLOCK, 4, 2)),
        besides=np.zeros(BLOCK, np.int64),
        tile=np.empty(BLOCK * size, np.int16),
        turned=np.empty(BLOCK, np.int16),
        lines=np.empty((size, BLOCK), np.float32),
        holds=np.empty((size, BLOCK), np.float32),
        line=np.empty(max(size, BLOCK), np.float32),
        held=np.empty(max(size, BLOCK), np.float32),
        nothing=np.zeros(size, np.float32),
        total=np.empty(BLOCK, np.float32),
        weight=np.empty(BLOCK, np.float32),
        place=np.empty(3),
        start=np.empty(3),
        step=np.empty(3),
        k_taps=np.empty((4, 2)),
    )
    make_tiles(volume, starts, steps, slices, weights, sampling, storage, room, out)


@entry
def make_tiles(volume, starts, steps, slices, weights, sampling, storage, room, out):
    """Do the work of :func:`render_tiles` in *room*."""
    planes, rows, columns = out.shape
    voxels, order = volume.reshape(-1), sampling.order
    low, high, whole = find_depths(volume.shape[2], starts, order, slices[:0], room.depths, room.counts)
    direct = whole and len(weights) == 1 and order <= LINEAR
    for block in range(0, columns, BLOCK):
        width = min(BLOCK, columns - block)
        for r in range(rows):
            level = trace_row(volume.shape, starts, steps, slices, sampling, r, block, width, room)
            if direct and level and not storage.has_holes:
                store_tile(volume, voxels, low, high, slices, order, storage, width, room)
            else:
                blend_tile(volume, voxels, low, high, slices, order, direct, storage, width, room)
            if direct:
                turn(high - low, storage.outside, room, r, block, width, out)
                continue
            for p in range(planes):
                pixels = out[p, r, block : block + width]
                mix_tile(p, high - low, weights, sampling.method, storage, room, pixels)


@kernel
def store_tile(volume, voxels, low, high, slices, order, storage, width, room):
    """Make the pixels of a tile all of whose columns are single rows of voxels, at one height."""
    above = axis_taps(room.ks[0], volume.shape[0], order, slices, room.k_taps)
    w, v = np.float32(room.k_taps[0, WEIGHT]), np.float32(room.k_taps[1, WEIGHT] if above > 1 else 0.0)
    down, depth = np.uint64(volume.shape[2]), np.uint64(high - low)
    first = row_start(volume.shape, room.k_taps[0, INDEX], 0.0) + np.uint64(low)
    second = row_start(volume.shape, room.k_taps[above - 1, INDEX], 0.0) + np.uint64(low)
    for c in range(np.uint64(width)):
        row = np.uint64(room.beside[c, 0, INDEX]) * down
        store_sum(voxels, first + row, second + row, w, v, storage.flip, room.tile, c * depth, depth)


@kernel
def blend_tile(volume, voxels, low, high, slices, order, direct, storage, width, room):
    """Blend the voxels [low, high) of the rows under *width* columns, into pixels where it is *direct*."""
    last_k, above, depth = NO_PLACE, 0, high - low
    line, held, lines, holds = room.line[:depth], room.held[:depth], room.lines[:depth], room.holds[:depth]
    for c in range(width):
        k, beside, j_taps = room.ks[c], room.besides[c], room.beside[c]
        if not room.hit[c]:
            fill(room.tile[c * depth : (c + 1) * depth], storage.outside)
            turn_in(room.nothing, holds, c)
            continue
        if k != last_k:
            last_k = k
            above = axis_taps(k, volume.shape[0], order, slices, room.k_taps)
            drop_padded_slices(slices, room.k_taps, above)
        if direct and above * beside <= 2:
            at = np.uint64(c * depth)
            store_pair(volume, voxels, room.k_taps, above, j_taps, beside, low, depth, storage, room.tile, at)
            continue
        fill(line, np.float32(0.0))
        fill(held, np.float32(0.0))
        for tap in range(beside):
            row, share = int(j_taps[tap, INDEX]), j_taps[tap, WEIGHT]
            blend_true(volume, storage.padding, room.k_taps, above, row, low, high, share, line, held)
        if direct:
            store_line(line, held, storage, room.tile[c * depth : (c + 1) * depth])
        else:
            turn_in(line, lines, c)
            turn_in(held, holds, c)


@kernel
def mix_tile(p, depth, weights, method, storage, room, pixels):
    """Write a piece of a row of plane *p*, of samples between the lines of the tile."""
    line, held = room.line[:BLOCK], room.held[:BLOCK]
    begin(method, room.total, room.weight)
    for s in range(len(weights)):
        if room.counts[p, s] > 0:
            mix(room.lines[:depth], room.depths[p, s], room.counts[p, s], NONE, line)
            mix(room.holds[:depth], room.depths[p, s], room.counts[p, s], NONE, held)
            add_true(method, weights[s], line, held, room.total, room.weight)
    finish(method, room.total, room.weight, storage, pixels)


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
def trace_row(shape, starts, steps, slices, sampling, r, block, width, room):
    """Find k, j and the taps for j of *width* columns of row *r* from *block* on, and which are inside.

    Tell whether all of them are, at one height and each in a single row of voxels.
    """
    place, start, step, column, inside, single = room.place, room.start, room.step, block, NONE, True
    for axis in range(3):
        place[axis] = starts[0, 0, axis] + r * steps[DOWN, axis]
    fill(room.hit, False)
    while column < block + width:
        end = run(place, steps[ACROSS], slices, sampling.even, column, block + width, start, step)
        start[2], step[2] = 0.0, 0.0
        first, last = clip(shape, start, step, column, end)
        column, inside = end, inside + last - first
        for c in range(first, last):
            j = min(max(start[1] + step[1] * c, 0.0), shape[1] - 1.0)
            room.ks[c - block] = min(max(start[0] + step[0] * c, 0.0), shape[0] - 1.0)
            room.hit[c - block] = True
            if j != room.js[c - block]:
                room.js[c - block] = j
                beside = room.beside[c - block]
                room.besides[c - block] = axis_taps(j, shape[1], sampling.order, slices[:0], beside)
            single &= (room.besides[c - block] == 1) & (room.ks[c - block] == room.ks[0])
    return single and inside == width


@kernel
def turn_in(line, lines, c):
    """Write *line* as column *c* of *lines*."""
    for i in range(len(lines)):
        lines[i, c] = line[i]


@kernel
def store_line(line, held, storage, pixels):
    """Make pixels of a blended line."""
    for i in range(len(pixels)):
        pixel = stored(line[i] / max(held[i], MOSTLY), storage.flip)
        pixels[i] = pixel if held[i] >= MOSTLY else storage.outside


@kernel
def turn(depth, outside, room, r, block, width, out):
    """Write the columns of the tile as pieces of row *r*, one for each plane.

    By way of *turned*: single pixels would fill the queue of stores before the first has its cache line.
    """
    tile, turned, down = room.tile, room.turned, np.uint64(depth)
    for p in range(out.shape[0]):
        pixels, column = out[p, r, block : block + width], np.uint64(room.depths[p, 0, 0, INDEX])
        if room.counts[p, 0] == 0:
            fill(pixels, outside)
            continue
        for c in range(np.uint64(width)):
            turned[c] = tile[c * down + column]
        for c in range(width):
            pixels[c] = turned[c]
