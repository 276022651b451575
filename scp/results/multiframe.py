"""All planes as the frames of one object: Multi-frame Grayscale Word or True Color SC (PS3.3 A.8.4, A.8.5).

Geometry moves into functional groups: pixel measures and orientation shared, position per frame (C.7.6.16).
The grayscale class knows unsigned values and Rescale Type US only (C.8.6.3), so signed values are stored
with an offset that Rescale Intercept takes back, and Hounsfield units are not named as such.
"""

from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from scp.results.acquisition import series_date, series_time
from scp.results.attributes import COMMON, Row, amended
from scp.results.basis import Basis
from scp.results.secondary_capture import CAPTURE_ROWS
from scp.results.values import geometry_string, item, put

SIGNED_OFFSET = 1 << 15
"""Added to signed values."""

DUMMY_DATE, DUMMY_TIME = "19000101", "000000"
"""Content Date and Time are of type 1 here: dummies, as PS3.15 E.1 has them, for sources without any."""

PER_FRAME_FUNCTIONAL_GROUPS = Tag(0x52009230)
IMAGE_POSITION_PATIENT = Tag(0x00200032)
PLANE_POSITION_SEQUENCE = Tag(0x00209113)

IN_FUNCTIONAL_GROUPS = ("ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")


def value_offset(basis: Basis) -> int:
    """Return what is added to each rendered value before it is stored."""
    return SIGNED_OFFSET if basis.pixel_format.signed and not basis.colour else 0


def _intercept(basis: Basis) -> float:
    stored = basis.pixel_format
    return (stored.rescale_intercept or 0.0) - value_offset(basis) * (stored.rescale_slope or 1.0)


def _shared_groups(basis: Basis) -> list[Dataset]:
    own = {row.keyword: row.value(basis) for row in COMMON if row.keyword in IN_FUNCTIONAL_GROUPS}
    orientation = own.pop("ImageOrientationPatient")
    return [
        item(
            PixelMeasuresSequence=[item(**own)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=orientation)],
        )
    ]


def _per_frame_groups(basis: Basis) -> list[Dataset]:
    return [
        item(PlanePositionSequence=[item(ImagePositionPatient=[geometry_string(v) for v in position])])
        for position in basis.plan.positions
    ]


def _frame_increment_pointer(basis: Basis) -> BaseTag | None:
    """Of type 1C: it must not be there for a single frame."""
    return PER_FRAME_FUNCTIONAL_GROUPS if len(basis.plan.positions) > 1 else None


def add_dimensions(ds: Dataset, organization_uid: str) -> None:
    """Say that frames are ordered by their position (C.7.6.17)."""
    index: dict[str, Any] = {
        "DimensionOrganizationUID": organization_uid,
        "DimensionIndexPointer": IMAGE_POSITION_PATIENT,
        "FunctionalGroupPointer": PLANE_POSITION_SEQUENCE,
    }
    put(ds, "DimensionOrganizationSequence", [item(DimensionOrganizationUID=organization_uid)])
    put(ds, "DimensionIndexSequence", [item(**index)])


FRAMES = (
    Row("ContentDate", "C.7.6.16", lambda b: series_date(b) or DUMMY_DATE),
    Row("ContentTime", "C.7.6.16", lambda b: series_time(b) or DUMMY_TIME),
    Row("NumberOfFrames", "C.7.6.6", lambda b: len(b.plan.positions)),
    Row("FrameIncrementPointer", "C.7.6.6", _frame_increment_pointer),
    Row("SharedFunctionalGroupsSequence", "C.7.6.16", _shared_groups),
    Row("PerFrameFunctionalGroupsSequence", "C.7.6.16", _per_frame_groups),
)

TRUE_COLOR_ROWS = amended(COMMON, by=(*CAPTURE_ROWS, *FRAMES), without=IN_FUNCTIONAL_GROUPS)

GRAYSCALE_WORD_ROWS = amended(
    TRUE_COLOR_ROWS,
    by=(
        Row("PixelRepresentation", "C.8.6.3", lambda _: 0),
        Row("PixelPaddingValue", "C.7.5.1.1.2", lambda b: b.pixel_format.padding_value + value_offset(b)),
        Row("RescaleIntercept", "C.8.6.3", _intercept),
        Row("RescaleSlope", "C.8.6.3", lambda b: b.pixel_format.rescale_slope or 1),
        Row("RescaleType", "C.8.6.3", lambda _: "US"),
        Row("PresentationLUTShape", "C.8.6.3", lambda _: "IDENTITY"),
    ),
)
