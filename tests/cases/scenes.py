"""Folders of images whose voxels tell where they are and whose they are.

The stored value of a voxel is a linear function of its place in the patient, plus ten thousand where its
image does not belong to the volume and twenty thousand where it is of another patient. Whatever program
makes a volume of such a folder can so be asked of every voxel: is it where the volume says, and whose is it?
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from tests.builders import AXIAL, image, uid, write

PER_MM = 20
"""How much the stored value grows with each millimetre along x, y and z."""

AT_ORIGIN = 1_000
COUNT = 12
STEP_MM = 2.0


class Whose(IntEnum):
    """What is added to the values of an image."""

    OURS = 0
    ANOTHER_IMAGE = 10_000
    ANOTHER_PATIENT = 20_000


@dataclass(frozen=True)
class Scene:
    """One folder: the current image (or the folder, where a series is named) and what is true of it.

    *whole* counts the slices that the scanner made, *lost* of which are not in the folder; *normal* is
    theirs, *span_mm* the places of the first and the last along it: voxels beyond repeat these slices.
    *scale* is what a value has to be multiplied with (8 bits hold less). *configuration* is this node's,
    where the case is about it.
    """

    current: Path
    whole: int = COUNT
    lost: int = 0
    normal: Sequence[float] = (0.0, 0.0, 1.0)
    span_mm: tuple[float, float] = (-np.inf, np.inf)
    scale: int = 1
    configuration: Path | None = None

    @property
    def folder(self) -> Path:
        return self.current if self.current.is_dir() else self.current.parent


def values_at(points: np.ndarray) -> np.ndarray:
    """Return what true voxels at *points* (..., 3) mm hold."""
    return AT_ORIGIN + PER_MM * points.sum(axis=-1)


def place_of_voxels(ds: Dataset) -> np.ndarray:
    """Return the points (rows, columns, 3) mm of the voxels of one image."""
    row, column = np.array(ds.ImageOrientationPatient[:3]), np.array(ds.ImageOrientationPatient[3:])
    down, along = map(float, ds.PixelSpacing)
    j, i = np.mgrid[0 : ds.Rows, 0 : ds.Columns]
    origin = np.array(ds.ImagePositionPatient, float)
    return origin + i[..., None] * along * row + j[..., None] * down * column


def painted(ds: Dataset, whose: Whose = Whose.OURS) -> Dataset:
    """Return the image with the values that its geometry and its owner ask for, rescale undone."""
    real = values_at(place_of_voxels(ds)) + whose
    stored = (real - float(ds.RescaleIntercept)) / float(ds.RescaleSlope)
    ds.PixelData = np.round(stored).astype(np.int16).tobytes()
    return ds


def slice_at(k: float, whose: Whose = Whose.OURS, name: object = "", **attributes: Any) -> Dataset:
    """Return the slice at *k* steps, painted; a *name* gives it another SOP Instance UID.

    Attributes as for :func:`tests.builders.image`; those of geometry say where it is painted.
    """
    given = {"step": STEP_MM, "SliceThickness": STEP_MM, "Manufacturer": "GE MEDICAL SYSTEMS"} | attributes
    if name or k != int(k):
        given = {"SOPInstanceUID": uid(name or "instance", k)} | given
    removed = [keyword for keyword, value in given.items() if value is None]
    present = {keyword: value for keyword, value in given.items() if value is not None}
    before = math.floor(k)
    present["origin"] = _shifted(k - before, **_geometry(present))
    ds = painted(image(before, **present), whose)
    for keyword in removed:
        delattr(ds, keyword)
    return ds


def _geometry(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("step", "origin", "orientation", "direction") if name in given}


def _shifted(
    part: float,
    step: float,
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    direction: Sequence[float] | None = None,
) -> np.ndarray:
    """Return *origin* moved by a part of a step."""
    along = np.cross(orientation[:3], orientation[3:]) if direction is None else np.array(direction)
    return np.array(origin) + part * step * along


def scan(count: int = COUNT, **attributes: Any) -> list[Dataset]:
    """Return the slices of one volume."""
    return [slice_at(k, **attributes) for k in range(count)]


def without(slices: Sequence[Dataset], *gone: int) -> list[Dataset]:
    return [ds for k, ds in enumerate(slices) if k not in gone]


def lay(folder: Path, datasets: Iterable[Dataset], name: str = "{:04d}.dcm") -> list[Path]:
    """Write images into *folder*, named by their order."""
    return [write(ds, folder / name.format(n)) for n, ds in enumerate(datasets, 1)]


def among(folder: Path, strangers: Iterable[Dataset], slices: Sequence[Dataset] = ()) -> Scene:
    """Lay a whole volume and *strangers* into one folder; the current image is the sixth slice."""
    current = lay(folder, slices or scan())[5]
    lay(folder, strangers, "x{:03d}.dcm")
    return Scene(current, whole=len(slices) or COUNT)
