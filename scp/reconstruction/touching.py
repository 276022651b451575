"""Which slices a plane touches: the ones that interpolation reads for any of its pixels.

Part of planning; needed for Source Image Sequence (PS3.3 C.12.4) and to leave out planes beside the volume.
Each row of pixels is a straight line in the volume: where it enters and leaves is solved for, and the slice
indices between are the touched ones. Uneven in-plane offsets (jitter) widen the volume here by what they
vary, so that a slice may be named that only its border voxels would have given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scp.model import Interpolation
from scp.reconstruction.geometry import Floats, SliceTable, VolumeGeometry, slice_table

ON_A_SLICE = 1e-4
"""Part of a step to which a plane that lies in a slice is of that slice alone."""

REACH = {Interpolation.NEAREST: 0, Interpolation.LINEAR: 0, Interpolation.CUBIC: 1}
"""Slices beyond the two around a point that an interpolation reads."""

PIXELS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class Touched:
    """The true slices (index into the stack) and filled slices (index into the missing) of one plane."""

    sources: tuple[int, ...]
    filled: tuple[int, ...]

    @property
    def any(self) -> bool:
        return bool(self.sources)


def touched_slices(
    geometry: VolumeGeometry,
    positions: Floats,
    shape: tuple[int, int],
    steps: tuple[Floats, Floats],
    normal: Floats,
    offsets_mm: Sequence[float],
    interpolation: Interpolation,
) -> list[Touched]:
    """Return what each plane touches.

    *positions* (n, 3): first pixel of each plane; *shape*: rows, columns; *steps*: from row to row and from
    column to column (mm); *offsets_mm*: of the slab's samples along *normal*.
    """
    table = slice_table(geometry)
    samples = np.array(offsets_mm)[:, np.newaxis] * normal
    down = np.arange(shape[0])[:, np.newaxis, np.newaxis] * steps[0] + samples
    known: dict[tuple[int, int], Touched] = {}
    touched = []
    for block in np.array_split(positions, max(1, len(positions) * down.size // (3 * PIXELS_AT_ONCE))):
        starts = block[:, np.newaxis, np.newaxis] + down
        for low, high in _slice_ranges(geometry, table, starts, steps[1], shape[1], interpolation):
            key = (int(low), int(high))
            if key not in known:
                known[key] = _named(geometry, *key)
            touched.append(known[key])
    return touched


def _slice_ranges(
    geometry: VolumeGeometry,
    table: SliceTable,
    starts: Floats,
    step: Floats,
    columns: int,
    interpolation: Interpolation,
) -> NDArray[np.intp]:
    """Return for each plane (first axis of *starts*) the first and last slice touched; first > last: none."""
    shear, jitter = _straight_drift(table)
    origin, slope = _row_lines(table, shear, starts, step)
    last = table.heights_mm[-1]
    edge_low, edge_high = _half_steps(table)
    sizes = np.array([geometry.rows, geometry.columns])
    low = np.concatenate([[-edge_low], -0.5 - jitter])
    high = np.concatenate([[last + edge_high], sizes - 0.5 + jitter])
    first, final = _inside(origin, slope, low - ON_A_SLICE, high + ON_A_SLICE, columns)
    ends = np.stack([origin[..., 0] + slope[0] * first, origin[..., 0] + slope[0] * final])
    empty = first > final
    lowest = np.where(empty, np.inf, ends.min(axis=0)).min(axis=(1, 2))
    highest = np.where(empty, -np.inf, ends.max(axis=0)).max(axis=(1, 2))
    return _around(table, lowest, highest, interpolation)


def _around(
    table: SliceTable, lowest_mm: Floats, highest_mm: Floats, interpolation: Interpolation
) -> NDArray[np.intp]:
    """Return first and last slice that points between two heights are made of."""
    final = len(table.heights_mm) - 1
    hit = lowest_mm <= highest_mm
    low = np.clip(table.slice_index(np.where(hit, lowest_mm, 0.0)), 0, final)
    high = np.clip(table.slice_index(np.where(hit, highest_mm, 0.0)), 0, final)
    if interpolation is Interpolation.NEAREST:
        first, last = np.floor(low + 0.5), np.floor(high + 0.5)
    else:
        first, last = np.floor(low + ON_A_SLICE), np.ceil(high - ON_A_SLICE)
    reach = REACH[interpolation] * ((low != first) | (high != last) | (first != last))
    first, last = np.clip(first - reach, 0, final), np.clip(last + reach, 0, final)
    return np.stack([np.where(hit, first, 1), np.where(hit, last, 0)], axis=-1).astype(np.intp)


def _straight_drift(table: SliceTable) -> tuple[Floats, Floats]:
    """Return drift per mm of height (2,) and how far slices lie from it at most (2,), in voxels."""
    height = table.heights_mm[-1]
    shear = table.drift[-1] / height if height > 0 else np.zeros(2)
    return shear, np.abs(table.drift - np.outer(table.heights_mm, shear)).max(axis=0)


def _row_lines(table: SliceTable, shear: Floats, starts: Floats, step: Floats) -> tuple[Floats, Floats]:
    """Return height, row and column index (..., 3) where rows of pixels start, and their step (3,)."""
    frame = table.frame / np.array([1.0, *table.spacing_mm])[:, np.newaxis]
    frame = frame - np.outer([0.0, *shear], table.frame[0])
    lines = (starts - table.origin).reshape(-1, 3) @ frame.T  # one product is faster than many small ones
    return lines.reshape(starts.shape), frame @ step


def _half_steps(table: SliceTable) -> tuple[float, float]:
    if len(table.heights_mm) == 1:
        return 0.5, 0.5
    steps = np.diff(table.heights_mm)
    return float(steps[0]) / 2, float(steps[-1]) / 2


def _inside(origin: Floats, slope: Floats, low: Floats, high: Floats, columns: int) -> tuple[Floats, Floats]:
    """Return first and last column (float, whole) of each row that is within [low, high] on all axes."""
    first = np.zeros(origin.shape[:-1])
    last = np.full(origin.shape[:-1], columns - 1.0)
    for axis in range(3):
        start, step = origin[..., axis], slope[axis]
        if abs(step) * columns < ON_A_SLICE * 1e-3:
            last[(start < low[axis]) | (start > high[axis])] = -1.0
            continue
        enter, leave = _by_sign((low[axis] - start) / step, (high[axis] - start) / step, step)
        np.maximum(first, np.ceil(enter), out=first)
        np.minimum(last, np.floor(leave), out=last)
    return first, last


def _by_sign(at_low: Floats, at_high: Floats, step: float) -> tuple[Floats, Floats]:
    return (at_low, at_high) if step > 0 else (at_high, at_low)


def _named(geometry: VolumeGeometry, first: int, last: int) -> Touched:
    """Return stack and missing indices of the slices *first* to *last*.

    A filled slice is made of the true ones on both sides: they count as touched with it.
    """
    low, high = first, last
    while low <= high and geometry.stack_index[low] < 0:
        low -= 1
    while low <= high and geometry.stack_index[high] < 0:
        high += 1
    sources = tuple(index for index in geometry.stack_index[low : high + 1] if index >= 0)
    filled = tuple(index for index in geometry.missing_index[first : last + 1] if index >= 0)
    return Touched(sources, filled)
