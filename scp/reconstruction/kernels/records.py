"""What the kernels are told.

Places are in the coordinates of the first slice: height along the normal in mm, then row and column in
voxels. Compiled code allocates nothing, so each family has a ``Room``, in which one call of it works.

* ``volume`` int16 (slices, rows, columns);
* ``starts`` float64 (planes, samples, 3): places of the first pixels; ``steps`` (2, 3): from row to row and
  from column to column of a plane;
* ``slices`` float64 (n, 4): height, drift in rows and in columns, and 0 where a slice is padding, else 1;
* ``weights`` float64 (samples,) of a slab;
* ``out`` int16 (planes, rows, columns).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Pixels = NDArray[np.int16]

AVERAGE, MAXIMUM, MINIMUM = 0, 1, 2

DOWN, ACROSS = 0, 1
HEIGHT, DRIFT_ROWS, DRIFT_COLUMNS, USABLE = 0, 1, 2, 3


class Sampling(NamedTuple):
    """*order*: voxels read along an axis; *method* of a slab; *even*: one map holds for all slices."""

    order: int
    method: int
    even: bool


class Storage(NamedTuple):
    """How voxels and pixels are written.

    *padding*: the voxel value that is none; *has_holes*: whether there may be such voxels or slices;
    *all_usable*: whether there is no such slice; *outside*: pixel beside the volume; *flip*: sign bit to turn
    where pixels are unsigned. *outside* has it turned already.
    """

    padding: np.int32
    has_holes: bool
    all_usable: bool
    outside: np.int16
    flip: np.int16
