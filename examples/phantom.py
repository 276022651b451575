"""A body that is drawn, not scanned: head and torso with a nose, a spine, a heart on the left and a liver on
the right, and with the letters L, A and H as bright voxels on its left, anterior and head side.

The letters read upright in a coronal (L, H) and a sagittal (A, H) plane through the middle when, and only
when, the plane is oriented as it should be: whatever mirrors or turns a picture shows. The body is a function
of the place, so it can be acquired in any orientation with the same truth. Nothing is random.

    python examples/phantom.py FOLDER --plane sagittal --position FFP
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Points = NDArray[np.float64]
"""Places in the patient, (..., 3): x to the left, y to the posterior, z to the head, in mm."""

BOX_MM = ((-120.0, -124.0, 0.0), (148.0, 88.0, 352.0))
"""Lowest and highest corner of what is acquired."""

AIR, MARKER = -1000, 2500

ELLIPSOIDS: tuple[tuple[str, tuple[float, float, float], tuple[float, float, float], int], ...] = (
    # what, centre (mm), half axes (mm), value (HU); a later one lies over an earlier one
    ("torso", (0, 0, 78), (104, 72, 132), 40),
    ("shoulders", (0, 6, 166), (108, 46, 40), 40),
    ("neck", (0, 8, 212), (30, 30, 50), 40),
    ("right lung", (-46, -2, 124), (34, 44, 62), -820),
    ("left lung", (48, 0, 126), (30, 42, 60), -820),
    ("heart", (24, -20, 102), (32, 27, 34), 160),
    ("aorta", (13, 30, 90), (8, 8, 100), 260),
    ("liver", (-38, -4, 46), (54, 48, 34), 110),
    ("stomach gas", (46, -26, 50), (22, 18, 16), -700),
    ("spleen", (66, 26, 52), (18, 24, 26), 130),
    ("right kidney", (-40, 36, 16), (16, 14, 26), 190),
    ("left kidney", (40, 36, 22), (16, 14, 26), 190),
    ("head", (0, -4, 268), (54, 66, 60), 40),
    ("nose", (0, -70, 256), (9, 16, 13), 40),
    ("chin", (0, -50, 222), (24, 18, 14), 40),
    ("skull", (0, 0, 274), (50, 60, 50), 1000),
    ("brain", (0, 0, 274), (44, 54, 44), 35),
    ("right ventricle", (-9, 2, 278), (5, 24, 9), 5),
    ("left ventricle", (9, 2, 278), (5, 24, 9), 5),
    ("right eye", (-20, -58, 266), (11, 11, 11), 15),
    ("left eye", (20, -58, 266), (11, 11, 11), 15),
    ("mouth", (0, -46, 236), (16, 18, 6), -950),
    ("trachea", (0, 0, 204), (7, 7, 50), -980),
    ("right ear", (-56, 4, 262), (7, 10, 16), 40),
    ("left ear", (56, 4, 262), (7, 10, 16), 40),
)

GLYPHS = {
    "L": ("X....", "X....", "X....", "X....", "X....", "X....", "XXXXX"),
    "A": (".XXX.", "X...X", "X...X", "XXXXX", "X...X", "X...X", "X...X"),
    "H": ("X...X", "X...X", "X...X", "XXXXX", "X...X", "X...X", "X...X"),
}
DOT_MM = 6.0  # of a glyph: 30 mm wide, 42 mm high
DEPTH_MM = 28.0  # of a letter, through the planes that show it

LETTERS: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    # letter, plane that shows it, centre (mm)
    ("L", "coronal", (128, 0, 84)),
    ("A", "sagittal", (0, -104, 84)),
    ("H", "coronal", (-40, 0, 329)),
    ("H", "sagittal", (0, -46, 329)),
)

ROW_AND_COLUMN: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    # Patient Position (PS3.3 C.7.3.1.1.2): directions of an axial image in the scanner's own frame
    "HFS": ((1, 0, 0), (0, 1, 0)),
    "HFP": ((-1, 0, 0), (0, -1, 0)),
    "HFDR": ((0, 1, 0), (-1, 0, 0)),
    "HFDL": ((0, -1, 0), (1, 0, 0)),
    "FFS": ((-1, 0, 0), (0, 1, 0)),
    "FFP": ((1, 0, 0), (0, -1, 0)),
    "FFDR": ((0, -1, 0), (-1, 0, 0)),
    "FFDL": ((0, 1, 0), (1, 0, 0)),
}
OTHER_PLANES: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How the body is scanned; *tilt_deg* turns the gantry about the row direction of an axial image."""

    plane: str = "axial"
    position: str = "HFS"
    tilt_deg: float = 0.0
    pixel_mm: float = 2.0
    step_mm: float = 3.0


def hounsfield(points: Points) -> NDArray[np.int16]:
    """Return the value (HU) at each of *points*."""
    values = np.full(points.shape[:-1], AIR, np.int16)
    for _, centre, half_axes, value in ELLIPSOIDS:
        values[(((points - centre) / half_axes) ** 2).sum(axis=-1) < 1] = value
    values[_spine(points)] = 700
    for letter, plane, centre in LETTERS:
        values[_letter(points - centre, letter, plane)] = MARKER
    return values


def _spine(points: Points) -> NDArray[np.bool_]:
    """Return where bone is: vertebrae of 16 mm, discs of 6 mm between them, spinous processes behind."""
    x, y, z = np.moveaxis(points, -1, 0)
    level = (z > 4) & (z < 228) & (z % 22 < 16)
    body = (x / 14) ** 2 + ((y - 44) / 12) ** 2 < 1
    process = (abs(x) < 3) & (y > 44) & (y < 68) & (z % 22 < 9)
    return level & (body | process)


def _letter(offset: Points, letter: str, plane: str) -> NDArray[np.bool_]:
    """Return where *letter* is, for places relative to its centre."""
    x, y, z = np.moveaxis(offset, -1, 0)
    right, depth = (x, y) if plane == "coronal" else (y, x)
    glyph = np.array([[dot == "X" for dot in line] for line in GLYPHS[letter]])
    column = np.floor(right / DOT_MM + glyph.shape[1] / 2).astype(int)
    line = np.floor(glyph.shape[0] / 2 - z / DOT_MM).astype(int)
    inside = (abs(depth) < DEPTH_MM / 2) & (column >= 0) & (column < glyph.shape[1])
    inside &= (line >= 0) & (line < glyph.shape[0])
    inside[inside] = glyph[line[inside], column[inside]]
    return inside


def series(acquisition: Acquisition = Acquisition()) -> Iterator[Dataset]:
    """Yield the CT images of one acquisition, in the order of their Instance Numbers."""
    row, column, step = _axes(acquisition)
    spacing = np.array([acquisition.pixel_mm, acquisition.pixel_mm, acquisition.step_mm])
    axes = np.stack([row, column, step])
    corners = np.array(
        [[BOX_MM[i][0], BOX_MM[j][1], BOX_MM[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    along = corners @ np.linalg.inv(axes)
    first = along.min(axis=0)
    columns, rows, slices = (np.ceil((along.max(axis=0) - first) / spacing).astype(int) + 1).tolist()
    j, i = np.mgrid[0:rows, 0:columns]
    plane = (i[..., None] * row + j[..., None] * column) * acquisition.pixel_mm
    for k in range(slices):
        origin = (first + np.array([0, 0, k * acquisition.step_mm])) @ axes
        yield _image(acquisition, k, origin, (row, column), hounsfield(origin + plane))


def _axes(acquisition: Acquisition) -> tuple[Points, Points, Points]:
    """Return the directions of row, column and the table's travel; a tilt turns the column only."""
    if acquisition.plane == "axial":
        row, column = map(np.array, ROW_AND_COLUMN[acquisition.position])
    else:
        row, column = map(np.array, OTHER_PLANES[acquisition.plane])
    step = np.cross(row, column)
    tilt = np.deg2rad(acquisition.tilt_deg)
    return row.astype(float), np.cos(tilt) * column - np.sin(tilt) * step, step.astype(float)


def _image(
    acquisition: Acquisition,
    k: int,
    origin: Points,
    directions: tuple[Points, Points],
    values: NDArray[np.int16],
) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = _uid(acquisition, "instance", k)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.PatientBirthDate = ds.PatientSex = ""
    ds.Modality = "CT"
    ds.Manufacturer = "mpr-scp"
    ds.SeriesDescription = f"Phantom {acquisition.plane}"
    ds.PatientName = "Phantom^Letters"
    ds.PatientID = "PHANTOM"
    ds.BodyPartExamined = "WHOLEBODY"
    ds.KVP = "120"
    ds.GantryDetectorTilt = f"{acquisition.tilt_deg:g}"
    ds.PatientPosition = acquisition.position
    ds.StudyInstanceUID = _uid(acquisition, "study")
    ds.SeriesInstanceUID = _uid(acquisition, "series")
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "1", 1, 1, k + 1
    ds.ImagePositionPatient = [f"{v:.10g}" for v in origin]
    ds.ImageOrientationPatient = [f"{v:.10g}" for direction in directions for v in direction]
    ds.FrameOfReferenceUID = _uid(acquisition, "frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.SliceThickness = f"{acquisition.step_mm:g}"
    ds.PixelSpacing = [f"{acquisition.pixel_mm:g}"] * 2
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.WindowCenter, ds.WindowWidth = "300", "2600"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.PixelData = values.astype("<i2").tobytes()
    return ds


def _uid(acquisition: Acquisition, *what: object) -> str:
    return str(generate_uid(prefix="1.2.826.0.1.3680043.8.498.", entropy_srcs=[repr((acquisition, what))]))


def write(folder: Path, acquisition: Acquisition = Acquisition()) -> list[Path]:
    """Write one file for each image of *acquisition* into *folder*; return them in that order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ds in series(acquisition):
        paths.append(folder / f"{ds.InstanceNumber:04d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the phantom as a CT series into FOLDER.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plane", choices=["axial", *OTHER_PLANES], default="axial")
    parser.add_argument("--position", choices=list(ROW_AND_COLUMN), default="HFS")
    parser.add_argument("--tilt", type=float, default=0.0, metavar="DEGREES")
    parser.add_argument("--pixel", type=float, default=2.0, metavar="MM")
    parser.add_argument("--step", type=float, default=3.0, metavar="MM")
    given = parser.parse_args()
    acquisition = Acquisition(given.plane, given.position, given.tilt, given.pixel, given.step)
    print(f"{len(write(given.folder, acquisition))} images in {given.folder}")


if __name__ == "__main__":
    main()
