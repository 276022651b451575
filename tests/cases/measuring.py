"""What a volume is worth: every voxel is asked where it is and whose it is, see ``scenes``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion

from tests.cases.scenes import PER_MM, Scene, values_at

RIGHT_WITHIN_MM = 0.1
"""Stored values are whole numbers: a voxel tells its place to 0.03 mm, a resampled one to twice that."""

OURS_BELOW = 5_000
PATIENTS_BELOW = 15_000
"""Values of our images end below the first number, those of the same patient below the second."""

FILL_BELOW = 500
"""What no image holds: the padding around a volume that was turned. Voxels beside it are its rim, half in
and half out, and say nothing of places."""


@dataclass(frozen=True)
class Volume:
    """Voxel values (k, j, i), rescaled, and the matrix from (i, j, k, 1) to the patient in mm."""

    values: np.ndarray
    index_to_patient: np.ndarray

    def points(self) -> np.ndarray:
        k, j, i = np.indices(self.values.shape[:3])
        return np.stack([i, j, k, np.ones_like(i)], axis=-1) @ self.index_to_patient[:3].T


@dataclass(frozen=True, order=True)
class Worth:
    """How many slices hold voxels of another patient or image, how far off ours are, how many lack.

    Ordered from the best to the worst.
    """

    of_another_patient: int
    of_another_image: int
    off_mm: float
    lacking: int
    slices: int

    def in_words(self, lost: int) -> str:
        """Return the outcome; *lost* slices were not in the folder."""
        words = []
        if self.of_another_patient:
            words.append(f"mixed patients ({self.of_another_patient} of {self.slices} slices)")
        elif self.of_another_image:
            words.append(f"mixed images ({self.of_another_image} of {self.slices} slices)")
        if self.off_mm:
            words.append(f"stretched (up to {self.off_mm:.1f} mm off)")
        elif self.lacking and not words:
            words.append(f"short ({self.slices} of {self.slices + self.lacking} slices)")
        elif lost and not words:
            words.append("hole filled")
        return ", ".join(words) or "right"


def worth(volume: Volume, scene: Scene) -> Worth:
    """Return what the volume is worth against what is true of the folder."""
    values = volume.values.astype(float) * scene.scale
    if values.ndim == 4:
        values = values.mean(axis=-1)
    real = values >= FILL_BELOW
    ours = real & (values < OURS_BELOW)
    points = volume.points()
    inside = ours & binary_erosion(real, np.ones((3, 3, 3)), border_value=1)
    inside &= _between(points @ np.array(scene.normal), scene.span_mm)
    off_mm = np.abs(values - values_at(points)) / PER_MM
    across = _axis_across(volume, scene.normal)
    in_plane = tuple(axis for axis in range(3) if axis != across)
    patients = (values >= PATIENTS_BELOW).any(axis=in_plane)
    others = ((values >= OURS_BELOW) & (values < PATIENTS_BELOW)).any(axis=in_plane)
    others |= ~real.any(axis=in_plane)
    slices = values.shape[across]
    return Worth(
        int(patients.sum()),
        int(others.sum()),
        _rounded(float(off_mm[inside].max(initial=0.0)), RIGHT_WITHIN_MM * max(1.0, scene.scale / 3)),
        max(0, scene.whole - slices),
        slices,
    )


def _between(places_mm: np.ndarray, span_mm: tuple[float, float]) -> np.ndarray:
    first, last = span_mm
    return (places_mm > first - RIGHT_WITHIN_MM) & (places_mm < last + RIGHT_WITHIN_MM)


def _rounded(off_mm: float, within_mm: float) -> float:
    """Return how far off a voxel is, to a tenth of a millimetre; nothing where rounding explains it."""
    return round(off_mm, 1) if off_mm > within_mm else 0.0


def best(volumes: Sequence[Volume], scene: Scene) -> Worth:
    """Return the worth of the best of several volumes: a program that offers it may be taken at it."""
    return min(worth(volume, scene) for volume in volumes)


def _axis_across(volume: Volume, normal: Sequence[float]) -> int:
    """Return the axis of the array (k, j, i) that runs along the normal of the slices."""
    columns = volume.index_to_patient[:3, :3]
    along = np.abs(columns.T @ np.array(normal)) / np.linalg.norm(columns, axis=0)
    return 2 - int(along.argmax())
