"""A plane that follows a line: columns at equal steps of arc length along a polyline in the patient.

The panoramic view of a jaw, the straightened view of a vessel. Rows run along one given direction. The result
is no plane in the patient: it has no Image Position or Orientation (Patient), and its Pixel Spacing holds
along the line and along that direction only, which is why nothing here is a ``PlanePlan``. Anatomy beside the
line is stretched where the line bends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scp.errors import BadRequest
from scp.model import Interpolation, Vector
from scp.reconstruction.geometry import Floats, VolumeGeometry, slice_table, vector
from scp.reconstruction.reference import sample
from scp.reconstruction.sampling import MAXIMUM_COUNT, ON_THE_EDGE
from scp.reconstruction.volume import Volume


@dataclass(frozen=True, slots=True)
class CurvedPlan:
    """Where the pixels of a curved picture lie.

    *along*: places (mm, patient) of the columns on the line, *spacing_mm* of arc length apart; *up*: unit
    vector towards the first row. The line runs through the middle of the *rows*, *spacing_mm* apart.
    *length_mm*: arc length of the whole line, of which the last column may miss less than one spacing.
    """

    along: tuple[Vector, ...]
    up: Vector
    spacing_mm: float
    rows: int
    length_mm: float

    @property
    def columns(self) -> int:
        return len(self.along)

    def points(self) -> Floats:
        """Return the centres (rows, columns, 3) of the pixels, mm."""
        heights = ((self.rows - 1) / 2 - np.arange(self.rows)) * self.spacing_mm
        points: Floats = np.array(self.along) + heights[:, np.newaxis, np.newaxis] * np.array(self.up)
        return points


def curved_plan(
    geometry: VolumeGeometry,
    line: Sequence[Vector],
    up: Vector,
    height_mm: float,
    spacing_mm: float = 0.0,
) -> CurvedPlan:
    """Return the picture along *line* (points in mm, patient), *height_mm* high around it, up along *up*.

    *spacing_mm* 0 takes the smallest in-plane spacing of the source. Raises ``BadRequest`` where the line has
    no length, *up* no direction or that of the line, where more than 4,096 rows or columns would come of
    it, or where no pixel would lie in the volume.
    """
    spacing = spacing_mm or min(geometry.row_spacing_mm, geometry.column_spacing_mm)
    points = _corners(line)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    direction = _direction(up, np.diff(points, axis=0) / lengths[:, np.newaxis])
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    columns = _count(at[-1], spacing, "line")
    places = np.arange(columns) * spacing
    along = np.stack([np.interp(places, at, points[:, axis]) for axis in range(3)], axis=-1)
    plan = CurvedPlan(
        tuple(map(vector, along)),
        vector(direction),
        spacing,
        _count(height_mm, spacing, "height"),
        float(at[-1]),
    )
    _require_some_inside(plan, geometry)
    return plan


def render_curved(volume: Volume, plan: CurvedPlan, interpolation: Interpolation) -> NDArray[np.generic]:
    """Return the pixels of *plan*: (rows, columns), or (rows, columns, 3) for colour, of ``volume.dtype``.

    Pixels outside the volume have the padding value. One picture is small: it is sampled by the reference.
    """
    values, inside = sample(volume, volume.table.index_of(plan.points()), interpolation)
    lowest, highest = volume.pixel_format.limits
    whole = np.clip(np.floor(values + (volume.bias + 0.5)), lowest, highest)
    pixels = np.where(inside, whole, volume.pixel_format.padding_value).astype(volume.dtype)
    return pixels[0] if volume.pixel_format.samples_per_pixel == 1 else np.moveaxis(pixels, 0, -1)


def _require_some_inside(plan: CurvedPlan, geometry: VolumeGeometry) -> None:
    table = slice_table(geometry)
    ends = np.array([geometry.slices, geometry.rows, geometry.columns]) - 0.5
    for row in plan.points():
        index = table.index_of(row)
        if ((index >= -0.5) & (index <= ends)).all(axis=-1).any():
            return
    raise BadRequest(
        "line",
        f"no pixel of the picture lies in the volume: the line is within {_box(np.array(plan.along))}, the "
        f"volume within {_box(_extremes(geometry))}; give points of the patient (LPS) in the volume",
    )


def _extremes(geometry: VolumeGeometry) -> Floats:
    """Return the centres (8, 3) of the voxels at the corners of the first and of the last slice, mm."""
    down = (geometry.rows - 1) * geometry.row_spacing_mm * np.array(geometry.column_cosine)
    across = (geometry.columns - 1) * geometry.column_spacing_mm * np.array(geometry.row_cosine)
    ends: Floats = np.array([geometry.positions[0], geometry.positions[-1]])
    return np.concatenate([ends, ends + down, ends + across, ends + down + across])


def _box(points: Floats) -> str:
    """Return the box around *points* (n, 3) in words."""
    ranges = zip("xyz", points.min(axis=0), points.max(axis=0), strict=True)
    return ", ".join(f"{axis} {low:.0f} to {high:.0f}" for axis, low, high in ranges) + " mm"


def _corners(line: Sequence[Vector]) -> Floats:
    """Return the points (n, 3) of *line*, without repetitions."""
    points = np.array(line, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise BadRequest("line", "a point of the line is not finite; give x, y and z in mm")
    moved = np.concatenate([[True], np.any(np.diff(points, axis=0) != 0, axis=1)])
    if len(points) == 0 or moved.sum() < 2:
        raise BadRequest("line", f"the line has {len(points)} points and no length; give two different ones")
    kept: Floats = points[moved]
    return kept


def _direction(up: Vector, tangents: Floats) -> Floats:
    """Return *up* with length one."""
    length = float(np.linalg.norm(up))
    if not math.isfinite(length) or length == 0:
        raise BadRequest("up", f"{up} is no direction; give a vector that is not zero")
    direction: Floats = np.array(up, dtype=np.float64) / length
    if np.linalg.norm(np.cross(tangents, direction), axis=1).min() < ON_THE_EDGE:
        raise BadRequest("up", f"the line runs along {up}; rows need another direction than columns")
    return direction


def _count(length_mm: float, spacing_mm: float, keyword: str) -> int:
    if not (math.isfinite(length_mm) and math.isfinite(spacing_mm) and length_mm > 0 and spacing_mm > 0):
        raise BadRequest(
            keyword, f"{length_mm:g} mm in steps of {spacing_mm:g} mm; lengths above zero are needed"
        )
    count = math.floor(length_mm / spacing_mm + ON_THE_EDGE) + 1
    if count > MAXIMUM_COUNT:
        raise BadRequest(
            keyword,
            f"{count} pixels along {length_mm:.4g} mm; at most {MAXIMUM_COUNT} are possible: ask for a "
            "shorter one, or for larger pixels by reconstruction.pixel_spacing",
        )
    return count
