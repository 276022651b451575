"""Where the voxels of a stack lie in the patient.

First stage of a reconstruction: headers in, one :class:`VolumeGeometry` out (PS3.3 C.7.6.2, Image Plane
Module). Slices keep their true positions; nothing is put onto an even grid first. It reads no pixels and
does not decide what belongs to the stack.

Theory. A point ``p`` is split into its height ``t`` along the normal of the slices and its place in the
slice. The height gives the continuous slice index ``k``: the two slices around it and how far it is between
them. The same ``k`` tells how far the slices' first voxels have drifted in the plane by then, and what is
left is the column index ``i`` and the row index ``j``. A tilted gantry is a drift that grows evenly with
``k``; uneven steps and jitter are just other tables. Where all slices lie on an even line to within
:data:`EVEN_MM`, the tables are those of that line, and the whole map is one affine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scp.errors import Code, Refused
from scp.model import FileFacts, Missing, Vector, orthonormal

EVEN_MM = 0.01
"""Slices this near to an even line are on it: Image Position (Patient) is often written with two decimals."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VolumeGeometry:
    """The slices of a volume, in order along the normal (row x column cosine).

    *rows*, *columns*: voxels of a slice; *row_cosine*: direction of growing column index (first triple of
    Image Orientation (Patient)), *column_cosine*: of growing row index. *row_spacing_mm* lies between rows,
    *column_spacing_mm* between columns (PS3.3 10.7.1.3). *positions*: Image Position (Patient) of every
    slice, filled ones included. *stack_index* tells for each slice its place in the stack, -1 where it is
    filled; *missing_index* its place in the list of missing images, -1 where it is a true one.
    """

    rows: int
    columns: int
    row_cosine: Vector
    column_cosine: Vector
    row_spacing_mm: float
    column_spacing_mm: float
    positions: tuple[Vector, ...]
    stack_index: tuple[int, ...]
    missing_index: tuple[int, ...]

    @property
    def slices(self) -> int:
        return len(self.positions)

    @property
    def normal(self) -> Floats:
        return np.cross(self.row_cosine, self.column_cosine)


@dataclass(frozen=True, slots=True, eq=False)
class SliceTable:
    """Height and drift of each slice, in the coordinates of the first one.

    *frame* (3, 3): rows are the normal, the column and the row cosine: ``frame @ (p - origin)`` is the
    height and the place in the plane (mm). *heights_mm* (n,), strictly growing; *drift* (n, 2): rows and
    columns by which a slice is shifted against the first. *spacing_mm*: between rows, between columns.
    """

    origin: Floats
    frame: Floats
    spacing_mm: Floats
    heights_mm: Floats
    drift: Floats

    @property
    def step_mm(self) -> float:
        """The smallest step between neighbouring slices along the normal; 0 for a single slice."""
        return float(np.diff(self.heights_mm).min()) if len(self.heights_mm) > 1 else 0.0

    @property
    def is_even(self) -> bool:
        """Whether one affine map holds for all slices."""
        if len(self.heights_mm) < 3:
            return True
        steps = np.diff(np.column_stack([self.heights_mm, self.drift]), axis=0)
        return bool(np.ptp(steps, axis=0).max() < EVEN_MM * 1e-6)

    def index_of(self, points: Floats) -> Floats:
        """Return the continuous voxel index (..., 3) = (k, j, i) of *points* (..., 3) in mm.

        Before the first and after the last slice the nearest step goes on.
        """
        local = (points - self.origin) @ self.frame.T
        k = self.slice_index(local[..., 0])
        below = np.clip(np.floor(k).astype(np.intp), 0, max(len(self.heights_mm) - 2, 0))
        above = np.minimum(below + 1, len(self.heights_mm) - 1)
        between = (k - below)[..., np.newaxis]
        drift = self.drift[below] + between * (self.drift[above] - self.drift[below])
        return np.concatenate([k[..., np.newaxis], local[..., 1:] / self.spacing_mm - drift], axis=-1)

    def slice_index(self, heights_mm: Floats) -> Floats:
        """Return the continuous slice index of *heights_mm*. A single slice counts as 1 mm thick."""
        table = self.heights_mm
        if len(table) == 1:
            return np.asarray(heights_mm, dtype=np.float64)
        below = np.clip(np.searchsorted(table, heights_mm, side="right") - 1, 0, len(table) - 2)
        return below + (heights_mm - table[below]) / (table[below + 1] - table[below])


def volume_geometry(stack: Sequence[FileFacts], missing: Sequence[Missing] = ()) -> VolumeGeometry:
    """Return the geometry of *stack*, given in order along the normal, with a slice for each of *missing*.

    A missing image becomes a slice where its position is known and true slices lie on both of its sides;
    others (lost ends) do not. Raises ``Refused`` where the order is not that of the positions.
    """
    header = stack[0].header
    cosines = orthonormal(header.numbers("ImageOrientationPatient"))
    row_spacing, column_spacing = header.numbers("PixelSpacing")[:2]
    slices = _slices(stack, missing)
    geometry = VolumeGeometry(
        rows=int(header.numbers("Rows")[0]),
        columns=int(header.numbers("Columns")[0]),
        row_cosine=vector(cosines[:3]),
        column_cosine=vector(cosines[3:]),
        row_spacing_mm=row_spacing,
        column_spacing_mm=column_spacing,
        positions=tuple(position for position, _, _ in slices),
        stack_index=tuple(index for _, index, _ in slices),
        missing_index=tuple(index for _, _, index in slices),
    )
    _check_order(geometry)
    return geometry


def slice_table(geometry: VolumeGeometry) -> SliceTable:
    """Return heights and drifts of the slices: of an even line where they lie on one, else the true ones."""
    frame = np.array([geometry.normal, geometry.column_cosine, geometry.row_cosine])
    spacing = np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    positions = np.array(geometry.positions, dtype=np.float64)
    line = even_line(positions)
    places = (line if line is not None else positions) - positions[0]
    local = places @ frame.T
    return SliceTable(positions[0], frame, spacing, local[:, 0], local[:, 1:] / spacing)


def even_line(positions: Floats) -> Floats | None:
    """Return an even line (n, 3) from the first position to the last, ``None`` where slices are off it.

    The step is (last - first) / (n - 1): a gantry tilt is just its part in the plane.
    """
    count = len(positions)
    if count < 2:
        return positions
    line = positions[0] + np.outer(np.arange(count), (positions[-1] - positions[0]) / (count - 1))
    return line if np.abs(positions - line).max() < EVEN_MM else None


def vector(array: Floats | Sequence[float]) -> Vector:
    """Return three floats; a negative zero is a zero, since people read it."""
    x, y, z = (float(value) + 0.0 for value in array)
    return x, y, z


def _slices(stack: Sequence[FileFacts], missing: Sequence[Missing]) -> list[tuple[Vector, int, int]]:
    """Return (position, index in the stack, index in the missing) of each slice; -1 where it has none."""
    fills: dict[int, list[int]] = {}
    for index, hole in enumerate(missing):
        if hole.image_position_patient is not None and hole.lies_within(len(stack)):
            fills.setdefault(hole.before, []).append(index)
    slices: list[tuple[Vector, int, int]] = []
    for place, facts in enumerate(stack):
        for index in fills.get(place, ()):
            position = missing[index].image_position_patient
            assert position is not None
            slices.append((position, -1, index))
        x, y, z = facts.header.numbers("ImagePositionPatient")
        slices.append(((x, y, z), place, -1))
    return slices


def _check_order(geometry: VolumeGeometry) -> None:
    steps = np.diff(np.array(geometry.positions) @ geometry.normal)
    if geometry.slices > 1 and steps.min() <= 0:
        place = int(np.argmin(steps))
        raise Refused(
            Code.NOT_A_STACK,
            f"slice {place + 1} lies {steps[place]:.4g} mm after slice {place} along the normal; "
            "a volume needs its slices in order, one to a position",
        )
