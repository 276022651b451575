"""Images with known geometry and known voxels, for all tests.

A series is a list of pydicom data sets that a test may change before it writes them; the defaults are
one axial CT of a patient who does not exist. Its voxel (k, j, i) has the stored value ``ramp(k, j, i)``
unless the test gives pixels of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

STUDY_UID = "1.2.826.0.1.3680043.8.498.1001"
SERIES_UID = "1.2.826.0.1.3680043.8.498.1001.2"
FRAME_OF_REFERENCE_UID = "1.2.826.0.1.3680043.8.498.1001.9"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def uid(*parts: object) -> str:
    """Return a UID that depends on nothing but *parts*."""
    return str(generate_uid(prefix="1.2.826.0.1.3680043.8.498.", entropy_srcs=[repr(parts)]))


def ramp(k: int, rows: int, columns: int) -> np.ndarray:
    """Return slice *k*, int16 (rows, columns), whose every voxel tells its place: 100 k + 10 j + i."""
    j, i = np.mgrid[0:rows, 0:columns]
    return (100 * k + 10 * j + i).astype(np.int16)


def image(
    k: int = 0,
    *,
    rows: int = 8,
    columns: int = 10,
    spacing: tuple[float, float] = (1.0, 1.0),
    step: float = 2.0,
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    direction: Sequence[float] | None = None,
    pixels: np.ndarray | None = None,
    **attributes: Any,
) -> Dataset:
    """Return slice *k*: its first voxel lies *k* * *step* mm along *direction* (default the normal).

    *attributes* are set last, by keyword; one that is ``None`` is taken out.
    """
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    along = np.cross(row, column) if direction is None else np.array(direction, float)
    position = np.array(origin, float) + k * step * along
    values = ramp(k, rows, columns) if pixels is None else pixels
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid("instance", k)
    ds.PatientName = "Roe^Jane"
    ds.PatientID = "P-1"
    ds.PatientBirthDate = ""
    ds.PatientSex = ""
    ds.StudyInstanceUID = STUDY_UID
    ds.SeriesInstanceUID = SERIES_UID
    ds.StudyID = "1"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260102"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112"
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.Manufacturer = "Nobody"
    ds.SeriesNumber = 2
    ds.SeriesDescription = "Ramp"
    ds.AcquisitionNumber = 1
    ds.Modality = "CT"
    ds.BodyPartExamined = "CHEST"
    ds.PatientPosition = "HFS"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP = "120"
    ds.InstanceNumber = k + 1
    ds.FrameOfReferenceUID = FRAME_OF_REFERENCE_UID
    ds.PositionReferenceIndicator = ""
    ds.ImageOrientationPatient = [float(f"{v:.10g}") for v in orientation]
    ds.ImagePositionPatient = [float(f"{v:.10g}") for v in position]
    ds.PixelSpacing = list(spacing)
    ds.SliceThickness = abs(step)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8 * values.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.RescaleIntercept = "0"
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def series(count: int, **attributes: Any) -> list[Dataset]:
    """Return *count* slices, first to last along the normal; *attributes* as for :func:`image`."""
    return [image(k, **attributes) for k in range(count)]


def write(ds: Dataset, path: Path, *, transfer_syntax_uid: str | None = None, preamble: bool = True) -> Path:
    """Write one DICOM file, where asked without preamble and file meta information; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if transfer_syntax_uid is not None:
        ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    if preamble:
        ds.save_as(path, enforce_file_format=True)
    else:
        bare = Dataset(ds)
        bare.save_as(path, implicit_vr=ds.file_meta.TransferSyntaxUID.is_implicit_VR, little_endian=True)
    return path


def write_series(
    datasets: Iterable[Dataset], folder: Path, name: Callable[[int], str] = "{:04d}.dcm".format
) -> list[Path]:
    """Write the data sets into *folder*, named by their order, and return the paths."""
    return [write(ds, folder / name(number)) for number, ds in enumerate(datasets, 1)]
