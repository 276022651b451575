"""Facts of images with known geometry, without files: what a scan would have told.

The defaults are an axial CT of a patient who does not exist: slice *k* has Instance Number k + 1 and lies at
k * 5 mm.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scp.model import FileFacts, Header, SelectionReport, SelectionRules
from scp.selection import select

FOLDER = Path("/archive/batch/patient/study/series")
STEP_MM = 5.0
RULES = SelectionRules()

ATTRIBUTES: dict[str, Any] = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
    "PatientName": "Roe^Jane",
    "PatientID": "P-1",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.4",
    "SeriesNumber": 2,
    "Modality": "CT",
    "BodyPartExamined": "CHEST",
    "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
    "KVP": 120,
    "ConvolutionKernel": "STD",
    "FrameOfReferenceUID": "1.2.3.9",
    "ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "PixelSpacing": (0.5, 0.5),
    "Rows": 512,
    "Columns": 512,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsStored": 16,
    "RescaleSlope": 1,
    "RescaleIntercept": -1024,
}


def slice_at(k: int, mm: float | None = None, *, name: str = "", **changes: Any) -> FileFacts:
    """Return slice *k* at *mm* along z (default k * 5); *changes* by keyword, ``None`` takes one out."""
    z = k * STEP_MM if mm is None else mm
    attributes = ATTRIBUTES | {
        "SOPInstanceUID": f"1.2.3.4.{k}",
        "InstanceNumber": k + 1,
        "ImagePositionPatient": (-128.0, -128.0, z),
    }
    attributes |= changes
    present = {keyword: value for keyword, value in attributes.items() if value is not None}
    return FileFacts(path=FOLDER / (name or f"{k:04d}.dcm"), header=Header(present))


def series(count: int, **changes: Any) -> list[FileFacts]:
    """Return *count* slices, 5 mm apart."""
    return [slice_at(k, **changes) for k in range(count)]


def at_positions(
    positions_mm: Sequence[float], numbers: Sequence[int | None] | None = None
) -> list[FileFacts]:
    """Return a slice at each position, numbered 1, 2, 3 or as told."""
    told = range(1, len(positions_mm) + 1) if numbers is None else numbers
    return [
        slice_at(k, mm, InstanceNumber=number)
        for k, (mm, number) in enumerate(zip(positions_mm, told, strict=True))
    ]


def changed(facts: FileFacts, **changes: Any) -> FileFacts:
    """Return the facts with other attributes; ``None`` takes one out."""
    attributes = {k: v for k, v in {**facts.header.attributes, **changes}.items() if v is not None}
    return replace(facts, header=Header(attributes))


def foreign(name: str, k: int = 3, **changes: Any) -> FileFacts:
    """Return a file beside the series: an image of its own UID, with *changes*."""
    return slice_at(k, name=name, **({"SOPInstanceUID": f"9.9.{sum(map(ord, name))}"} | changes))


def reason_of(report: SelectionReport, facts: FileFacts) -> str:
    """Return the reason in the one row of a file."""
    (row,) = [row for row in report.rows if (row.path, row.frame) == (facts.path, facts.frame)]
    return str(row.reason)


def detail_of(report: SelectionReport, facts: FileFacts) -> str:
    (row,) = [row for row in report.rows if (row.path, row.frame) == (facts.path, facts.frame)]
    return row.detail


def beside(stranger: FileFacts, count: int = 12, **options: Any) -> SelectionReport:
    """Return the report on *count* slices with one more file among them."""
    slices = series(count)
    rules = options.pop("rules", RULES)
    return select(slices[count // 2], [*slices, stranger], rules, **options)


def notes_of(report: SelectionReport) -> set[str]:
    return {str(note.code) for note in report.notes}


def missing_of(report: SelectionReport) -> list[tuple[int | None, float | None]]:
    """Return number and position (mm, to a micrometre) of each missing image."""
    return [
        (m.instance_number, None if m.position_mm is None else round(m.position_mm, 3))
        for m in report.missing
    ]
