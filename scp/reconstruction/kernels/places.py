"""Scalars under the kernels: where a point lies in the volume, and which voxels it is made of.

The same definitions as ``geometry.SliceTable`` and ``reference.taps``, one point at a time.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import math
from functools import partial

import numpy as np
from numba import njit

from scp.reconstruction.kernels.records import DRIFT_COLUMNS, DRIFT_ROWS, HEIGHT

rules = partial(njit, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "nnan"}, _nrt=False)
"""How everything here is compiled: without the interpreter's lock, no order of operations changed.

Without ``_nrt`` nothing can be allocated and references to arrays are not counted. To count them cost more
than the pixels: one atomic addition, on a number that all threads share, for each row looked at.
"""

entry = rules(cache=True)
"""A kernel that Python calls: it alone is kept on disk, with all that it calls inside."""

kernel = rules(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""What other compiled code calls. Its arguments are variables, not literal numbers: each literal would be
compiled anew."""

inlined = rules(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)

NEAREST, LINEAR, CUBIC = 1, 2, 4
"""An interpolation by the number of voxels that it reads along one axis."""

EDGE = 1e-5
"""As in ``reference``: voxels by which a point may be beyond the border, and by which ties go upwards."""

ALIGNED = 1e-6
"""Voxels by which a point may miss a voxel's centre and still be that voxel: 1/15 of a value at most."""

NO_PLACE = -1e30
"""What nothing lies at."""

INDEX, WEIGHT = 0, 1
"""Columns of the taps (4, 2) of an axis."""

NONE, LINEARLY = np.int64(0), np.int64(LINEAR)
"""Numbers that are no literals to the compiler."""


@kernel
def slice_below(height, slices):
    """Return the slice below *height*, such that one above it exists; 0 for a single slice."""
    last = len(slices) - 2
    if last < 0:
        return 0
    mean = (slices[last + 1, HEIGHT] - slices[0, HEIGHT]) / (last + 1)
    below = int(min(max((height - slices[0, HEIGHT]) / mean, 0.0), float(last)))
    while below > 0 and slices[below, HEIGHT] > height:
        below -= 1
    while below < last and slices[below + 1, HEIGHT] <= height:
        below += 1
    return below


@inlined
def slice_scale(below, slices):
    """Return slices per mm between *below* and the next one."""
    return 1.0 / (slices[below + 1, HEIGHT] - slices[below, HEIGHT]) if len(slices) > 1 else 1.0


@kernel
def locate_height(height, slices):
    """Return the continuous slice index of *height*, and the drift in rows and in columns there."""
    below = slice_below(height, slices)
    above = min(below + 1, len(slices) - 1)
    between = (height - slices[below, HEIGHT]) * slice_scale(below, slices)
    rows, columns = slices[below, DRIFT_ROWS], slices[below, DRIFT_COLUMNS]
    rows += between * (slices[above, DRIFT_ROWS] - rows)
    columns += between * (slices[above, DRIFT_COLUMNS] - columns)
    return below + between, rows, columns


@inlined
def is_inside(place, size):
    return -0.5 - EDGE <= place <= size - 0.5 + EDGE


@kernel
def inside_range(start, step, low, high, first, last):
    """Return the part of [first, last) where low <= start + step * c <= high."""
    if abs(step) < 1e-12:
        return (first, last) if low <= start <= high else (0, 0)
    enter, leave = (low - start) / step, (high - start) / step
    if step < 0:
        enter, leave = leave, enter
    first = max(first, math.ceil(min(max(enter, -1.0), 1e9)))
    last = min(last, math.floor(max(min(leave, 1e9), -2.0)) + 1)
    return (first, last) if first < last else (0, 0)


@kernel
def axis_taps(place, size, order, slices, taps):
    """Write voxels and weights of one axis to *taps* (4, 2); return how many they are: 1, 2 or 4.

    *slices* tells the heights along the first axis; along the others it has no rows (even).
    """
    place = min(max(place, 0.0), size - 1.0)
    if order == NEAREST:
        taps[0, INDEX] = min(math.floor(place + 0.5 + EDGE), size - 1)
        taps[0, WEIGHT] = 1.0
        return 1
    nearest = math.floor(place + 0.5)
    if abs(place - nearest) < ALIGNED:
        taps[0, INDEX] = nearest
        taps[0, WEIGHT] = 1.0
        return 1
    below = min(int(place), max(size - 2, 0))
    s = place - below
    if order == LINEAR:
        taps[0, INDEX], taps[1, INDEX] = below, below + 1
        taps[0, WEIGHT], taps[1, WEIGHT] = 1.0 - s, s
        return 2
    return cubic_taps(below, s, size, slices, taps)


@kernel
def cubic_taps(below, s, size, slices, taps):
    """Write the four taps of a Catmull-Rom curve; a ramp stays a ramp at the border and on uneven slices."""
    has_left, has_right = below > 0, below < size - 2
    before = after = 1.0
    if len(slices) > 1:
        middle = slices[below + 1, HEIGHT] - slices[below, HEIGHT]
        if has_left:
            before = (slices[below, HEIGHT] - slices[below - 1, HEIGHT]) / middle
        if has_right:
            after = (slices[below + 2, HEIGHT] - slices[below + 1, HEIGHT]) / middle
    left = s * (1 - s) ** 2 / (1 + before if has_left else 1.0)
    right = s * s * (s - 1) / (1 + after if has_right else 1.0)
    blend = s * s * (3 - 2 * s)
    for tap in range(4):
        taps[tap, INDEX] = min(max(below - 1 + tap, 0), size - 1)
    taps[0, WEIGHT] = -left if has_left else 0.0
    taps[1, WEIGHT] = 1 - blend - right - (0.0 if has_left else left)
    taps[2, WEIGHT] = blend + left + (0.0 if has_right else right)
    taps[3, WEIGHT] = right if has_right else 0.0
    return 4


@kernel
def run(place, column_step, slices, even, column, columns, start, step):
    """Write the affine map column -> (k, j, i) that holds from *column* on; return where it ends."""
    height, rise = place[0] + column * column_step[0], column_step[0]
    below = slice_below(height, slices)
    if rise < 0 and below > 0 and height == slices[below, HEIGHT]:
        below -= 1
    end = columns
    if not even and rise > 0 and below < len(slices) - 2:
        end = crossing(slices[below + 1, HEIGHT] - height, rise, column, columns)
    elif not even and rise < 0 and below > 0:
        end = crossing(slices[below, HEIGHT] - height, rise, column, columns)
    scale = slice_scale(below, slices)
    above = min(below + 1, len(slices) - 1)
    step[0] = rise * scale
    start[0] = below + (place[0] - slices[below, HEIGHT]) * scale
    for axis in range(2):
        drift = slices[below, DRIFT_ROWS + axis]
        slope = slices[above, DRIFT_ROWS + axis] - drift
        step[1 + axis] = column_step[1 + axis] - slope * step[0]
        start[1 + axis] = place[1 + axis] - drift - slope * (start[0] - below)
    return end


@kernel
def crossing(way, rise, column, columns):
    """Return the first column after *column* by which a row that rises by *rise* has made its *way*."""
    return int(min(column + 1 + max(way / rise, 0.0), float(columns)))


@kernel
def clip(shape, start, step, first, last):
    """Return the part of the columns [first, last) that is inside the volume."""
    for axis in range(3):
        first, last = inside_range(
            start[axis], step[axis], -0.5 - EDGE, shape[axis] - 0.5 + EDGE, first, last
        )
    return first, last
