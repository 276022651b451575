"""What a rendered pixel is, in numpy: the readable definition, the oracle of the kernels, the engine without.

A pixel is made of samples of the volume (one for a thin plane, unless its pixels are larger than voxels). A
sample reads the voxels around its place with one weight for each axis, multiplied: the nearest one, two
(linear) or four (cubic: Catmull-Rom, which on uneven slices takes their true heights). Each axis reaches from
-0.5 to n - 0.5; within the half voxel at the border the border's value holds. Padding never mixes in: the
weights of the true voxels are scaled to one where they are at least half, elsewhere the sample is outside.
Cubic falls back to linear where one of its voxels is padding. A slab is the weighted mean, maximum or minimum
of its samples inside. A value x is rounded to floor(x + 0.5).
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from scp.model import Interpolation, Method
from scp.reconstruction.geometry import Floats
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.volume import NOWHERE, Volume

EDGE = 1e-5
"""Voxels by which a point may be beyond the border, and by which ties go upwards: positions are decimal."""

MOSTLY = 0.499
"""Weight of true voxels from which a point is inside: half, less what rounding may take."""

Taps = tuple[NDArray[np.intp], Floats]
"""Indices (..., m) along one axis, and their weights (..., m)."""


def render(volume: Volume, plan: PlanePlan, index: int, interpolation: Interpolation) -> NDArray[np.int16]:
    """Return plane *index* of *plan* (samples, rows, columns), in the values of ``volume.values``."""
    total = _Total(volume, plan)
    for offset, weight in zip(*plan.samples(), strict=True):
        points = plane_points(plan, index) + offset
        total.add(*sample(volume, volume.table.index_of(points), interpolation), weight)
    return total.rounded()


def render_chunk(
    volume: Volume,
    plan: PlanePlan,
    planes: range,
    interpolation: Interpolation,
    sample: int,
    out: NDArray[np.int16],
) -> None:
    """Write *planes* to *out* (planes, rows, columns): stored values, unsigned ones as their bits."""
    for place, index in enumerate(planes):
        values = render(volume, plan, index, interpolation)[sample]
        out[place] = values ^ np.int16(-32768 if volume.bias else 0)


def warm() -> None:
    """Do nothing: there is nothing to compile."""


def plane_points(plan: PlanePlan, index: int) -> Floats:
    """Return the centres (rows, columns, 3) of the pixels of plane *index*, mm."""
    down = np.arange(plan.rows)[:, np.newaxis, np.newaxis] * plan.spacing_mm * np.array(plan.column_cosine)
    across = np.arange(plan.columns)[:, np.newaxis] * plan.spacing_mm * np.array(plan.row_cosine)
    points: Floats = np.array(plan.positions[index]) + down + across
    return points


def sample(volume: Volume, place: Floats, interpolation: Interpolation) -> tuple[Floats, NDArray[np.bool_]]:
    """Return values (samples, ...) at the voxel indices *place* (..., 3), and which (...) are inside."""
    sizes = np.array(volume.values.shape[1:])
    inside = ((place >= -0.5 - EDGE) & (place <= sizes - 0.5 + EDGE)).all(axis=-1)
    place = np.clip(place, 0, sizes - 1)
    values, held, lost = _weighted(volume, place, interpolation)
    if interpolation is Interpolation.CUBIC and volume.has_holes:
        linear, held_linear, _ = _weighted(volume, place, Interpolation.LINEAR)
        padded = lost > EDGE
        values = np.where(padded, linear, values)
        held = np.where(padded, held_linear, held)
    inside &= held >= MOSTLY
    return values, inside


def taps(place: Floats, size: int, interpolation: Interpolation, heights: Floats | None = None) -> Taps:
    """Return which voxels of an axis make the value at *place* (...), and with which weights."""
    if interpolation is Interpolation.NEAREST:
        return np.minimum(np.floor(place + 0.5 + EDGE), size - 1).astype(np.intp)[..., np.newaxis], np.ones(
            (*place.shape, 1)
        )
    below = np.clip(np.floor(place), 0, max(size - 2, 0)).astype(np.intp)
    between = place - below
    if interpolation is Interpolation.LINEAR:
        indices = np.stack([below, np.minimum(below + 1, size - 1)], axis=-1)
        return indices, np.stack([1 - between, between], axis=-1)
    indices = np.clip(below[..., np.newaxis] + np.arange(-1, 3), 0, size - 1)
    return indices, catmull_rom(between, *_neighbour_steps(below, size, heights), below, size)


def catmull_rom(between: Floats, before: Floats, after: Floats, below: NDArray[np.intp], size: int) -> Floats:
    """Return the four weights (..., 4) of a cubic Hermite curve whose tangents are the neighbours' chords.

    *before* and *after*: lengths of the steps on both sides, in steps between the two middle voxels. Where
    a neighbour is missing at the border its chord is the middle step's, so that a ramp stays a ramp.
    """
    s = between
    has_left, has_right = below > 0, below < size - 2
    left = s * (1 - s) ** 2 / np.where(has_left, 1 + before, 1.0)
    right = s * s * (s - 1) / np.where(has_right, 1 + after, 1.0)
    blend = s * s * (3 - 2 * s)
    first = np.where(has_left, -left, 0.0)
    second = 1 - blend - right - np.where(has_left, 0.0, left)
    third = blend + left + np.where(has_right, 0.0, right)
    last = np.where(has_right, right, 0.0)
    return np.stack([first, second, third, last], axis=-1)


def _neighbour_steps(below: NDArray[np.intp], size: int, heights: Floats | None) -> tuple[Floats, Floats]:
    if heights is None or size < 2:
        return np.ones(below.shape), np.ones(below.shape)
    steps = np.diff(heights)
    middle = steps[below]
    before = steps[np.maximum(below - 1, 0)] / middle
    after = steps[np.minimum(below + 1, size - 2)] / middle
    return before, after


def _weighted(volume: Volume, place: Floats, interpolation: Interpolation) -> tuple[Floats, Floats, Floats]:
    """Return the weighted values (samples, ...) of true voxels, their weight (...), and that of padding.

    That of padding is without signs, since those of cubic weights could cancel.
    """
    sizes = volume.values.shape[1:]
    (ks, k_weights), (js, j_weights), (is_, i_weights) = (
        taps(place[..., axis], sizes[axis], interpolation, volume.table.heights_mm if axis == 0 else None)
        for axis in range(3)
    )
    total = np.zeros((volume.values.shape[0], *place.shape[:-1]))
    held, lost = np.zeros(place.shape[:-1]), np.zeros(place.shape[:-1])
    for k, j, i in product(range(ks.shape[-1]), range(js.shape[-1]), range(is_.shape[-1])):
        found = volume.values[:, ks[..., k], js[..., j], is_[..., i]]
        weight = k_weights[..., k] * j_weights[..., j] * i_weights[..., i]
        true = volume.usable[ks[..., k]]
        if volume.padding != NOWHERE:
            true = true & (found[0] != volume.padding)
        total += np.where(true, weight * found, 0.0)
        held += np.where(true, weight, 0.0)
        lost += np.where(true, 0.0, abs(weight))
    return total / np.where(held == 0, 1.0, held), held, lost


class _Total:
    """The samples of a slab, taken together one by one."""

    def __init__(self, volume: Volume, plan: PlanePlan) -> None:
        shape = (volume.values.shape[0], plan.rows, plan.columns)
        self.volume = volume
        self.method = plan.request.method
        start = {Method.AVERAGE_IP: 0.0, Method.MAXIMUM_IP: -np.inf, Method.MINIMUM_IP: np.inf}
        self.values = np.full(shape, start[self.method])
        self.weight = np.zeros(shape[1:])

    def add(self, values: Floats, inside: NDArray[np.bool_], weight: float) -> None:
        self.weight += np.where(inside, weight, 0.0)
        if self.method is Method.AVERAGE_IP:
            self.values += np.where(inside, weight * values, 0.0)
        elif self.method is Method.MAXIMUM_IP:
            self.values = np.where(inside, np.maximum(self.values, values), self.values)
        else:
            self.values = np.where(inside, np.minimum(self.values, values), self.values)

    def rounded(self) -> NDArray[np.int16]:
        hit = self.weight > 0
        values = np.where(hit, self.values, 0.0)
        if self.method is Method.AVERAGE_IP:
            values = values / np.where(hit, self.weight, 1.0)
        lowest, highest = (limit - self.volume.bias for limit in self.volume.pixel_format.limits)
        whole = np.clip(np.floor(values + 0.5), lowest, highest)
        return np.where(hit, whole, self.volume.outside).astype(np.int16)
