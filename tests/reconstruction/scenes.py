"""Volumes with known voxels at known places, without files: what the tests of this folder look at."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scp.model import FileFacts, Interpolation
from scp.reconstruction import engine
from scp.reconstruction.geometry import VolumeGeometry, slice_table
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.volume import NOWHERE, Volume, bias_of

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
HOUNSFIELD = PixelFormat(True, 1, "MONOCHROME2", 1.0, 0.0, "HU", -1000)
UNSIGNED = PixelFormat(False, 1, "MONOCHROME2", None, None, "", 0)


def one_plane(
    volume: Volume, plan: PlanePlan, index: int, interpolation: Interpolation
) -> NDArray[np.generic]:
    """Return plane *index* of *plan*, (rows, columns) or (rows, columns, 3), by the engine that serves."""
    (plane,) = engine.render_stack(volume, plan, interpolation, planes=range(index, index + 1))
    return plane.copy()


def geometry(
    rows: int = 24,
    columns: int = 20,
    *,
    heights: Sequence[float] = tuple(2.0 * k for k in range(12)),
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (1.0, 1.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    drift: Sequence[tuple[float, float]] | None = None,
) -> VolumeGeometry:
    """Return slices at *heights* along the normal; *drift*: mm along row and column cosine, per slice."""
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal = np.cross(row, column)
    shifts = np.array(drift if drift is not None else [(0.0, 0.0)] * len(heights))
    places = np.array(origin) + np.outer(heights, normal) + shifts @ np.array([row, column])
    count = len(heights)
    return VolumeGeometry(
        rows,
        columns,
        tuple(row),
        tuple(column),
        *spacing,
        tuple(map(tuple, places.tolist())),
        tuple(range(count)),
        (-1,) * count,
    )


def voxel_centres(shape: VolumeGeometry) -> NDArray[np.float64]:
    """Return (slices, rows, columns, 3): where every voxel lies, mm."""
    j, i = np.mgrid[0 : shape.rows, 0 : shape.columns]
    across = i[..., np.newaxis] * shape.column_spacing_mm * np.array(shape.row_cosine)
    down = j[..., np.newaxis] * shape.row_spacing_mm * np.array(shape.column_cosine)
    return np.array(shape.positions)[:, np.newaxis, np.newaxis] + across + down


def volume(
    shape: VolumeGeometry,
    values: NDArray[np.generic] | Callable[[NDArray[np.float64]], NDArray[np.generic]],
    pixel_format: PixelFormat = HOUNSFIELD,
    *,
    padding: int = NOWHERE,
    usable: Sequence[bool] | None = None,
) -> Volume:
    """Return the volume of stored *values* (slices, rows, columns), or of a function of the places.

    All channels of a colour have the same.
    """
    stored = values(voxel_centres(shape)) if callable(values) else values
    bias = bias_of(pixel_format)
    biased = (np.floor(stored + 0.5) - bias).astype(np.int16)[np.newaxis]
    flags = np.array(usable if usable is not None else [True] * shape.slices)
    return Volume(
        shape,
        slice_table(shape),
        pixel_format,
        np.repeat(biased, pixel_format.samples_per_pixel, axis=0),
        bias,
        padding - bias if padding != NOWHERE else padding,
        flags,
    )


def flipped(scene: Volume) -> Volume:
    """Return a mistake: the rows of each slice in the wrong order."""
    return dataclasses.replace(scene, values=scene.values[:, :, ::-1].copy())


def half_a_voxel_off(scene: Volume) -> Volume:
    """Return a mistake: every voxel half a voxel further along its row and its column than it is."""
    between_rows, between_columns = scene.table.spacing_mm / 2
    _, column, row = scene.table.frame
    origin = scene.table.origin + between_rows * column + between_columns * row
    return dataclasses.replace(scene, table=dataclasses.replace(scene.table, origin=origin))


def linear_ramp(
    gradient: Sequence[float], at_origin: float = 0.0
) -> Callable[[NDArray[np.float64]], NDArray]:
    """Return the function ``gradient . p + at_origin`` of points (..., 3)."""
    return lambda points: points @ np.array(gradient) + at_origin


def along_normal(stack: Sequence[FileFacts]) -> list[FileFacts]:
    """Return *stack* in order along the normal of its first image."""
    cosines = np.array(stack[0].header.numbers("ImageOrientationPatient"))
    normal = np.cross(cosines[:3], cosines[3:])
    return sorted(stack, key=lambda facts: float(normal @ facts.header.numbers("ImagePositionPatient")))


def rotation(angles: Sequence[float]) -> NDArray[np.float64]:
    """Return the rotation about x, then y, then z, by *angles* in degrees."""
    turned = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        a, b = [other for other in range(3) if other != axis]
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turned = one @ turned
    return turned


def oriented(angles: Sequence[float]) -> tuple[float, ...]:
    """Return row and column cosines of axial slices turned by *angles*."""
    turned = rotation(angles)
    return (*turned[:, 0].tolist(), *turned[:, 1].tolist())
