"""What is asked for: planes, and the rules by which images are chosen for them."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from scp.errors import BadRequest
from scp.model.images import Header, Orientation, Vector


class Direction(StrEnum):
    """Reformatting Operation Initial View Direction (0072,0516)."""

    CORONAL = "CORONAL"
    SAGITTAL = "SAGITTAL"
    TRANSVERSE = "TRANSVERSE"
    OBLIQUE = "OBLIQUE"


class Operation(StrEnum):
    """Reformatting Operation Type (0072,0510), as far as this node does it."""

    MPR = "MPR"
    SLAB = "SLAB"


class Method(StrEnum):
    """Rendering Method (0070,120D) over the samples of a slab."""

    AVERAGE_IP = "AVERAGE_IP"
    MAXIMUM_IP = "MAXIMUM_IP"
    MINIMUM_IP = "MINIMUM_IP"


class Interpolation(StrEnum):
    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"


class Policy(StrEnum):
    """What happens to slices that stay missing."""

    REFUSE = "refuse"
    INTERPOLATE = "interpolate"
    PAD = "pad"


class Candidates(StrEnum):
    """How the DICOM files of a folder are told from the rest."""

    SUFFIX = "suffix"
    IDENTIFIER = "identifier"
    BOTH = "both"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class PlaneRequest:
    """Which planes are wanted.

    *orientation*: row and column cosines, for OBLIQUE; *position*: one plane through this point instead of a
    stack; *thickness_mm* of a slab and *interval_mm* between planes: 0 takes the default.
    """

    direction: Direction = Direction.CORONAL
    orientation: Orientation | None = None
    position: Vector | None = None
    operation: Operation = Operation.MPR
    thickness_mm: float = 0.0
    interval_mm: float = 0.0
    method: Method = Method.AVERAGE_IP


def checked_length(value_mm: float, keyword: str) -> float:
    """Return *value_mm*; 0 means that the default holds. Raises ``BadRequest`` for what is no length."""
    if not math.isfinite(value_mm) or value_mm < 0:
        raise BadRequest(keyword, f"{keyword} is {value_mm} mm; a length above 0 is needed")
    return value_mm


def checked_thickness(planes: PlaneRequest) -> float:
    """Return how thick the planes are (mm), 0 for thin ones. Raises ``BadRequest`` for a SLAB of none."""
    if planes.operation is not Operation.SLAB:
        return 0.0
    thickness_mm = checked_length(planes.thickness_mm, "ReformattingThickness")
    if not thickness_mm:
        raise BadRequest("ReformattingThickness", "SLAB needs Reformatting Thickness, in mm")
    return thickness_mm


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """The choices of ``[selection]`` and ``[completion]`` that decide what belongs and what may be filled."""

    candidates: Candidates = Candidates.EITHER
    suffixes: tuple[str, ...] = (".dcm", ".dicom", ".ima")
    auxiliary: tuple[str, ...] = ("SeriesNumber", "Modality", "BodyPartExamined")
    auxiliary_missing: str = "note"
    minimum_images: int = 10
    policy: Policy = Policy.REFUSE
    interpolate_at_most: int = 1
    adopt_unlabelled: bool = False


@dataclass(frozen=True, slots=True)
class MPRRequest:
    """One reconstruction, asked for in any way.

    The current image is *sop_instance_uid*, or *path*; with neither, the series' one stack is meant.
    *stated* is what the requestor said of the current image; it must agree. *sop_class* is the choice
    of ``[results] sop_class`` that the destination gets, *result_series_uid* what a virtual series was
    listed as, *patient* a header of the patient whose images of the series are meant.
    """

    planes: PlaneRequest
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    path: Path | None = None
    stated: Header = field(default_factory=Header)
    policy: Policy | None = None
    minimum_images: int | None = None
    sop_class: str = "secondary_capture"
    result_series_uid: str = ""
    patient: Header | None = None
