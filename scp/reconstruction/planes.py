"""Which planes a request means in a given volume: grid, slab samples, and the slices that each touches.

Second stage of a reconstruction, without a pixel read. Planes are named in patient axes whatever the
acquisition was (PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head). The grid starts at the edge
of the box around all voxel centres, in the direction of travel, and goes on while inside that box.
"""

import math
from dataclasses import dataclass

import numpy as np

from scp.errors import BadRequest
from scp.model import (
    Interpolation,
    PlaneRequest,
    Vector,
    checked_length,
    checked_orientation,
    checked_thickness,
)
from scp.reconstruction.geometry import Floats, VolumeGeometry, slice_table, vector
from scp.reconstruction.sampling import MAXIMUM_COUNT, ON_THE_EDGE, check_count, footprint, slab
from scp.reconstruction.touching import Touched, touched_slices

TRAVEL = np.array([1.0, 1.0, -1.0])
"""Instance Numbers run right to left, anterior to posterior, head to foot: along +x, +y, -z."""

UNCOVERED_MM = 1e-3
"""By how little the last slab may end before the last voxel centre: positions are decimal strings."""


@dataclass(frozen=True, slots=True)
class PlanePlan:
    """A stack of parallel planes with square pixels, in the order of their Instance Numbers.

    *row_cosine*: direction of growing column index (first triple of Image Orientation (Patient)),
    *column_cosine*: of growing row index. *positions*: Image Position (Patient) of each plane;
    *interval_mm*: distance of neighbouring planes, positive. *thickness_mm* is 0 for thin planes. A pixel is
    made of samples at *sample_offsets_mm* along the normal (row x column cosine) with *sample_weights*, which
    sum to one. *sources*: for each plane the indices into the stack of the slices that it touches, *filled*:
    the indices into the list of missing images. *footprint*: samples of a pixel down and across its area,
    more than one where voxels are smaller than pixels. *beyond_mm*: how far voxel centres lie behind the last
    of slabs that leave no gaps, in none of them: the grid ends inside the box (0 where all lie in one).
    """

    request: PlaneRequest
    row_cosine: Vector
    column_cosine: Vector
    spacing_mm: float
    rows: int
    columns: int
    positions: tuple[Vector, ...]
    interval_mm: float
    thickness_mm: float
    sample_offsets_mm: tuple[float, ...]
    sample_weights: tuple[float, ...]
    sources: tuple[tuple[int, ...], ...]
    filled: tuple[tuple[int, ...], ...]
    footprint: tuple[int, int] = (1, 1)
    beyond_mm: float = 0.0

    @property
    def normal(self) -> Floats:
        return np.cross(self.row_cosine, self.column_cosine)

    def samples(self) -> tuple[Floats, Floats]:
        """Return where the samples of a pixel lie from its centre (n, 3) in mm, and their weights (n,)."""
        down, across = (self.spacing_mm * ((np.arange(n) + 0.5) / n - 0.5) for n in self.footprint)
        area = np.outer(down, self.column_cosine)[:, np.newaxis] + np.outer(across, self.row_cosine)
        through = np.outer(self.sample_offsets_mm, self.normal)
        places = through[:, np.newaxis] + area.reshape(-1, 3)
        weights = np.repeat(self.sample_weights, area.size // 3) / (area.size // 3)
        return places.reshape(-1, 3), weights


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where the pixels of all planes lie: *positions* (n, 3), first pixels of the planes, in mm."""

    row: Floats
    column: Floats
    spacing_mm: float
    rows: int
    columns: int
    positions: Floats
    interval_mm: float

    @property
    def steps(self) -> tuple[Floats, Floats]:
        """The ways (mm) from row to row and from column to column."""
        return self.column * self.spacing_mm, self.row * self.spacing_mm


@dataclass(frozen=True, slots=True)
class Line:
    """Samples along one direction: *count* of them, *step_mm* apart, the first at *start_mm*."""

    start_mm: float
    step_mm: float
    count: int


def plan(
    geometry: VolumeGeometry,
    request: PlaneRequest,
    pixel_spacing_mm: float = 0.0,
    interpolation: Interpolation = Interpolation.LINEAR,
) -> PlanePlan:
    """Return the planes that *request* means in the volume; those that touch no slice are left out.

    *pixel_spacing_mm* 0 takes the smallest in-plane spacing of the source. *interpolation* matters for which
    slices are touched, not for the grid. Raises ``BadRequest`` where an attribute of the request cannot be,
    where no plane touches the volume, and where more than 4,096 rows, columns or planes would come of it.
    """
    grid = _grid(geometry, request, pixel_spacing_mm)
    table, thickness = slice_table(geometry), checked_thickness(request)
    offsets, weights = slab(table, thickness)
    area = footprint(table, grid.steps, interpolation)
    check_count(len(offsets), area)
    touched = _touched(geometry, grid, area, offsets, interpolation)
    made = [place for place, slices in enumerate(touched) if slices.any]
    if not made:
        keyword = "ImageOrientationPatient" if request.position is None else "ImagePositionPatient"
        raise BadRequest(keyword, "no plane of the request meets the volume; ask for a plane through it")
    return PlanePlan(
        request=request,
        row_cosine=vector(grid.row),
        column_cosine=vector(grid.column),
        spacing_mm=grid.spacing_mm,
        rows=grid.rows,
        columns=grid.columns,
        positions=tuple(vector(grid.positions[place]) for place in made),
        interval_mm=grid.interval_mm,
        thickness_mm=thickness,
        sample_offsets_mm=offsets,
        sample_weights=weights,
        sources=tuple(touched[place].sources for place in made),
        filled=tuple(touched[place].filled for place in made),
        footprint=area,
        beyond_mm=_beyond(geometry, request, grid),
    )


def travel_sign(normal: Floats) -> float:
    """Return the sign that turns *normal* into the direction in which Instance Numbers run."""
    nearest = int(np.argmax(np.abs(np.round(normal, 6))))
    return float(np.sign(normal[nearest]) * TRAVEL[nearest])


def _grid(geometry: VolumeGeometry, request: PlaneRequest, pixel_spacing_mm: float) -> Grid:
    """Return the grid of all planes in the box around the voxel centres; some may touch no slice."""
    cosines = checked_orientation(request.orientation, request.direction)
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    normal = np.cross(row, column)
    travel = normal * travel_sign(normal)
    spacing = pixel_spacing_mm or min(geometry.row_spacing_mm, geometry.column_spacing_mm)
    interval = (
        checked_length(request.interval_mm, "ReformattingInterval") or checked_thickness(request) or spacing
    )
    corners = _corners(geometry)
    across = _line(corners @ row, spacing, "PixelSpacing")
    down = _line(corners @ column, spacing, "PixelSpacing")
    along = _planes(request, corners, travel, interval)
    starts = (along.start_mm + np.arange(along.count) * along.step_mm)[:, np.newaxis]
    positions = across.start_mm * row + down.start_mm * column + starts * travel
    return Grid(row, column, spacing, down.count, across.count, positions, interval)


def _touched(
    geometry: VolumeGeometry,
    grid: Grid,
    area: tuple[int, int],
    offsets_mm: tuple[float, ...],
    interpolation: Interpolation,
) -> list[Touched]:
    """Return what each plane touches with all samples of its pixels, as if each were a pixel."""
    down, across = grid.steps
    finer = down / area[0], across / area[1]
    return touched_slices(
        geometry,
        grid.positions - (down - finer[0]) / 2 - (across - finer[1]) / 2,
        (grid.rows * area[0], grid.columns * area[1]),
        finer,
        np.cross(grid.row, grid.column),
        offsets_mm,
        interpolation,
    )


def _corners(geometry: VolumeGeometry) -> Floats:
    """Return the centres (n, 3) of the voxels at the four corners of each slice."""
    positions = np.array(geometry.positions)
    across = np.array(geometry.row_cosine) * geometry.column_spacing_mm * (geometry.columns - 1)
    down = np.array(geometry.column_cosine) * geometry.row_spacing_mm * (geometry.rows - 1)
    return np.concatenate([positions, positions + across, positions + down, positions + across + down])


def _line(places_mm: Floats, step_mm: float, keyword: str) -> Line:
    """Return samples from the lowest of *places_mm* on, while inside their range."""
    if not math.isfinite(step_mm) or step_mm <= 0:
        raise BadRequest(keyword, f"{keyword} is {step_mm}; a length in mm above zero is needed")
    start, end = float(places_mm.min()), float(places_mm.max())
    count = math.floor((end - start) / step_mm + ON_THE_EDGE) + 1
    if count > MAXIMUM_COUNT:
        raise BadRequest(
            keyword,
            f"{step_mm:g} mm makes {count} samples along {end - start:.4g} mm; "
            f"at most {MAXIMUM_COUNT} are possible: ask for a larger one",
        )
    return Line(start, step_mm, count)


def _beyond(geometry: VolumeGeometry, request: PlaneRequest, grid: Grid) -> float:
    """Return how far (mm) voxel centres lie behind the last slab, 0 where gaps or one plane are asked for."""
    thickness = checked_thickness(request)
    if request.position is not None or grid.interval_mm > thickness:
        return 0.0
    normal = np.cross(grid.row, grid.column)
    travel = normal * travel_sign(normal)
    beyond = float((_corners(geometry) @ travel).max() - grid.positions[-1] @ travel) - thickness / 2
    return beyond if beyond > UNCOVERED_MM else 0.0


def _planes(request: PlaneRequest, corners: Floats, travel: Floats, interval_mm: float) -> Line:
    if request.position is None:
        return _line(corners @ travel, interval_mm, "ReformattingInterval")
    if not all(map(math.isfinite, request.position)):
        raise BadRequest("ImagePositionPatient", f"{request.position} is no point; three numbers are needed")
    return Line(float(np.array(request.position) @ travel), interval_mm, 1)
