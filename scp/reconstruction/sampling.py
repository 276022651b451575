"""What a pixel is made of: samples through the slab, and all over its area where voxels are smaller than it.

Where a pixel covers more than one and a half voxels it is made of samples all over its area, against
aliasing. They are samples of the pixel like those through a slab: an average is over both, and the maximum
is that of the whole box.
"""

import math

import numpy as np

from scp.errors import BadRequest
from scp.model import Interpolation
from scp.reconstruction.geometry import Floats, SliceTable

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


def slab(table: SliceTable, thickness_mm: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return offsets (mm along the normal) and trapezoid weights of the samples through a slab.

    Both ends are included and weigh half; a plane without thickness has one sample. Raises ``BadRequest``
    where there would be more than :data:`MAXIMUM_COUNT`.
    """
    if thickness_mm == 0:
        return (0.0,), (1.0,)
    lengths = (*table.spacing_mm.tolist(), table.step_mm)
    finest = min(length for length in lengths if length > 0)
    intervals = max(math.ceil(thickness_mm / finest - ON_THE_EDGE), 1)
    if intervals >= MAXIMUM_COUNT:
        raise BadRequest(
            "ReformattingThickness",
            f"a slab of {thickness_mm:g} mm takes {intervals + 1} samples; "
            f"at most {MAXIMUM_COUNT} are possible: ask for a thinner one",
        )
    offsets = np.linspace(-thickness_mm / 2, thickness_mm / 2, intervals + 1)
    weights = np.full(intervals + 1, 1 / intervals)
    weights[[0, -1]] /= 2
    return tuple(offsets.tolist()), tuple(weights.tolist())


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
    return _side(down), _side(across)


def check_count(through: int, area: tuple[int, int]) -> None:
    """Raise ``BadRequest`` where a pixel of *through* times *area* samples has too many."""
    count = through * area[0] * area[1]
    if count > MAXIMUM_SAMPLES:
        raise BadRequest(
            "ReformattingThickness",
            f"a pixel of the slab takes {count} samples; at most {MAXIMUM_SAMPLES} are possible: "
            "ask for a thinner slab or smaller pixels",
        )


def _side(voxels: float) -> int:
    return min(math.ceil(voxels - ON_THE_EDGE), MAXIMUM_SIDE) if voxels > COARSE else 1
