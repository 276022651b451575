"""Which planes a request means in a given volume: grid, slab samples, and the slices that each touches.

Second stage of a reconstruction, without a pixel read. Planes are named in patient axes whatever the
acquisition was (PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head). The grid starts at the edge
of the box around all voxel centres, in the direction of travel, and goes on while inside that box.

Where a pixel covers more than one and a half voxels it is made of samples all over its area, against
aliasing. They are samples of the pixel like those through a slab: an average is over both, and the maximum
is that of the whole box.
"""

import math
from dataclasses import dataclass

import numpy as np

from scp.errors import BadRequest
from scp.model import Direction, Interpolation, Operation, PlaneRequest, Vector
from scp.reconstruction.geometry import (
    Floats,
    SliceTable,
    VolumeGeometry,
    orthonormal,
    slice_table,
    vector,
)
from scp.reconstruction.touching import touched_slices

MAXIMUM_COUNT = 4096
"""Rows, columns, planes and slab samples: more is a mistake in the request."""

ON_THE_EDGE = 1e-3
"""Part of a step by which a sample may lie beyond the box: positions are decimal strings."""

COARSE = 1.5
"""Voxels to the pixel from which a pixel has samples all over its area: with fewer, little aliases."""

MAXIMUM_SIDE = 16
"""Samples along one side of a pixel's area, however many voxels it crosses."""

MAXIMUM_SAMPLES = 1 << 16
"""Samples of one pixel, over its area and through the slab."""

COSINE_TOLERANCE = 1e-3
"""How far two cosines may be from unit length and right angles, or from those of the named direction."""

ORIENTATIONS = {
    Direction.CORONAL: (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    Direction.SAGITTAL: (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    Direction.TRANSVERSE: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
}
"""Image Orientation (Patient) of the named directions."""

TRAVEL = np.array([1.0, 1.0, -1.0])
"""Instance Numbers run right to left, anterior to posterior, head to foot: along +x, +y, -z."""


@dataclass(frozen=True, slots=True)
class PlanePlan:
    """A stack of parallel planes with square pixels, in the order of their Instance Numbers.

    *row_cosine*: direction of growing column index (first triple of Image Orientation (Patient)),
    *column_cosine*: of growing row index. *positions*: Image Position (Patient) of each plane;
    *interval_mm*: distance of neighbouring planes, positive. *thickness_mm* is 0 for thin planes. A pixel is
    made of samples at *sample_offsets_mm* along the normal (row x column cosine) with *sample_weights*, which
    sum to one. *sources*: for each plane the indices into the stack of the slices that it touches, *filled*:
    the indices into the list of missing images. *footprint*: samples of a pixel down and across its area,
    more than one where voxels are smaller than pixels.
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
    table = slice_table(geometry)
    row, column = _cosines(request)
    normal = np.cross(row, column)
    spacing = pixel_spacing_mm or min(geometry.row_spacing_mm, geometry.column_spacing_mm)
    offsets, weights = _slab(request, geometry, table)
    interval = _length(request.interval_mm, "ReformattingInterval") or _thickness(request) or spacing
    corners = _corners(geometry)
    across = _line(corners @ row, spacing, "PixelSpacing")
    down = _line(corners @ column, spacing, "PixelSpacing")
    travel = normal * travel_sign(normal)
    along = _planes(request, corners, travel, interval)
    starts = (along.start_mm + np.arange(along.count) * along.step_mm)[:, np.newaxis]
    positions = across.start_mm * row + down.start_mm * column + starts * travel
    area = footprint(table, (column * spacing, row * spacing), interpolation)
    _check_samples(len(offsets), area)
    finer = [spacing / count for count in area]
    touched = touched_slices(
        geometry,
        positions - column * (spacing - finer[0]) / 2 - row * (spacing - finer[1]) / 2,
        (down.count * area[0], across.count * area[1]),
        (column * finer[0], row * finer[1]),
        normal,
        offsets,
        interpolation,
    )
    made = [place for place, slices in enumerate(touched) if slices.any]
    if not made:
        keyword = "ImageOrientationPatient" if request.position is None else "ImagePositionPatient"
        raise BadRequest(keyword, "no plane of the request meets the volume; ask for a plane through it")
    return PlanePlan(
        request=request,
        row_cosine=vector(row),
        column_cosine=vector(column),
        spacing_mm=spacing,
        rows=down.count,
        columns=across.count,
        positions=tuple(vector(positions[place]) for place in made),
        interval_mm=interval,
        thickness_mm=_thickness(request),
        sample_offsets_mm=offsets,
        sample_weights=weights,
        sources=tuple(touched[place].sources for place in made),
        filled=tuple(touched[place].filled for place in made),
        footprint=area,
    )


def footprint(
    table: SliceTable, steps_mm: tuple[Floats, Floats], interpolation: Interpolation
) -> tuple[int, int]:
    """Return how many samples a pixel has along each of *steps_mm*, the ways from pixel to pixel.

    As many as it crosses voxels, if these are more than :data:`COARSE`; one for the nearest voxel.
    """
    if interpolation is Interpolation.NEAREST:
        return 1, 1
    sizes = np.array([table.step_mm or np.inf, *table.spacing_mm])
    down, across = (float(np.abs(table.frame @ step / sizes).max()) for step in steps_mm)
    return _samples(down), _samples(across)


def _samples(voxels: float) -> int:
    return min(math.ceil(voxels - ON_THE_EDGE), MAXIMUM_SIDE) if voxels > COARSE else 1


def _check_samples(through: int, area: tuple[int, int]) -> None:
    count = through * area[0] * area[1]
    if count > MAXIMUM_SAMPLES:
        raise BadRequest(
            "ReformattingThickness",
            f"a pixel of the slab takes {count} samples; at most {MAXIMUM_SAMPLES} are possible: "
            "ask for a thinner slab or smaller pixels",
        )


def travel_sign(normal: Floats) -> float:
    """Return the sign that turns *normal* into the direction in which Instance Numbers run."""
    nearest = int(np.argmax(np.abs(np.round(normal, 6))))
    return float(np.sign(normal[nearest]) * TRAVEL[nearest])


def _cosines(request: PlaneRequest) -> tuple[Floats, Floats]:
    """Return row and column cosines: those of the named direction, or those given for OBLIQUE."""
    named = ORIENTATIONS.get(request.direction)
    given = request.orientation
    if given is None:
        if named is None:
            raise BadRequest(
                "ImageOrientationPatient",
                "the direction OBLIQUE needs Image Orientation (Patient); none is given",
            )
        return np.array(named[:3]), np.array(named[3:])
    row, column = np.array(given[:3], dtype=np.float64), np.array(given[3:], dtype=np.float64)
    faults = (abs(row @ row - 1), abs(column @ column - 1), abs(row @ column))
    if not all(fault <= 2 * COSINE_TOLERANCE for fault in faults):
        raise BadRequest(
            "ImageOrientationPatient",
            f"the cosines {given} are no two unit vectors at right angles; give an orthonormal pair",
        )
    if named is None:
        return orthonormal(row, column)
    if np.abs(np.array(given) - named).max() > COSINE_TOLERANCE:
        raise BadRequest(
            "ImageOrientationPatient",
            f"the cosines {given} are not those of {request.direction}; leave them out, or ask for OBLIQUE",
        )
    return np.array(named[:3]), np.array(named[3:])


def _length(value: float, keyword: str) -> float:
    """Return *value* (mm); 0 means that the default holds."""
    if not math.isfinite(value) or value < 0:
        raise BadRequest(keyword, f"{keyword} is {value}; a length in mm above zero is needed")
    return value


def _thickness(request: PlaneRequest) -> float:
    if request.operation is not Operation.SLAB:
        return 0.0
    thickness = _length(request.thickness_mm, "ReformattingThickness")
    if thickness == 0:
        raise BadRequest("ReformattingThickness", "a SLAB needs Reformatting Thickness in mm; none is given")
    return thickness


def _slab(
    request: PlaneRequest, geometry: VolumeGeometry, table: SliceTable
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return offsets and trapezoid weights of the samples: both ends included, ends weigh half."""
    thickness = _thickness(request)
    if thickness == 0:
        return (0.0,), (1.0,)
    lengths = (geometry.row_spacing_mm, geometry.column_spacing_mm, table.step_mm)
    finest = min(length for length in lengths if length > 0)
    intervals = max(math.ceil(thickness / finest - ON_THE_EDGE), 1)
    if intervals >= MAXIMUM_COUNT:
        raise BadRequest(
            "ReformattingThickness",
            f"a slab of {thickness:g} mm takes {intervals + 1} samples; at most {MAXIMUM_COUNT} are possible",
        )
    offsets = np.linspace(-thickness / 2, thickness / 2, intervals + 1)
    weights = np.full(intervals + 1, 1 / intervals)
    weights[[0, -1]] /= 2
    return tuple(offsets.tolist()), tuple(weights.tolist())


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


def _planes(request: PlaneRequest, corners: Floats, travel: Floats, interval_mm: float) -> Line:
    if request.position is None:
        return _line(corners @ travel, interval_mm, "ReformattingInterval")
    if not all(map(math.isfinite, request.position)):
        raise BadRequest("ImagePositionPatient", f"{request.position} is no point; three numbers are needed")
    return Line(float(np.array(request.position) @ travel), interval_mm, 1)
