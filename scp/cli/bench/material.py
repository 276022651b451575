"""What is measured with: synthetic CT series of a patient who does not exist, made anew for each turn.

A receiver that has an instance already does less work, so every turn sends instances with UIDs of their own.
Pixels depend on the place in the volume alone.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from scp.errors import NotDicom
from scp.part10 import file_ref, read_facts

SPACING_MM = 0.7
STEP_MM = 1.0
Instance = tuple[str, bytes]
"""SOP Instance UID and data set."""

PREFIX = "1.2.826.0.1.3680043.8.498."


def uid(*parts: object) -> str:
    """Return a UID that depends on nothing but *parts*."""
    return str(generate_uid(prefix=PREFIX, entropy_srcs=[repr(parts)]))


@cache
def voxels(slices: int, side: int) -> NDArray[np.int16]:
    """Return (slices, side, side) values between -1,000 and 2,000: slow waves and noise, as in a patient."""
    k, j, i = (np.arange(count, dtype=np.float32) for count in (slices, side, side))
    waves = 500 * np.sin(k / 17)[:, None, None] + 400 * np.sin(j / 23)[:, None] + 300 * np.cos(i / 31)
    noise = np.random.default_rng(1).integers(-60, 60, (slices, side, side), np.int16)
    values: NDArray[np.int16] = waves.astype(np.int16) + noise
    return values


def ct_image(k: int, pixels: NDArray[np.int16], *, study: object = 1) -> Dataset:
    """Return slice *k* of the series of *study*, axial, ``STEP_MM`` from its neighbours."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid("instance", study, k)
    ds.StudyInstanceUID = uid("study", study)
    ds.SeriesInstanceUID = uid("series", study)
    ds.FrameOfReferenceUID = uid("frame of reference", study)
    ds.PatientName, ds.PatientID = "Bench^Mark", "BENCH"
    ds.PatientBirthDate = ds.PatientSex = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20260102"
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101112"
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "1", 2, 1, k + 1
    ds.Modality, ds.BodyPartExamined, ds.PatientPosition, ds.KVP = "CT", "CHEST", "HFS", "120"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Manufacturer = ds.PositionReferenceIndicator = ""
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [0, 0, k * STEP_MM]
    ds.PixelSpacing, ds.SliceThickness = [SPACING_MM, SPACING_MM], STEP_MM
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.PixelData = pixels.tobytes()
    return ds


def write_series(folder: Path, slices: int, side: int, *, study: object = 1) -> list[Path]:
    """Write one series into *folder*, emptied before, and return its files in the order of positions."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    paths = []
    for k, pixels in enumerate(voxels(slices, side)):
        paths.append(folder / f"{k + 1:05d}.dcm")
        dcmwrite(paths[-1], ct_image(k, pixels, study=study), enforce_file_format=True)
    return paths


def small_instances(studies: int, each: int, side: int = 16) -> list[Instance]:
    """Return *each* images of so many studies, in memory: what fills an archive."""
    return [one for study in range(studies) for one in study_instances(study, each, side)]


def study_instances(number: int, each: int, side: int = 16) -> list[Instance]:
    """Return *each* images of the study *number*, in memory; its UID is that of ``study_uid``."""
    made = []
    for k, pixels in enumerate(voxels(each, side)):
        ds = ct_image(k, pixels, study=("fill", number))
        ds.PatientID, ds.PatientName = f"P{number:06d}", f"Patient^{number:06d}"
        made.append((str(ds.SOPInstanceUID), encoded(ds)))
    return made


def encoded(ds: Dataset) -> bytes:
    """Return a data set in Explicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


def study_uid(number: int) -> str:
    """Return the Study Instance UID of ``study_instances``."""
    return uid("study", ("fill", number))


def instances(paths: Iterable[Path]) -> list[Instance]:
    """Return SOP Instance UID and data set of each file, as it lies there."""
    found = []
    for path in paths:
        ref = file_ref(path)
        content = path.read_bytes()[ref.offset : ref.offset + ref.length]
        found.append((ref.sop_instance_uid, content))
    return found


def pixel_digests(folder: Path) -> dict[str, str]:
    """Return digests of the pixels of all images below *folder*, by SOP Instance UID."""
    digests = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        try:
            (facts, *_) = read_facts(path)
        except (NotDicom, OSError):
            continue
        if facts.pixel_data:
            where = facts.pixel_data
            content = path.read_bytes()[where.offset : where.offset + where.length]
            digests[facts.sop_instance_uid] = hashlib.sha256(content).hexdigest()
    return digests
