"""Image Orientation (Patient), PS3.3 C.7.6.2.1.1: when six numbers are one, and that of the named directions.

Cosines come from files, keys of requests, options and the configuration: all are held to this.
"""

import math
from collections.abc import Sequence

from scp.errors import BadRequest
from scp.model.images import Orientation
from scp.model.requests import Direction

COSINE_TOLERANCE = 1e-3
"""How far cosines may be from unit length and a right angle: people and presets write three or four decimals,
scanners five or six, and a thousandth of a 500 mm row is half a millimetre."""

SAME_DIRECTION_COSINE = math.cos(math.radians(0.1))

STANDARD_ORIENTATIONS: dict[Direction, Orientation] = {
    Direction.CORONAL: (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    Direction.SAGITTAL: (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    Direction.TRANSVERSE: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
}
"""Row and column cosines of the named directions; OBLIQUE has none."""


def is_orthonormal(cosines: Sequence[float]) -> bool:
    """Tell whether *cosines* are six, two unit vectors at right angles, to :data:`COSINE_TOLERANCE`."""
    if len(cosines) != 6:
        return False
    row, column = cosines[:3], cosines[3:]
    errors = math.hypot(*row) - 1, math.hypot(*column) - 1, _dot(row, column)
    return all(abs(error) <= COSINE_TOLERANCE for error in errors)


def orthonormal(cosines: Sequence[float]) -> Orientation:
    """Return *cosines*, which are nearly so, as exact unit vectors at right angles; the row keeps its way."""
    row = _unit(cosines[:3])
    along = _dot(cosines[3:], row)
    column = _unit([c - along * r for c, r in zip(cosines[3:], row, strict=True)])
    return (row[0], row[1], row[2], column[0], column[1], column[2])


def is_along(cosines: Sequence[float], direction: Direction) -> bool:
    """Tell whether both *cosines* lie within 0.1 degree of those of a named *direction*."""
    standard = STANDARD_ORIENTATIONS[direction]
    exact = orthonormal(cosines)
    return min(_dot(exact[:3], standard[:3]), _dot(exact[3:], standard[3:])) >= SAME_DIRECTION_COSINE


def checked_orientation(given: Sequence[float] | None, direction: Direction) -> Orientation:
    """Return the exact row and column cosines of planes in *direction*.

    *given* are those of a request: OBLIQUE needs them, those of a named direction must be its own. Raises
    ``BadRequest`` otherwise, and where they are not orthonormal.
    """
    keyword = "ImageOrientationPatient"
    if given is None:
        if direction is Direction.OBLIQUE:
            raise BadRequest(keyword, "OBLIQUE needs row and column cosines in Image Orientation (Patient)")
        return STANDARD_ORIENTATIONS[direction]
    if not is_orthonormal(given):
        raise BadRequest(
            keyword,
            f"Image Orientation (Patient) {tuple(given)} is not two unit vectors at right angles; give six "
            "cosines that are",
        )
    if direction is Direction.OBLIQUE:
        return orthonormal(given)
    if not is_along(given, direction):
        raise BadRequest(
            keyword,
            f"Image Orientation (Patient) {tuple(given)} is not that of {direction}; leave it out, or ask "
            "for OBLIQUE",
        )
    return STANDARD_ORIENTATIONS[direction]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [part / length for part in vector]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
