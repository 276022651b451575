"""Engine rows of ``bench mpr``: the same planes of one volume in memory by us, by VTK and by SimpleITK.

300 x 512 x 512 int16, streamed in chunks of planes, into buffers that are used again wherever the engine lets
one, on the same cores. The planes are compared once, before anything counts: equal to within one stored value
but for :data:`ODD_SHARE` of the pixels (those at the very edge, where one engine finds the volume and the
other does not).
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scp.cli.bench.material import SPACING_MM, STEP_MM, voxels
from scp.cli.bench.measuring import SPEED, Finding, ResultsDiffer, Row, Trial, in_turn, medians, seconds_of
from scp.cli.bench.programs import simpleitk, vtk, vtk_arrays
from scp.model import Direction, Interpolation, Method, Operation, PlaneRequest
from scp.reconstruction import engine
from scp.reconstruction.geometry import VolumeGeometry, slice_table
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan, plan
from scp.reconstruction.volume import NOWHERE, Volume, aligned

SLICES, SIDE = 300, 512
OUTSIDE = -1000
ODD_SHARE = 0.001
CHUNK = 16
"""Planes that VTK and SimpleITK are asked for at once; our engine has a number of its own."""

OBLIQUE = (0.8, 0.6, 0.0, 0.36, -0.48, -0.8)
"""Row and column cosines at an angle to every axis."""

Planes = NDArray[np.int16]
Engine = Callable[[], Iterator[Planes]]
"""Makes all planes once, a chunk (planes, rows, columns) at a time; each holds until the next."""

Make = Callable[[PlanePlan], Engine]


CORONAL = PlaneRequest(Direction.CORONAL)
SAGITTAL = PlaneRequest(Direction.SAGITTAL)
SLAB = PlaneRequest(
    Direction.CORONAL, operation=Operation.SLAB, thickness_mm=10.0, interval_mm=5.0, method=Method.MAXIMUM_IP
)


def trials() -> list[Trial]:
    rows = (
        ("coronal-vtk", "all coronal planes", CORONAL, vtk_planes, 6, 12),
        ("coronal-simpleitk", "all coronal planes", CORONAL, simpleitk_planes, 20, 45),
        ("sagittal-vtk", "all sagittal planes", SAGITTAL, vtk_planes, 1.8, 2.5),
        ("oblique-vtk", "an oblique stack of 300", _oblique(CORONAL), vtk_planes, 2, 3),
        ("slab-coronal-vtk", "10 mm maximum slab, coronal", SLAB, vtk_planes, 20, 70),
        ("slab-oblique-vtk", "10 mm maximum slab, oblique", _oblique(SLAB), vtk_planes, 2.5, 3),
    )
    return [
        Trial(
            Row(name, f"{what} of {SLICES}x{SIDE}x{SIDE}", name.rpartition("-")[2], SPEED, floor, aim),
            partial(measure, request, make),
        )
        for name, what, request, make, floor, aim in rows
    ]


def measure(request: PlaneRequest, make: Make, pairs: int) -> Finding:
    """Return what all planes of *request* cost us and the engine that *make* gives."""
    wanted = plan(volume().geometry, request)
    if request.direction is Direction.OBLIQUE and request.operation is Operation.MPR:
        wanted = _middle(wanted, SLICES)
    us, them = our_planes(wanted), make(wanted)
    apart = compare(us(), them())
    measured = in_turn(
        lambda: seconds_of(partial(_drain, us)), lambda: seconds_of(partial(_drain, them)), pairs
    )
    ours, theirs = medians(measured)
    said = f"{len(wanted.positions)} planes of {wanted.rows} x {wanted.columns}"
    return Finding(measured, f"{said}; {1000 * ours:.0f} ms, {1000 * theirs:.0f} ms; {apart}")


@cache
def volume() -> Volume:
    """Return the volume as a reconstruction holds it."""
    positions = tuple((0.0, 0.0, k * STEP_MM) for k in range(SLICES))
    indices, none = tuple(range(SLICES)), (-1,) * SLICES
    geometry = VolumeGeometry(
        SIDE, SIDE, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), SPACING_MM, SPACING_MM, positions, indices, none
    )
    pixel_format = PixelFormat(True, 1, "MONOCHROME2", 1.0, 0.0, "HU", OUTSIDE)
    values: Planes = aligned((1, SLICES, SIDE, SIDE), np.int16)
    values[0] = voxels(SLICES, SIDE)
    return Volume(
        geometry, slice_table(geometry), pixel_format, values, 0, NOWHERE, np.ones(SLICES, np.bool_)
    )


def our_planes(wanted: PlanePlan) -> Engine:
    engine.warm()
    buffers = engine.stack_buffers(volume(), wanted, cores(), len(wanted.positions))

    def planes() -> Iterator[Planes]:
        for plane in engine.render_stack(volume(), wanted, Interpolation.LINEAR, cores(), buffers=buffers):
            yield plane[np.newaxis].view(np.int16)

    return planes


def vtk_planes(wanted: PlanePlan) -> Engine:
    """Return ``vtkImageReslice``, with its own slab mode: ``vtkImageSlabReslice`` samples another slab."""
    reslice = _reslice(wanted, vtk())
    to_numpy = vtk_arrays().vtk_to_numpy

    def planes() -> Iterator[Planes]:
        for chunk in _chunks(wanted):
            reslice.Modified()  # asked again for what it has just made, it would do nothing
            reslice.UpdateExtent((0, wanted.columns - 1, 0, wanted.rows - 1, chunk.start, chunk.stop - 1))
            made = to_numpy(reslice.GetOutput().GetPointData().GetScalars())
            yield made.reshape(len(chunk), wanted.rows, wanted.columns)

    return planes


def _reslice(wanted: PlanePlan, library: Any) -> Any:
    image = library.vtkImageData()
    image.SetDimensions(SIDE, SIDE, SLICES)
    image.SetSpacing(SPACING_MM, SPACING_MM, STEP_MM)
    scalars = vtk_arrays().numpy_to_vtk(volume().values.ravel(), deep=False)
    image.GetPointData().SetScalars(scalars)
    reslice = library.vtkImageReslice()
    reslice.SetInputData(image)
    x, y, z = wanted.row_cosine, wanted.column_cosine, _travel(wanted)
    reslice.SetResliceAxesDirectionCosines(*x, *y, *z)
    reslice.SetResliceAxesOrigin(*wanted.positions[0])
    reslice.SetOutputSpacing(wanted.spacing_mm, wanted.spacing_mm, wanted.interval_mm)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent(0, wanted.columns - 1, 0, wanted.rows - 1, 0, len(wanted.positions) - 1)
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(OUTSIDE)
    reslice.SetNumberOfThreads(cores())
    samples = len(wanted.sample_offsets_mm)
    if samples > 1:
        reslice.SetSlabModeToMax()
        reslice.SetSlabNumberOfSlices(samples)
        step = wanted.thickness_mm / (samples - 1)
        reslice.SetSlabSliceSpacingFraction(step / wanted.interval_mm)
    return reslice


def simpleitk_planes(wanted: PlanePlan) -> Engine:
    """Return SimpleITK's resampling; it has no way to be given a buffer."""
    library = simpleitk()
    image = library.GetImageFromArray(volume().values[0])
    image.SetSpacing((SPACING_MM, SPACING_MM, STEP_MM))
    library.ProcessObject.SetGlobalDefaultNumberOfThreads(cores())
    axes = np.column_stack([wanted.row_cosine, wanted.column_cosine, _travel(wanted)])
    resample = library.ResampleImageFilter()
    resample.SetInterpolator(library.sitkLinear)
    resample.SetDefaultPixelValue(OUTSIDE)
    resample.SetOutputDirection(axes.ravel().tolist())
    resample.SetOutputSpacing((wanted.spacing_mm, wanted.spacing_mm, wanted.interval_mm))

    def planes() -> Iterator[Planes]:
        for chunk in _chunks(wanted):
            resample.SetOutputOrigin(wanted.positions[chunk.start])
            resample.SetSize((wanted.columns, wanted.rows, len(chunk)))
            made = resample.Execute(image)
            yield library.GetArrayViewFromImage(made)  # of memory that lives as long as *made*

    return planes


def compare(ours: Iterator[Planes], theirs: Iterator[Planes]) -> str:
    """Return how far the pixels of both are apart. Raises ``ResultsDiffer`` beyond what is promised."""
    pixels = odd = most = 0
    for chunk in theirs:
        mine = np.concatenate([next(ours).copy() for _ in chunk])
        apart = np.abs(mine.astype(np.int32) - chunk)
        pixels += apart.size
        odd += int(np.count_nonzero(apart > 1))
        most = max(most, int(apart.max()))
    if next(ours, None) is not None or odd > ODD_SHARE * pixels:
        raise ResultsDiffer(f"{odd} of {pixels} pixels differ by more than 1, at most by {most}")
    return "equal within 1" if odd == 0 else f"{odd / pixels:.1e} of the pixels differ by more than 1"


def cores() -> int:
    return len(os.sched_getaffinity(0))


def _drain(planes: Engine) -> None:
    for _ in planes():
        pass


def _chunks(wanted: PlanePlan) -> Iterator[range]:
    count = len(wanted.positions)
    for first in range(0, count, CHUNK):
        yield range(first, min(first + CHUNK, count))


def _travel(wanted: PlanePlan) -> tuple[float, float, float]:
    """Return the direction from one plane to the next."""
    first, last = np.array(wanted.positions[0]), np.array(wanted.positions[-1])
    x, y, z = ((last - first) / math.dist(first, last)).tolist()
    return x, y, z


def _oblique(request: PlaneRequest) -> PlaneRequest:
    return replace(request, direction=Direction.OBLIQUE, orientation=OBLIQUE)


def _middle(wanted: PlanePlan, count: int) -> PlanePlan:
    """Return the plan with *count* planes in the middle of its stack."""
    first = (len(wanted.positions) - count) // 2
    kept = slice(first, first + count)
    return replace(
        wanted,
        positions=wanted.positions[kept],
        sources=wanted.sources[kept],
        filled=wanted.filled[kept],
    )
