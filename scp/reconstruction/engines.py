"""Which engine serves on this machine, told without loading it.

The name is part of a result's identity, so a node needs it for every request; to load the kernels takes
most of a second and a hundred megabytes, which only the processes that render should spend.
"""

from importlib.util import find_spec

KERNELS = "mpr-scp kernels 1"
REFERENCE = "mpr-scp reference 1"

ENGINE = KERNELS if find_spec("numba") else REFERENCE
"""Compiled kernels wherever numba is installed: slower without, the same within one stored value."""

CHUNK = 32
"""Planes that are made at once: a cache line holds 32 voxels, and sagittal planes share it."""
