"""What the kernels are told.

Arrays are arguments of their own and tuples hold numbers only: an array taken out of a tuple is counted by
compiled code each time, which costs more than blending a row of voxels. Places are in the coordinates of the
first slice: height along the normal in mm, then row and column in voxels.

* ``volume`` int16 (slices, rows, columns);
* ``starts`` float64 (planes, samples, 3): places of the first pixels; ``steps`` (2, 3): from row to row and
  from column to column of a plane;
* ``slices`` float64 (n, 4): height, drift in rows and in columns, and 0 where a slice is padding, else 1;
* ``weights`` float64 (samples,) of a slab;
* ``out`` int16 (planes, rows, columns).
"""

from typing import NamedTuple

import numpy as np

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
