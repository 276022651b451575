"""The samples of a slab, taken together for one row of pixels; a thin plane has one sample.

Arrays are float32 (columns,): *total* of the samples so far, and their *weight*.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# compiled code: numba infers the types from the arrays it is given

import numpy as np

from scp.reconstruction.kernels.lines import MOSTLY, fill, stored
from scp.reconstruction.kernels.places import INDEX, WEIGHT, kernel
from scp.reconstruction.kernels.records import AVERAGE, MAXIMUM


@kernel
def begin(method, total, weight):
    """Make the total that of no sample."""
    start = np.float32(0.0 if method == AVERAGE else (-np.inf if method == MAXIMUM else np.inf))
    fill(total, start)
    fill(weight, np.float32(0.0))


@kernel
def add(method, sample_weight, one, other, w, v, total, weight):
    """Take in one sample, *w* times the line *one* plus *v* times the line *other*, all of it inside."""
    share = np.float32(sample_weight)
    if method == AVERAGE:
        for c in range(len(total)):
            total[c] += share * (w * one[c] + v * other[c])
            weight[c] += share
    elif method == MAXIMUM:
        for c in range(len(total)):
            total[c] = max(total[c], w * one[c] + v * other[c])
            weight[c] += share
    else:
        for c in range(len(total)):
            total[c] = min(total[c], w * one[c] + v * other[c])
            weight[c] += share


@kernel
def add_true(method, sample_weight, line, held, total, weight):
    """As :func:`add`, of one line, where *held* of the weight is that of true voxels."""
    w = np.float32(sample_weight)
    if method == AVERAGE:
        for c in range(len(line)):
            true = held[c] >= MOSTLY
            total[c] += w * (line[c] / max(held[c], MOSTLY)) if true else np.float32(0.0)
            weight[c] += w if true else np.float32(0.0)
    elif method == MAXIMUM:
        for c in range(len(line)):
            true = held[c] >= MOSTLY
            total[c] = max(total[c], line[c] / max(held[c], MOSTLY)) if true else total[c]
            weight[c] += w if true else np.float32(0.0)
    else:
        for c in range(len(line)):
            true = held[c] >= MOSTLY
            total[c] = min(total[c], line[c] / max(held[c], MOSTLY)) if true else total[c]
            weight[c] += w if true else np.float32(0.0)


@kernel
def mix(lines, taps, count, first, line):
    """Write the sum of *count* of *lines*, from column *first* on, as *taps* tell which and how much."""
    fill(line, np.float32(0.0))
    for tap in range(count):
        one, w = lines[int(taps[tap, INDEX]), first:], np.float32(taps[tap, WEIGHT])
        for c in range(len(line)):
            line[c] += w * one[c]


@kernel
def finish(method, total, weight, storage, pixels):
    """Write the pixels of a row: *outside* where no sample was inside."""
    outside, flip = storage.outside, storage.flip
    for c in range(len(pixels)):
        hit = weight[c] > 0
        value = total[c] if hit else np.float32(0.0)
        scale = weight[c] if hit and method == AVERAGE else np.float32(1.0)
        pixels[c] = stored(value / scale, flip) if hit else outside
