"""The kernels, called: a plan in patient coordinates becomes walks through voxels, by the right family.

Importing this module needs numba; it compiles nothing before :func:`warm` or the first plane.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scp.model import Interpolation, Method
from scp.reconstruction.geometry import Floats, SliceTable
from scp.reconstruction.kernels.general import render_general
from scp.reconstruction.kernels.places import CUBIC, LINEAR, NEAREST
from scp.reconstruction.kernels.records import ACROSS, AVERAGE, DOWN, MAXIMUM, MINIMUM, Sampling, Storage
from scp.reconstruction.kernels.rows import render_rows
from scp.reconstruction.kernels.tiles import render_tiles
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.volume import Volume

ORDERS = {Interpolation.NEAREST: NEAREST, Interpolation.LINEAR: LINEAR, Interpolation.CUBIC: CUBIC}
METHODS = {Method.AVERAGE_IP: AVERAGE, Method.MAXIMUM_IP: MAXIMUM, Method.MINIMUM_IP: MINIMUM}

STRAIGHT = 1e-5
"""Voxels by which a whole row of pixels may leave its row of voxels and still run along it."""


def render_chunk(
    volume: Volume,
    plan: PlanePlan,
    planes: range,
    interpolation: Interpolation,
    sample: int,
    out: NDArray[np.int16],
) -> None:
    """Write *planes* of *plan* to *out* (planes, rows, columns): stored values, unsigned ones as their bits.

    *sample* is the colour channel, 0 for gray. *out* is contiguous.
    """
    table = volume.table
    offsets_mm, weights = plan.samples()
    starts, steps = walk(plan, planes, offsets_mm, table)
    slices = np.column_stack([table.heights_mm, table.drift, volume.usable])
    sampling = Sampling(ORDERS[interpolation], METHODS[plan.request.method], table.is_even)
    flip = np.int16(-32768 if volume.bias else 0)
    storage = Storage(
        np.int32(volume.padding),
        volume.has_holes,
        bool(volume.usable.all()),
        np.int16(volume.outside) ^ flip,
        flip,
    )
    voxels = np.ascontiguousarray(volume.values[sample])
    arguments = (voxels, starts, steps, slices, weights, sampling, storage)
    kernel_of(volume, plan, steps, interpolation)(*arguments, out)


def warm() -> None:
    """Compile all kernels, or load them from numba's cache; seconds the first time, half of one later."""
    voxels, pixels = np.zeros((2, 2, 2), np.int16), np.zeros((1, 1, 1), np.int16)
    places = np.zeros((1, 1, 3)), np.zeros((2, 3)), np.array([[0.0, 0, 0, 1], [1.0, 0, 0, 1]]), np.ones(1)
    storage = Storage(np.int32(0), True, True, np.int16(0), np.int16(0))
    arguments = (voxels, *places, Sampling(LINEAR, AVERAGE, True), storage)
    render_rows(*arguments, pixels)
    render_tiles(*arguments, pixels)
    render_general(*arguments, pixels)


def kernel_of(
    volume: Volume, plan: PlanePlan, steps: Floats, interpolation: Interpolation
) -> Callable[..., None]:
    """Return the kernel that fits how rows and planes run through the voxels."""
    table = volume.table
    if interpolation is Interpolation.CUBIC and volume.has_holes:
        return render_general  # the one that falls back to linear pixel by pixel
    if plan.footprint[1] > 1:
        return render_general  # the samples of a pixel do not lie on one line through the voxels
    step = np.abs(steps[ACROSS]) / (table.step_mm or 1.0, 1.0, 1.0) * plan.columns
    if step[:2].max() < STRAIGHT:
        return render_rows
    travel = np.abs(_local_step(table, plan.normal)) * plan.interval_mm * len(plan.positions)
    sideways = max(abs(steps[ACROSS][2]) * plan.columns, abs(steps[DOWN][2]) * plan.rows)
    if (
        plan.footprint[0] == 1
        and travel[:2].max() < STRAIGHT
        and max(sideways, np.abs(table.drift[:, 1]).max()) < STRAIGHT
    ):
        return render_tiles
    return render_general


def walk(plan: PlanePlan, planes: range, offsets_mm: Floats, table: SliceTable) -> tuple[Floats, Floats]:
    """Return *starts* and *steps* as in ``kernels.records``; *offsets_mm* (samples, 3) of a pixel."""
    firsts = np.array(plan.positions[planes.start : planes.stop])[:, np.newaxis] + offsets_mm
    steps = np.array([plan.column_cosine, plan.row_cosine]) * plan.spacing_mm
    return _local_step(table, firsts - table.origin), _local_step(table, steps)


def _local_step(table: SliceTable, step: Floats) -> Floats:
    """Return *step* (..., 3) in mm as height in mm, rows and columns."""
    return np.ascontiguousarray(step @ table.frame.T / np.array([1.0, *table.spacing_mm]))
