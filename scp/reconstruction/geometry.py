"""Where the voxels of a stack lie in the patient.

First stage of a reconstruction: headers in, one :class:`VolumeGeometry` out (PS3.3 C.7.6.2, Image Plane
Module). Slices keep their true positions; nothing is put onto an even grid. It reads no pixels and does not
decide what belongs to the stack.
"""

from dataclasses import dataclass

from scp.model import Vector


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
