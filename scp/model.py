"""Frozen records that travel between the stages.

Points and vectors are ``(x, y, z)`` in millimetres, LPS: x grows to the patient's left, y to the
posterior, z to the head (PS3.3 C.7.6.2.1.1). Attributes carry their keywords of PS3.6.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from scp.errors import Code, MprScpError

Value = str | int | float | tuple[str | int | float, ...]
"""A decoded attribute value; several values are a tuple, a sequence is its DICOM JSON text (PS3.18 F)."""

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]

UNDECODABLE = "\uf8ff"
"""First character of a text whose bytes do not decode under its character set; their hex digits follow."""

IDENTITY_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "BodyPartExamined",
    "InstanceNumber",
)
"""What says whose image it is, and of which series."""

GEOMETRY_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "SliceThickness",
    "SpacingBetweenSlices",
    "GantryDetectorTilt",
    "PatientPosition",
    "AnatomicalOrientationType",
)

PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SmallestImagePixelValue",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "MultienergyCTAcquisition",
)

CONTRAST_KEYWORDS = (
    "ImageType",
    "ConvolutionKernel",
    "KVP",
    "FilterType",
    "EchoTime",
    "EchoNumbers",
    "RepetitionTime",
    "InversionTime",
    "DiffusionBValue",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "ContrastBolusAgent",
    "Units",
    "ComplexImageComponent",
)
"""What makes two images of one place different images (C15 of the selection)."""

STACK_KEYWORDS = (
    "AcquisitionNumber",
    "ImagesInAcquisition",
    "NumberOfSlices",
    "TemporalPositionIndex",
    "DerivationCodeSequence",
)

COPIED_KEYWORDS = (
    "StudyDate",
    "StudyTime",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "ContentDate",
    "ContentTime",
    "TimezoneOffsetFromUTC",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ProcedureCodeSequence",
    "OtherPatientIDsSequence",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientSexNeutered",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "Laterality",
    "ImageLaterality",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "CorrectedImage",
    "DecayCorrection",
    "CollimatorType",
    "ReconstructionMethod",
    "AttenuationCorrectionMethod",
    "SeriesType",
    "CountsSource",
    "NumberOfTimeSlices",
    "ActualFrameDuration",
    "FrameReferenceTime",
    "DecayFactor",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "EchoTrainLength",
    "RadiopharmaceuticalInformationSequence",
    "PatientOrientationCodeSequence",
    "PatientGantryRelationshipCodeSequence",
    "RandomsCorrectionMethod",
    "ScatterCorrectionMethod",
)
"""What a result carries over from its sources."""

HEADER_KEYWORDS = (
    IDENTITY_KEYWORDS
    + GEOMETRY_KEYWORDS
    + PIXEL_KEYWORDS
    + CONTRAST_KEYWORDS
    + STACK_KEYWORDS
    + COPIED_KEYWORDS
)
"""All that a header scan decodes; the auxiliary identifiers of the configuration are added to it."""


@dataclass(frozen=True, slots=True)
class Header:
    """The attributes of one image by keyword; what the file does not hold, or holds empty, is absent.

    Numbers (DS, IS, US, FD, ...) are numbers, multiple values are tuples, text is decoded by Specific
    Character Set and keeps its case; a sequence is its DICOM JSON text.
    """

    attributes: Mapping[str, Value] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.attributes

    def get(self, keyword: str) -> Value | None:
        return self.attributes.get(keyword)

    def text(self, keyword: str) -> str:
        """Return the value as text, several joined by a backslash, ``""`` where absent."""
        value = self.attributes.get(keyword, "")
        return "\\".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return all values as text; none where absent."""
        value = self.attributes.get(keyword, ())
        return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return all values as floats; none where absent or where one is no number."""
        value = self.attributes.get(keyword, ())
        values = value if isinstance(value, tuple) else (value,)
        return tuple(float(v) for v in values) if all(isinstance(v, int | float) for v in values) else ()

    def number(self, keyword: str) -> float | None:
        """Return the first value as a float, ``None`` where absent or no number."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """Return the first value if it is a whole number, else ``None``."""
        number = self.number(keyword)
        return int(number) if number is not None and number.is_integer() else None


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells that a file is still the one that was read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where Pixel Data (7FE0,0010) of a file lies.

    *offset* and *length* (bytes) bound the value in the file; encapsulated values run to the end of their
    sequence delimiter. *sha256* is of the value as stored, hex, ``""`` where nobody computed it yet.
    """

    transfer_syntax_uid: str
    offset: int
    length: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a scan knows of one file, or of one frame of a multi-frame file (*frame* >= 1).

    *reason* is empty for a DICOM image; else it says what the scan found (``not-dicom``, ``unreadable``,
    ``truncated`` ...) with *detail* in words.
    """

    path: Path
    stamp: FileStamp | None = None
    reason: str = ""
    detail: str = ""
    preamble: bool = True
    header: Header = field(default_factory=Header)
    pixel_data: PixelData | None = None
    frame: int = 0

    @property
    def sop_instance_uid(self) -> str:
        return self.header.text("SOPInstanceUID")

    @property
    def instance_number(self) -> int | None:
        return self.header.integer("InstanceNumber")


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
    listed as.
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


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One file (or frame) that was looked at, and what became of it; *position_mm* is along the normal."""

    path: Path
    reason: str
    detail: str = ""
    sop_instance_uid: str = ""
    instance_number: int | None = None
    position_mm: float | None = None
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """One image that should be there: by number, by position along the normal, or by both.

    *image_position_patient* is where its first voxel is expected; *sop_instance_uid* is known where an
    index or a peer told it. *before* is the index in the stack before which it belongs (``len(stack)``:
    after the last).
    """

    instance_number: int | None = None
    position_mm: float | None = None
    image_position_patient: Vector | None = None
    sop_instance_uid: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True)
class KnownInstance:
    """An instance of the series that an index or a peer says it holds."""

    sop_instance_uid: str
    instance_number: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Search:
    """One line of the ledger: which search asked whom, what it wanted, what came, and how long it took."""

    name: str
    asked: str
    wanted: int
    found: int
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that neither excludes a file nor refuses, and that the report must not keep to itself."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """What belongs to the series of the current image, and why the rest does not.

    *stack* is ordered by position along the normal (row x column of the current image). *verdict* is
    ``ok`` or the code of the refusal, *numbers* what Error Comment says after it, *sentence* the refusal
    in words.
    Every file that was looked at has exactly one row.
    """

    current: FileFacts
    rules: SelectionRules
    rows: tuple[ReportRow, ...] = ()
    stack: tuple[FileFacts, ...] = ()
    missing: tuple[Missing, ...] = ()
    notes: tuple[Note, ...] = ()
    searches: tuple[Search, ...] = ()
    verdict: str = Code.OK
    numbers: str = ""
    sentence: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict == Code.OK


@dataclass(frozen=True, slots=True)
class FileRef:
    """A DICOM data set that lies in a file and can be sent as it lies there.

    *offset* is where the data set starts (after preamble and file meta information), *length* its bytes.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Whence an instance comes, as the C-STORE request and its association said."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What intake did with an instance: where it lies, and whether it was new."""

    sop_instance_uid: str
    path: Path
    outcome: str
    """``stored``, ``duplicate`` (identical bytes were there) or ``conflict`` (both are kept)."""


class Incoming(Protocol):
    """One instance on its way in."""

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the data set. Raises ``StoreRefused``."""

    def commit(self) -> Stored:
        """Make it durable and indexed, then return. Raises ``StoreRefused``, ``IndexUnavailable``."""

    def abandon(self) -> None:
        """Leave no trace of it."""


class Sink(Protocol):
    """Where ``net`` puts what it receives: the archive's one door."""

    def begin(self, origin: Origin) -> Incoming: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """A request is alive: *stage* in a word, *done* of *total* where that is known."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """A request will produce *count* objects in all, those that fail included."""

    count: int


@dataclass(frozen=True, slots=True)
class Produced:
    """One object is ready to be sent."""

    ref: FileRef


@dataclass(frozen=True, slots=True)
class Failed:
    """One of several things asked for cannot be had; *uid* names it, *error* says why."""

    uid: str
    error: MprScpError


Event = Progress | Planned | Produced | Failed
"""What a retrieve yields, be it of stored instances or of a reconstruction."""

IsCancelled = Callable[[], bool]
"""Tells whether nobody wants the work any more; cheap, asked often."""

FolderReader = Callable[[Path], tuple[FileFacts, ...]]
"""Returns the facts of every directory entry of one folder but its sub-folders."""

PixelsAgree = Callable[[FileFacts, FileFacts], bool]
"""Tells whether two files of one SOP Instance UID hold the same decoded pixels."""
