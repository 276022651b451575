"""What the planes of a series should hold, computed without a line of the package.

Sources and results are read with pydicom alone, and compared at the places that the results state.
A ``Source`` keeps the true position of every slice. ``direct`` evaluates it directly: along the normal
between the two slices around a point, in each slice bilinearly, the slices' offsets (a tilted gantry)
interpolated with them. ``simpleitk`` asks SimpleITK instead, for evenly spaced slices.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import map_coordinates

Floats = NDArray[np.floating]

TOLERANCE = 1.0
"""Stored values: rounding is half of one, fixed-point steps of the kernels may add a little."""


@dataclass(frozen=True)
class Source:
    """A stack of images, ordered along its normal.

    *values* (slices, rows, columns) are what the pixels mean (after the Modality LUT), *padded* marks those
    that mean nothing. *positions* (slices, 3) mm, *cosines* (2, 3): row and column; *spacing* (2): between
    columns and between rows.
    """

    values: Floats
    padded: NDArray[np.bool_]
    positions: Floats
    cosines: Floats
    spacing: Floats

    @property
    def normal(self) -> Floats:
        return np.cross(*self.cosines)

    @property
    def heights(self) -> Floats:
        """Of the slices along the normal, mm above the first."""
        return (self.positions - self.positions[0]) @ self.normal

    def indices(self, points: Floats) -> Floats:
        """Return slice, row and column index, not rounded, of *points* (..., 3) mm."""
        height = (points - self.positions[0]) @ self.normal
        below = np.clip(np.searchsorted(self.heights, height) - 1, 0, len(self.heights) - 2)
        share = (height - self.heights[below]) / np.diff(self.heights)[below]
        first = (
            self.positions[below] * (1 - share)[..., np.newaxis]
            + self.positions[below + 1] * share[..., np.newaxis]
        )
        in_plane = (points - first) @ self.cosines.T / self.spacing
        return np.stack([below + share, in_plane[..., 1], in_plane[..., 0]])

    def turned_over(self) -> "Source":
        """Return the same slices in the opposite order: what a mirrored volume looks like."""
        return replace(self, values=self.values[::-1], padded=self.padded[::-1])

    def shifted(self) -> "Source":
        """Return it half a pixel and half a slice off, the error of counting from corners."""
        half = self.spacing @ self.cosines / 2 + np.diff(self.heights)[0] / 2 * self.normal
        return replace(self, positions=self.positions + half)

    def mean_spaced(self) -> "Source":
        """Return it with slices spread evenly between the first and the last."""
        share = np.linspace(0, 1, len(self.positions))[:, np.newaxis]
        return replace(self, positions=self.positions[0] * (1 - share) + self.positions[-1] * share)


def read_source(folder: Path) -> Source:
    """Return the stack of all files of a folder."""
    with warnings.catch_warnings():  # one of the real files has a command group in its data set
        warnings.simplefilter("ignore", UserWarning)
        images = [pydicom.dcmread(path) for path in folder.iterdir() if path.is_file()]
    cosines = np.array(images[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(*cosines)
    images.sort(key=lambda ds: float(normal @ np.array(ds.ImagePositionPatient, float)))
    stored = np.stack([ds.pixel_array for ds in images])
    row_spacing, column_spacing = map(float, images[0].PixelSpacing)
    return Source(
        values=np.stack([meaning(ds).astype(np.float32) for ds in images]),
        padded=stored == padding_value(images[0]),
        positions=np.array([ds.ImagePositionPatient for ds in images], float),
        cosines=cosines,
        spacing=np.array([column_spacing, row_spacing]),
    )


def meaning(ds: Dataset) -> Floats:
    """Return the pixels after the Modality LUT (PS3.3 C.11.1)."""
    return ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))


def padding_value(ds: Dataset) -> int | None:
    """Return the stored value that is padding; some scanners write a negative one as unsigned."""
    value = ds.get("PixelPaddingValue")
    return value - (1 << 16) if value is not None and value > 32767 and ds.PixelRepresentation else value


def places(plane: Dataset) -> Floats:
    """Return where the pixels of a plane lie by its own words, (rows, columns, 3) mm."""
    row, column = np.array(plane.ImageOrientationPatient, float).reshape(2, 3)
    row_spacing, column_spacing = map(float, plane.PixelSpacing)
    j, i = np.mgrid[0 : plane.Rows, 0 : plane.Columns]
    origin = np.array(plane.ImagePositionPatient, float)
    return origin + (i * column_spacing)[..., np.newaxis] * row + (j * row_spacing)[..., np.newaxis] * column


Oracle = Callable[[Source], Callable[[Dataset], Floats]]
"""Takes a source and returns what gives the values of a plane of it."""


def direct(source: Source) -> Callable[[Dataset], Floats]:
    def values(plane: Dataset) -> Floats:
        return map_coordinates(source.values, source.indices(places(plane)), order=1, mode="nearest")

    return values


def simpleitk(source: Source) -> Callable[[Dataset], Floats]:
    """Return what ResampleImageFilter makes of evenly spaced slices, float32, at the geometry of a plane."""
    step = (source.positions[-1] - source.positions[0]) / (len(source.positions) - 1)
    image = SimpleITK.GetImageFromArray(source.values)
    image.SetOrigin(source.positions[0].tolist())
    image.SetSpacing([*source.spacing.tolist(), float(np.linalg.norm(step))])
    image.SetDirection(np.column_stack([*source.cosines, step / np.linalg.norm(step)]).ravel().tolist())

    def values(plane: Dataset) -> Floats:
        row, column = np.array(plane.ImageOrientationPatient, float).reshape(2, 3)
        row_spacing, column_spacing = map(float, plane.PixelSpacing)
        resample = SimpleITK.ResampleImageFilter()
        resample.SetSize([int(plane.Columns), int(plane.Rows), 1])
        resample.SetOutputOrigin([float(v) for v in plane.ImagePositionPatient])
        resample.SetOutputSpacing([column_spacing, row_spacing, 1.0])
        resample.SetOutputDirection(np.column_stack([row, column, np.cross(row, column)]).ravel().tolist())
        resample.SetInterpolator(SimpleITK.sitkLinear)
        resample.SetOutputPixelType(SimpleITK.sitkFloat32)
        return SimpleITK.GetArrayFromImage(resample.Execute(image))[0]

    return values


@dataclass(frozen=True)
class Agreement:
    """How the planes agree with an oracle: the share of pixels that was compared, and the largest error."""

    compared: float
    largest: float

    @property
    def holds(self) -> bool:
        return self.compared > 0 and self.largest <= TOLERANCE


def agreement(planes: Sequence[Dataset], source: Source, oracle: Oracle) -> Agreement:
    """Compare every pixel that lies at least one voxel inside and touches no padding."""
    compared, all_pixels, largest = 0, 0, 0.0
    expected = oracle(source)
    padding = source.padded.astype(np.float32) if source.padded.any() else None
    for plane in planes:
        indices = source.indices(places(plane))
        last = np.array(source.values.shape)[:, np.newaxis, np.newaxis] - 1
        chosen = ((indices >= 1) & (indices <= last - 1)).all(axis=0)
        if padding is not None:
            chosen &= map_coordinates(padding, indices, order=1, mode="nearest") == 0
        compared, all_pixels = compared + int(chosen.sum()), all_pixels + chosen.size
        if chosen.any():
            errors = np.abs(meaning(plane) - expected(plane))[chosen]
            largest = max(largest, float(errors.max()))
    return Agreement(compared / all_pixels, largest)
