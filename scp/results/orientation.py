"""Patient Orientation (0020,0020): anatomical letters of the directions of rows and columns.

Computed from direction cosines (PS3.3 C.7.6.1.1.1): the letters of an oblique direction follow each other in
the order of their share. The axes grow to the patient's left, posterior (dorsal in a quadruped) and head
(cranial), PS3.3 C.7.6.2.1.1. Limbs of quadrupeds get the letters of the trunk, since nothing in a header
tells how a limb was laid along the axes.
"""

from scp.errors import Code, Refused
from scp.model import Vector

BIPED = (("L", "R"), ("P", "A"), ("H", "F"))
QUADRUPED = (("LE", "RT"), ("D", "V"), ("CR", "CD"))
"""For each axis the letters of its positive and its negative direction."""

LETTERS = {"": BIPED, "BIPED": BIPED, "QUADRUPED": QUADRUPED}
"""By Anatomical Orientation Type (0010,2210)."""

SMALLEST_SHARE = 1e-4
"""A cosine below this names no direction."""


def patient_orientation(
    row: Vector, column: Vector, anatomical_orientation_type: str = ""
) -> tuple[str, str]:
    """Return the two values of Patient Orientation for unit vectors *row* and *column* (LPS).

    Raises ``Refused`` for an Anatomical Orientation Type that PS3.3 C.7.3.1 does not know.
    """
    letters = LETTERS.get(anatomical_orientation_type)
    if letters is None:
        raise Refused(
            Code.NO_GEOMETRY,
            f"Anatomical Orientation Type is {anatomical_orientation_type!r}, needed is BIPED, QUADRUPED or "
            "none: correct the source headers",
            comment="AnatomicalOrientationType",
        )
    return _direction(row, letters), _direction(column, letters)


def _direction(cosines: Vector, letters: tuple[tuple[str, str], ...]) -> str:
    by_share = sorted(zip(cosines, letters, strict=True), key=lambda pair: -abs(pair[0]))
    return "".join(pair[cosine < 0] for cosine, pair in by_share if abs(cosine) >= SMALLEST_SHARE)
