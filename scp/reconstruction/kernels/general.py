"""Planes at any angle: every pixel fetches its own voxels.

Along a row of pixels the place in the volume is affine between two slices, and over all slices where they
are even. Each such run is clipped to the volume once; where all eight voxels exist it is walked in
fixed point (32 bits of fraction), at the border point by point.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

from typing import NamedTuple

import numpy as np

from scp.reconstruction.kernels.lines import fill
from scp.reconstruction.kernels.places import (
    INDEX,
    LINEAR,
    LINEARLY,
    NONE,
    WEIGHT,
    axis_taps,
    clip,
    entry,
    inlined,
    inside_range,
    kernel,
    run,
)
from scp.reconstruction.kernels.records import (
    ACROSS,
    DOWN,
    USABLE,
    Floats,
    Floats32,
    Pixels,
    Sampling,
    Storage,
)
from scp.reconstruction.kernels.slabs import add, add_true, begin, finish

FRACTION = 32
ONE = float(1 << FRACTION)
TO_WEIGHT = np.float32(1.0 / (1 << 24))

MARGIN = 1e-6
"""Voxels kept between a walk in fixed point and the border: 4,096 steps are wrong by half of it."""

PADDED = 1e-5
"""Weight of padding, whatever its sign, from which on a point is not cubic; as in ``reference``."""


class Room(NamedTuple):
    """What one call works in: lines of a row of pixels, places, taps of the three axes."""

    line: Floats32
    held: Floats32
    total: Floats32
    weight: Floats32
    place: Floats
    start: Floats
    step: Floats
    k_taps: Floats
    j_taps: Floats
    i_taps: Floats


def render_general(
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
    columns = out.shape[2]
    room = Room(
        line=np.empty(columns, np.float32),
        held=np.empty(columns, np.float32),
        total=np.empty(columns, np.float32),
        weight=np.empty(columns, np.float32),
        place=np.empty(3),
        start=np.empty(3),
        step=np.empty(3),
        k_taps=np.empty((4, 2)),
        j_taps=np.empty((4, 2)),
        i_taps=np.empty((4, 2)),
    )
    make_general(volume, starts, steps, slices, weights, sampling, storage, room, out)


@entry
def make_general(volume, starts, steps, slices, weights, sampling, storage, room, out):
    """Do the work of :func:`render_general` in *room*."""
    planes, rows, columns = out.shape
    voxels, place = volume.reshape(-1), room.place
    for p in range(planes):
        for r in range(rows):
            begin(sampling.method, room.total, room.weight)
            for s in range(len(weights)):
                for axis in range(3):
                    place[axis] = starts[p, s, axis] + r * steps[DOWN, axis]
                column = NONE
                while column < columns:
                    end = run(
                        place, steps[ACROSS], slices, sampling.even, column, columns, room.start, room.step
                    )
                    first, last = clip(volume.shape, room.start, room.step, column, end)
                    column = end
                    if first < last:
                        take(volume, voxels, first, last, weights[s], slices, sampling, storage, room)
            finish(sampling.method, room.total, room.weight, storage, out[p, r])


@kernel
def take(volume, voxels, first, last, sample_weight, slices, sampling, storage, room):
    """Add a sample to the columns [first, last), which one affine map takes into the volume."""
    start, step, line, held = room.start, room.step, room.line, room.held
    inner, total, weight = line[first:last], room.total[first:last], room.weight[first:last]
    if sampling.order == LINEAR and not storage.has_holes:
        linear(volume, voxels, start, step, first, last, line)
        add(sampling.method, sample_weight, inner, inner, np.float32(1.0), np.float32(0.0), total, weight)
        return
    fill(held[first:last], np.float32(0.0))
    if sampling.order == LINEAR and storage.all_usable:
        linear_true(volume, voxels, storage.padding, start, step, first, last, line, held)
    taps = (room.k_taps, room.j_taps, room.i_taps)
    point_by_point(volume, start, step, first, last, sampling, slices, storage, taps, line, held)
    add_true(sampling.method, sample_weight, inner, held[first:last], total, weight)


@kernel
def linear(volume, voxels, start, step, first, last, line):
    """Write linear values of the columns [first, last) to *line*; no voxel is padding."""
    low, high = interior(volume.shape, start, step, first, last)
    for c in range(first, low):
        line[c] = linear_at(volume, start[0] + step[0] * c, start[1] + step[1] * c, start[2] + step[2] * c)
    linear_inside(volume, voxels, start, step, low, high, line)
    for c in range(high, last):
        line[c] = linear_at(volume, start[0] + step[0] * c, start[1] + step[1] * c, start[2] + step[2] * c)


@kernel
def interior(shape, start, step, first, last):
    """Return the part of the columns [first, last) where all eight voxels exist."""
    low, high = first, last
    for axis in range(3):
        low, high = inside_range(start[axis], step[axis], MARGIN, shape[axis] - 1 - MARGIN, low, high)
    return (low, high) if low < high else (last, last)


@kernel
def linear_at(volume, k, j, i):
    """Return the value at one point, which may be in the half voxel at the border."""
    k = min(max(k, 0.0), volume.shape[0] - 1.0)
    j = min(max(j, 0.0), volume.shape[1] - 1.0)
    i = min(max(i, 0.0), volume.shape[2] - 1.0)
    a, b, c = int(k), int(j), int(i)
    d, e, f = (
        min(a + 1, volume.shape[0] - 1),
        min(b + 1, volume.shape[1] - 1),
        min(c + 1, volume.shape[2] - 1),
    )
    w = np.float32(i - c)
    v = np.float32(j - b)
    near = mix(mix(volume[a, b, c], volume[a, b, f], w), mix(volume[a, e, c], volume[a, e, f], w), v)
    far = mix(mix(volume[d, b, c], volume[d, b, f], w), mix(volume[d, e, c], volume[d, e, f], w), v)
    return mix(near, far, np.float32(k - a))


@inlined
def mix(low, high, weight):
    low = np.float32(low)
    return low + (np.float32(high) - low) * weight


@inlined
def fixed(place):
    return np.int64(place * ONE)


@inlined
def fraction(place):
    """Return the fraction of a place in fixed point as a weight: its upper 24 bits."""
    return np.float32(np.int32((place >> 8) & 0xFFFFFF)) * TO_WEIGHT


@kernel
def linear_inside(volume, voxels, start, step, low, high, line):
    """Write the columns [low, high), of which every one has all of its eight voxels."""
    row, slice_, right = (
        np.uint64(volume.shape[2]),
        np.uint64(volume.shape[1] * volume.shape[2]),
        np.uint64(1),
    )
    k, j, i = (
        fixed(start[0] + step[0] * low),
        fixed(start[1] + step[1] * low),
        fixed(start[2] + step[2] * low),
    )
    dk, dj, di = fixed(step[0]), fixed(step[1]), fixed(step[2])
    for c in range(low, high):
        a = np.uint64(k >> FRACTION) * slice_ + np.uint64(j >> FRACTION) * row + np.uint64(i >> FRACTION)
        b, d = a + row, a + slice_
        e = d + row
        w, v = fraction(i), fraction(j)
        near = mix(mix(voxels[a], voxels[a + right], w), mix(voxels[b], voxels[b + right], w), v)
        far = mix(mix(voxels[d], voxels[d + right], w), mix(voxels[e], voxels[e + right], w), v)
        line[c] = mix(near, far, fraction(k))
        k, j, i = k + dk, j + dj, i + di


@kernel
def linear_true(volume, voxels, padding, start, step, first, last, line, held):
    """Write the columns all of whose eight voxels exist and are true; they hold all of the weight."""
    low, high = interior(volume.shape, start, step, first, last)
    row, slice_, right = (
        np.uint64(volume.shape[2]),
        np.uint64(volume.shape[1] * volume.shape[2]),
        np.uint64(1),
    )
    k, j, i = (
        fixed(start[0] + step[0] * low),
        fixed(start[1] + step[1] * low),
        fixed(start[2] + step[2] * low),
    )
    dk, dj, di = fixed(step[0]), fixed(step[1]), fixed(step[2])
    none = np.int16(padding)
    for c in range(low, high):
        a = np.uint64(k >> FRACTION) * slice_ + np.uint64(j >> FRACTION) * row + np.uint64(i >> FRACTION)
        b, d = a + row, a + slice_
        e = d + row
        s, t, u, v = voxels[a], voxels[a + right], voxels[b], voxels[b + right]
        w, x, y, z = voxels[d], voxels[d + right], voxels[e], voxels[e + right]
        near = mix(mix(s, t, fraction(i)), mix(u, v, fraction(i)), fraction(j))
        far = mix(mix(w, x, fraction(i)), mix(y, z, fraction(i)), fraction(j))
        line[c] = mix(near, far, fraction(k))
        all_near = (s != none) & (t != none) & (u != none) & (v != none)
        held[c] = all_near & (w != none) & (x != none) & (y != none) & (z != none)
        k, j, i = k + dk, j + dj, i + di


@kernel
def point_by_point(volume, start, step, first, last, sampling, slices, storage, taps, line, held):
    """Write weighted sums of true voxels and the weight these hold, where nothing is held yet."""
    for c in range(first, last):
        if held[c] > 0:
            continue
        k, j, i = start[0] + step[0] * c, start[1] + step[1] * c, start[2] + step[2] * c
        value, true, lost = true_at(volume, k, j, i, sampling.order, slices, storage.padding, taps)
        if sampling.order > LINEAR and lost > PADDED:
            value, true, lost = true_at(volume, k, j, i, LINEARLY, slices, storage.padding, taps)
        line[c] = value
        held[c] = true


@kernel
def true_at(volume, k, j, i, order, slices, padding, taps):
    """Return the weighted sum of true voxels at one point, the weight that they hold, and that of padding.

    The weight of padding without signs: those of cubic could cancel.
    """
    k_taps, j_taps, i_taps = taps
    ks = axis_taps(k, volume.shape[0], order, slices, k_taps)
    js = axis_taps(j, volume.shape[1], order, slices[:0], j_taps)
    columns = axis_taps(i, volume.shape[2], order, slices[:0], i_taps)
    value = held = lost = 0.0
    for a in range(ks):
        above = int(k_taps[a, INDEX])
        if slices[above, USABLE] == 0:
            lost += abs(k_taps[a, WEIGHT])
            continue
        for b in range(js):
            beside, share = int(j_taps[b, INDEX]), k_taps[a, WEIGHT] * j_taps[b, WEIGHT]
            for c in range(columns):
                voxel = np.int32(volume[above, beside, int(i_taps[c, INDEX])])
                weight = share * i_taps[c, WEIGHT]
                if voxel != padding:
                    value += weight * voxel
                    held += weight
                else:
                    lost += abs(weight)
    return value, held, lost
