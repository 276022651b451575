"""Planes of a volume: the last stage of a reconstruction, by the compiled kernels or by the reference.

Which of the two serves is settled when this module is loaded and never changes while the process lives:
they agree to within one stored value, which makes two results, so :data:`ENGINE` is part of the result's
identity.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scp.model import Interpolation
from scp.reconstruction import reference
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.volume import Volume

Plane = NDArray[np.generic]

ENGINE = "mpr-scp reference 1"
"""Name and version of the engine; the version grows whenever a pixel may come out otherwise."""


def render(
    volume: Volume, plan: PlanePlan, index: int, interpolation: Interpolation, out: Plane | None = None
) -> Plane:
    """Return plane *index* of *plan*: (rows, columns), or (rows, columns, 3) for colour.

    The type is ``volume.dtype``. *out*, of that shape and type, is written to and returned where given.
    """
    values = reference.render(volume, plan, index, interpolation)
    stored = (values.astype(np.int32) + volume.bias).astype(volume.dtype)
    plane = stored[0] if stored.shape[0] == 1 else np.moveaxis(stored, 0, -1)
    if out is None:
        return np.ascontiguousarray(plane)
    out[...] = plane
    return out


def render_stack(
    volume: Volume, plan: PlanePlan, interpolation: Interpolation, threads: int = 1
) -> Iterator[Plane]:
    """Yield all planes of *plan* in order; a plane is valid until the next one is asked for."""
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(
            lambda index: render(volume, plan, index, interpolation), range(len(plan.positions))
        )
