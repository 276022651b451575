"""The picture along a line as an object: a Secondary Capture without geometry (PS3.3 A.8.1).

Its pixels lie on no plane of the patient, so it has neither Image Position nor Image Orientation (Patient),
no Frame of Reference and no directions at its edges: a reader that stacks or cross-references images must
leave it alone. Pixel Spacing holds on the unrolled surface where rows stand upright on the line, and is left
out where they do not.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.uid import SecondaryCaptureImageStorage

from scp.model import SelectionReport, concepts
from scp.reconstruction.curved import CurvedPlan
from scp.reconstruction.pixels import PixelFormat
from scp.results.attributes import COMMON, TYPE_2, Row, amended
from scp.results.basis import Basis, ResultOptions
from scp.results.describe import TRANSFER_SYNTAXES, shared_attributes
from scp.results.encode import cut
from scp.results.identity import digest, source_digests, uid
from scp.results.provenance import (
    SourceReference,
    before_the_sources,
    coded,
    derivation,
    millimetres,
    result_comments,
)
from scp.results.secondary_capture import CAPTURE_ROWS
from scp.results.series import ResultObject, ResultSeries
from scp.results.values import geometry_string

UPRIGHT = 1e-3
"""Cosine between rows and line up to which the unrolled surface has square pixels."""

SERIES_KIND = 5
"""What Series Number ends with: directions of planes have 1 to 4."""

NO_GEOMETRY = (
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "ImageOrientationPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
)


@dataclass(frozen=True)
class CurvedBasis(Basis):
    """The basis of a picture along a line: its tables use what both kinds of plan have."""

    plan: CurvedPlan  # type: ignore[assignment]


def _pixel_spacing(basis: Basis) -> list[str] | None:
    plan = basis.plan
    assert isinstance(plan, CurvedPlan)
    steps = np.diff(np.array(plan.along), axis=0)
    leaning = np.abs(steps @ np.array(plan.up)) / np.linalg.norm(steps, axis=1)
    is_upright = bool((leaning < UPRIGHT).all())
    return [geometry_string(plan.spacing_mm)] * 2 if is_upright else None


def _series_number(basis: Basis) -> int:
    return 1000 * (abs(basis.middle.integer("SeriesNumber") or 0) % 2_000_000) + SERIES_KIND


def _series_description(basis: Basis) -> str:
    return before_the_sources(basis, f"CURVED {millimetres(basis.plan.spacing_mm)} MPR")


CURVED_ROWS = amended(
    amended(COMMON, by=CAPTURE_ROWS, without=NO_GEOMETRY),
    by=(
        Row("ImageType", "C.7.6.1.1.2", lambda _: ["DERIVED", "SECONDARY", "CURVED_MPR"]),
        Row("PatientOrientation", "C.7.6.1", lambda _: None, TYPE_2),
        Row("PixelSpacing", "C.8.6.2", _pixel_spacing),
        Row("SeriesNumber", "C.7.3.1", _series_number),
        Row("SeriesDescription", "C.7.3.1", _series_description),
        Row(
            "DerivationCodeSequence",
            "C.12.4",
            lambda _: [coded(concepts.CURVED_MULTIPLANAR_REFORMATTING)],
        ),
    ),
)


def describe_curved(
    report: SelectionReport, plan: CurvedPlan, pixel_format: PixelFormat, options: ResultOptions
) -> ResultSeries:
    """Return the series of the one object of *plan*, as ``describe`` does for planes.

    *report* is ``ok`` and its stack carries the digests of its pixels.
    """
    basis = CurvedBasis(report, plan, pixel_format, options)
    filled = [place for place, one in enumerate(report.missing) if one.lies_within(len(report.stack))]
    words = derivation(
        basis,
        filled,
        f"Curved multiplanar reformatting of {len(report.stack)} images along a line of "
        f"{millimetres(plan.length_mm)} mm: columns at equal steps of arc length, no plane of the patient",
    )
    identity = digest(
        {
            "sources": source_digests(report.stack),
            "plan": plan,
            "stored": pixel_format,
            "options": options,
            "policy": report.rules.policy,
            "words": [_series_description(basis), result_comments(basis), words],
        }
    )
    return _series(basis, identity, words)


def _series(basis: CurvedBasis, identity: str, words: str) -> ResultSeries:
    root, plan = basis.options.uid_root, basis.plan
    sop_class_uid = str(SecondaryCaptureImageStorage)
    common = shared_attributes(basis, CURVED_ROWS, sop_class_uid, identity, signed=basis.pixel_format.signed)
    only = ResultObject(uid(root, "instance", identity, 0), 1, (), words, tuple(range(len(basis.stack))))
    return ResultSeries(
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=TRANSFER_SYNTAXES["none"],
        study_instance_uid=str(common["StudyInstanceUID"].value),
        series_instance_uid=str(common["SeriesInstanceUID"].value),
        series_number=_series_number(basis),
        series_description=_series_description(basis),
        short_description=f"CURVED {millimetres(plan.spacing_mm)} MPR",
        rows=plan.rows,
        columns=plan.columns,
        pixel_format=basis.pixel_format,
        value_offset=0,
        objects=(only,),
        references=tuple(SourceReference.of(facts) for facts in basis.stack),
        frames_per_object=1,
        runs=cut(common),
    )
