"""The single-frame Secondary Capture: the default form of a result (PS3.3 A.8.1).

Frame of Reference, Image Plane, Modality LUT and VOI LUT belong to this IOD (A.8.1.3): a series of such
objects is a volume for every reader that follows the standard.
"""

from scp.model import Method, Operation
from scp.results.attributes import COMMON, Row, amended
from scp.results.basis import Basis
from scp.results.orientation import patient_orientation

CONVERSION_TYPE = "WSD"
"""Workstation. SYN would say that the pixels are synthetic (C.8.6.1)."""

SLAB_TECHNIQUES = {Method.AVERAGE_IP: "MPR", Method.MAXIMUM_IP: "MAX_IP", Method.MINIMUM_IP: "MIN_IP"}
"""Value 3 of Image Type for slabs: terms of Volume Based Calculation Technique (C.8.16.2.1.3)."""


def technique(basis: Basis) -> str:
    """Return how the pixels came about, as value 3 of Image Type says it where the IOD leaves it free."""
    request = basis.plan.request
    return "MPR" if request.operation is Operation.MPR else SLAB_TECHNIQUES[request.method]


def letters(basis: Basis) -> tuple[str, str]:
    """Return Patient Orientation of the planes."""
    return patient_orientation(
        basis.plan.row_cosine, basis.plan.column_cosine, basis.middle.text("AnatomicalOrientationType")
    )


CAPTURE_ROWS = (
    Row("ImageType", "C.7.6.1.1.2", lambda b: ["DERIVED", "SECONDARY", technique(b)]),
    Row("ConversionType", "C.8.6.1", lambda _: CONVERSION_TYPE),
    Row("PatientOrientation", "C.7.6.1", letters),
)

SECONDARY_CAPTURE_ROWS = amended(COMMON, by=CAPTURE_ROWS)
