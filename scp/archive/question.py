"""An identifier, taken apart: level, keys and the texts they are to match (PS3.4 C.4.1.1.3, C.6).

Patient Root and Study Root, hierarchical: the unique keys of the levels above must be there.
"""

from dataclasses import dataclass
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from scp.archive.matching import key_texts
from scp.errors import BadRequest
from scp.model import COPIED_KEYWORDS, HEADER_KEYWORDS, IDENTITY_KEYWORDS, NOT_KEYS, is_legal_uid

LEVELS: Final = {
    "PATIENT": ("PATIENT", "STUDY", "SERIES", "IMAGE"),
    "STUDY": ("STUDY", "SERIES", "IMAGE"),
}
UNIQUE_KEYS: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}

PATIENT_KEYWORDS: Final = frozenset(
    {"PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"}
)
STUDY_KEYWORDS: Final = PATIENT_KEYWORDS | {
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription"),
    *("ReferringPhysicianName", "PatientAge", "PatientSize", "PatientWeight", "TimezoneOffsetFromUTC"),
}
IMAGE_ONLY_KEYWORDS: Final = (
    frozenset(HEADER_KEYWORDS) - frozenset(COPIED_KEYWORDS) - frozenset(IDENTITY_KEYWORDS)
)
SERIES_KEYWORDS: Final = (
    frozenset(HEADER_KEYWORDS)
    - (IMAGE_ONLY_KEYWORDS - {"FrameOfReferenceUID", "PatientPosition"})
    - {"SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ContentDate", "ContentTime"}
)

LEVEL_KEYWORDS: Final = {
    "PATIENT": PATIENT_KEYWORDS,
    "STUDY": STUDY_KEYWORDS,
    "SERIES": SERIES_KEYWORDS,
    "IMAGE": None,
}
"""What is the same for all that one answer stands for; an image tells everything of itself."""

COUNTS: Final = {
    "NumberOfPatientRelatedStudies": "PATIENT",
    "NumberOfPatientRelatedSeries": "PATIENT",
    "NumberOfPatientRelatedInstances": "PATIENT",
    "NumberOfStudyRelatedSeries": "STUDY",
    "NumberOfStudyRelatedInstances": "STUDY",
    "NumberOfSeriesRelatedInstances": "SERIES",
    "ModalitiesInStudy": "STUDY",
    "SOPClassesInStudy": "STUDY",
}
"""Keys that are not of one header, and the level whose rows they are drawn from."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An identifier, taken apart."""

    root_model: str
    level: str
    keys: dict[str, tuple[str, tuple[str, ...]]]
    """Keyword -> VR and the texts to match (none: universal)."""

    def texts(self, keyword: str) -> tuple[str, ...]:
        return self.keys.get(keyword, ("", ()))[1]

    @property
    def vrs(self) -> dict[str, str]:
        return {keyword: vr for keyword, (vr, _) in self.keys.items()}


def asked(root_model: str, identifier: Dataset) -> Asked:
    """Read an identifier; raises ``BadRequest`` where level or a unique key above is wrong (C.4.1.1.3)."""
    level = str(identifier.get("QueryRetrieveLevel", "") or "").strip()
    if level not in LEVELS[root_model]:
        raise BadRequest(
            "QueryRetrieveLevel",
            f"the level is {level or 'missing'}, and must be one of {', '.join(LEVELS[root_model])}",
        )
    keys = {}
    for tag in identifier.keys():  # noqa: SIM118 - going over a Dataset itself would decode its values
        keyword = keyword_for_tag(tag)
        if keyword and keyword not in NOT_KEYS:
            keys[keyword] = _key(identifier, keyword)
    question = Asked(root_model, level, keys)
    levels = LEVELS[root_model]
    for above in levels[: levels.index(level)]:
        texts = question.texts(UNIQUE_KEYS[above])
        if not texts or (above != "PATIENT" and not all(map(is_legal_uid, texts))):
            raise BadRequest(
                UNIQUE_KEYS[above], f"at {level} level {UNIQUE_KEYS[above]} must say which {above.lower()}"
            )
    return question


def _key(identifier: Dataset, keyword: str) -> tuple[str, tuple[str, ...]]:
    try:
        element = identifier[keyword]
        return str(element.VR), key_texts(element)
    except Exception as error:  # pydicom decodes now, and raises whatever it likes for a hostile value
        raise BadRequest(keyword, f"the value of {keyword} does not decode") from error
