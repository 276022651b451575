"""Which planes a request means in a given volume: grid, slab samples, and the slices that each touches."""

from dataclasses import dataclass

from scp.model import PlaneRequest, Vector


@dataclass(frozen=True, slots=True)
class PlanePlan:
    """A stack of parallel planes with square pixels, in the order of their Instance Numbers.

    *row_cosine*: direction of growing column index (first triple of Image Orientation (Patient)),
    *column_cosine*: of growing row index. *positions*: Image Position (Patient) of each plane;
    *interval_mm*: distance of neighbouring planes, positive. *thickness_mm* is 0 for thin planes. A pixel is
    made of samples at *sample_offsets_mm* along the normal (row x column cosine) with *sample_weights*, which
    sum to one. *sources*: for each plane the indices into the stack of the slices that it touches, *filled*:
    the indices into the list of missing images.
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
