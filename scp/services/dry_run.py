"""What a dry run answers: the result as it would say of itself, or why there would be none.

A C-FIND with the trigger key (PS3.4 C.4.1) selects, searches folders and index, asks peers, and retrieves
nothing. Its one answer holds the keys that were asked for, and the verdict in Image Comments (0020,4000).
"""

from collections.abc import Mapping

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from scp.errors import Code, DecodingFailed, Refused
from scp.model import Header, MPRRequest, SelectionReport, Value
from scp.planning import Prospect
from scp.selection import image_comments
from scp.services import mpr_keys

FROM_SOURCE = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Modality",
    "BodyPartExamined",
)
"""Return keys whose values are those of the current image."""


def promise_of(prospect: Prospect) -> dict[str, Value]:
    """Return what the result series will say of itself, by keyword."""
    series, plan = prospect.series, prospect.plan
    return {
        "SeriesInstanceUID": series.series_instance_uid,
        "SOPInstanceUID": series.sop_instance_uids[0],
        "SOPClassUID": series.sop_class_uid,
        "SeriesNumber": series.series_number,
        "SeriesDescription": series.short_description,
        "NumberOfSeriesRelatedInstances": len(series.sop_instance_uids),
        "Rows": plan.rows,
        "Columns": plan.columns,
        "PixelSpacing": (plan.spacing_mm, plan.spacing_mm),
        "ImageOrientationPatient": (*plan.row_cosine, *plan.column_cosine),
    }


def promised(report: SelectionReport, prospect: Prospect) -> Mapping[str, Value]:
    """Return the values of the answer where the request would succeed."""
    return _of_source(report.current.header) | promise_of(prospect) | _verdict(report)


def refused(report: SelectionReport) -> Mapping[str, Value]:
    """Return the values of the answer where the request would be refused."""
    header = report.current.header
    return (
        _of_source(header)
        | {
            "SeriesInstanceUID": header.text("SeriesInstanceUID"),
            "SOPInstanceUID": header.text("SOPInstanceUID"),
            "SeriesDescription": _short(report),
            "NumberOfSeriesRelatedInstances": 0,
        }
        | _verdict(report)
    )


def without_result(request: MPRRequest, error: Refused | DecodingFailed) -> Mapping[str, Value]:
    """Return the values of the answer where no report says it: no one image to start from, no such planes."""
    code, comment = Code.CANNOT_DECODE.value, Code.CANNOT_DECODE.value
    if isinstance(error, Refused):
        code, comment = error.code, error.error_comment
    return {
        "StudyInstanceUID": request.study_instance_uid,
        "SeriesInstanceUID": request.series_instance_uid,
        "SOPInstanceUID": request.sop_instance_uid,
        "SeriesDescription": f"refused: {code}"[:64],
        "NumberOfSeriesRelatedInstances": 0,
        "ImageComments": f"{comment}; {error}",
    }


def answer(identifier: Dataset, values: Mapping[str, Value]) -> Dataset:
    """Return the answer to *identifier*: its keys, with those of *values* that are known, and the verdict."""
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.QueryRetrieveLevel = mpr_keys.level(identifier)
    header_file = mpr_keys.is_header(identifier)
    for keyword in (element.keyword for element in identifier if element.keyword not in found):
        if keyword in values:
            put(found, keyword, values[keyword])
        elif keyword and not header_file and dictionary_VR(keyword) != "SQ":
            setattr(found, keyword, None)
    put(found, "ImageComments", values["ImageComments"])
    return found


def put(ds: Dataset, keyword: str, value: Value) -> None:
    """Set one attribute of an answer; several values are a tuple."""
    setattr(ds, keyword, list(value) if isinstance(value, tuple) else value)


def _short(report: SelectionReport) -> str:
    """Return the refusal in a few words; where peers hold all that lacks, what a retrieve would fetch."""
    lacking = report.holes
    if report.verdict == Code.MISSING_INSTANCES and all(hole.sop_instance_uid for hole in lacking):
        return f"to fetch: {len(lacking)} of {len(report.stack) + len(report.missing)}"
    return f"refused: {report.verdict}"[:64]


def _of_source(header: Header) -> dict[str, Value]:
    return {keyword: header.attributes[keyword] for keyword in FROM_SOURCE if keyword in header}


def _verdict(report: SelectionReport) -> dict[str, Value]:
    return {"ImageComments": image_comments(report)}
