"""The coded concepts that are written and read here, of the DICOM Controlled Terminology (PS3.16 annex D).

pydicom has them among some ten thousand, and to load these takes a tenth of a second of every command and of
whatever renders for it. A test holds the few here to the words of pydicom.
"""

from typing import Final, NamedTuple


class Concept(NamedTuple):
    """A code, what it means, and the scheme that it is of (PS3.3 8.8)."""

    value: str
    meaning: str
    scheme_designator: str = "DCM"


PIXEL_BY_PIXEL_MEAN: Final = Concept("113049", "Pixel by pixel mean")
MULTIPLANAR_REFORMATTING: Final = Concept("113072", "Multiplanar reformatting")
CURVED_MULTIPLANAR_REFORMATTING: Final = Concept("113073", "Curved multiplanar reformatting")
MAXIMUM_INTENSITY_PROJECTION: Final = Concept("113078", "Maximum intensity projection")
MINIMUM_INTENSITY_PROJECTION: Final = Concept("113079", "Minimum intensity projection")

ACQUISITION_EQUIPMENT: Final = Concept("109101", "Acquisition Equipment")
PROCESSING_EQUIPMENT: Final = Concept("109102", "Processing Equipment")
SOURCE_IMAGE_FOR_IMAGE_PROCESSING_OPERATION: Final = Concept(
    "121322", "Source image for image processing operation"
)

REJECTED_FOR_QUALITY_REASONS: Final = Concept("113001", "Rejected for Quality Reasons")
REJECTED_FOR_PATIENT_SAFETY_REASONS: Final = Concept("113037", "Rejected for Patient Safety Reasons")
INCORRECT_MODALITY_WORKLIST_ENTRY: Final = Concept("113038", "Incorrect Modality Worklist Entry")
DATA_RETENTION_POLICY_EXPIRED: Final = Concept("113039", "Data Retention Policy Expired")
