"""The samples of a slab, taken together for one row of pixels; a thin plane has one sample.

Arrays are float32 (columns,): *total* of the samples so far, and their *weight*.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import numpy as np

from scp.reconstruction.kernels.lines import MOSTLY, stored
from scp.reconstruction.kernels.places import kernel
from scp.reconstruction.kernels.records import AVERAGE, MAXIMUM


@kernel
def begin(method, total, weight):
    """Make the total that of no sample."""
    start = np.float32(0.0 if method == AVERAGE else (-np.inf if method == MAXIMUM else np.inf))
    total[:] = start
    weight[:] = np.float32(0.0)


@kernel
def add(method, sample_weight, line, total, weight):
    """Take in the values *line* of one sample."""
    w = np.float32(sample_weight)
    if method == AVERAGE:
        for c in range(len(line)):
            total[c] += w * line[c]
    elif method == MAXIMUM:
        for c in range(len(line)):
            total[c] = max(total[c], line[c])
    else:
        for c in range(len(line)):
            total[c] = min(total[c], line[c])
    for c in range(len(line)):
        weight[c] += w


@kernel
def add_true(method, sample_weight, line, held, total, weight):
    """As :func:`add`, where *held* of the weight is that of true voxels."""
    w = np.float32(sample_weight)
    for c in range(len(line)):
        line[c] /= max(held[c], MOSTLY)
    if method == AVERAGE:
        for c in range(len(line)):
            total[c] += w * line[c] if held[c] >= MOSTLY else np.float32(0.0)
    elif method == MAXIMUM:
        for c in range(len(line)):
            total[c] = max(total[c], line[c]) if held[c] >= MOSTLY else total[c]
    else:
        for c in range(len(line)):
            total[c] = min(total[c], line[c]) if held[c] >= MOSTLY else total[c]
    for c in range(len(line)):
        weight[c] += w if held[c] >= MOSTLY else np.float32(0.0)


@kernel
def finish(method, total, weight, storage, pixels):
    """Write the pixels of a row: *outside* where no sample was inside."""
    outside = storage.outside
    if method == AVERAGE:
        for c in range(len(pixels)):
            hit = weight[c] > 0
            value = total[c] / weight[c] if hit else np.float32(0.0)
            pixels[c] = stored(value, storage.flip) if hit else outside
    else:
        for c in range(len(pixels)):
            hit = weight[c] > 0
            value = total[c] if hit else np.float32(0.0)
            pixels[c] = stored(value, storage.flip) if hit else outside
