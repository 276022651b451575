"""What a query or retrieve finds: identifier in, answers or files out (PS3.4 C.4.1, C.6).

The index narrows, :mod:`scp.archive.matching` decides. Patient Root and Study Root, hierarchical: the
unique keys of the levels above must be there. Where several files hold one SOP Instance UID, the newest
answers. Keys of a level below the one asked for are answered empty.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final

from pydicom import config as pydicom_config
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from sqlalchemy import Connection, Row, Select, distinct, func, select

from scp.archive.index import file, instance, series
from scp.archive.layout import folded_name
from scp.archive.matching import (
    BINARY_VRS,
    NUMBER_VRS,
    RANGE_VRS,
    WILD_CARD_VRS,
    Matches,
    has_wild_card,
    key_texts,
    matcher,
    range_of,
)
from scp.archive.records import header_of
from scp.errors import BadRequest, Code, Refused
from scp.model import (
    COPIED_KEYWORDS,
    HEADER_KEYWORDS,
    IDENTITY_KEYWORDS,
    UNDECODABLE,
    Header,
    Value,
    is_legal_uid,
)

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

_LEVEL_KEYWORDS: Final = {
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

NOT_KEYS: Final = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"})

MOST_UIDS_IN_ONE_QUERY: Final = 10_000
"""Longer lists are matched in Python: a database bounds the variables of one statement."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An identifier, taken apart."""

    root_model: str
    level: str
    keys: dict[str, tuple[str, tuple[str, ...]]]
    """Keyword -> VR and the texts to match (none: universal)."""

    def texts(self, keyword: str) -> tuple[str, ...]:
        return self.keys.get(keyword, ("", ()))[1]


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


def unsupported_keys(root_model: str, identifier: Dataset) -> tuple[str, ...]:
    """Return the keys that are neither matched nor answered: Pending is then 0xFF01 (PS3.4 C.4.1.1.4)."""
    question = asked(root_model, identifier)
    known = _LEVEL_KEYWORDS[question.level] or frozenset(HEADER_KEYWORDS)
    return tuple(key for key in question.keys if key not in known and key not in COUNTS)


def find(connection: Connection, question: Asked, limit: int) -> Iterator[Dataset]:
    """Yield at most *limit* answers; raises ``Refused`` (out-of-resources) where there are more."""
    answers = _image_answers if question.level == "IMAGE" else _grouped_answers
    for number, answer in enumerate(answers(connection, question)):
        if number == limit:
            raise Refused(
                Code.OUT_OF_RESOURCES,
                f"more than {limit} answers match; ask for less at once",
                comment=f"more than {limit} answers",
            )
        yield answer


def retrieve_rows(connection: Connection, question: Asked) -> list[Row[Any]]:
    """Return the newest row of each instance that the unique keys name; raises ``BadRequest``."""
    key = UNIQUE_KEYS[question.level]
    if not question.texts(key):
        raise BadRequest(key, f"at {question.level} level {key} must say what to retrieve")
    unique = {k: v for k, v in question.keys.items() if k in UNIQUE_KEYS.values()}
    narrowed = Asked(question.root_model, question.level, unique)
    return list(_newest(connection, narrowed, _tests(narrowed)))


def _tests(question: Asked) -> dict[str, Matches]:
    known = _LEVEL_KEYWORDS[question.level]
    return {
        keyword: matcher(vr, texts)
        for keyword, (vr, texts) in question.keys.items()
        if texts and keyword not in COUNTS and (known is None or keyword in known)
    }


def _narrowed(statement: Select[Any], question: Asked) -> Select[Any]:
    """Add what the database can decide by an index; it may let too much through, never too little."""
    for keyword, column in (
        ("StudyInstanceUID", series.c.study_instance_uid),
        ("SeriesInstanceUID", series.c.series_instance_uid),
        ("PatientID", series.c.patient_id),
        ("AccessionNumber", series.c.accession_number),
    ):
        texts = question.texts(keyword)
        below = keyword == "SeriesInstanceUID" and question.level in ("PATIENT", "STUDY")
        if (
            texts
            and not below
            and len(texts) <= MOST_UIDS_IN_ONE_QUERY
            and not any(map(has_wild_card, texts))
        ):
            statement = statement.where(column.in_(texts))
    names = question.texts("PatientName")
    if len(names) == 1:
        prefix = folded_name(names[0]).split("*")[0].split("?")[0].split("=")[0].rstrip("^")
        statement = statement.where(series.c.patient_name.startswith(prefix, autoescape=True))
    dates = question.texts("StudyDate")
    if len(dates) == 1 and question.level != "PATIENT":
        low, high = range_of("DA", dates[0])
        statement = statement.where(series.c.study_date >= low, series.c.study_date <= high)
    return statement


def _grouped_answers(connection: Connection, question: Asked) -> Iterator[Dataset]:
    return (answer for _, answer in grouped(connection, question))


def grouped(connection: Connection, question: Asked) -> Iterator[tuple[Header, Dataset]]:
    """Yield the answers above IMAGE level, each with the header of an image that it stands for.

    There is one for each patient, study or series that has instances; a series of two patients has two.
    """
    present = select(instance.c.file_id).where(instance.c.series_id == series.c.id).exists()
    order = (series.c.patient_id, series.c.patient_key, series.c.study_instance_uid, series.c.id)
    rows = connection.execute(_narrowed(select(series), question).where(present).order_by(*order)).all()
    counts = _Counts(connection, question)
    tests = _tests(question)
    modalities = matcher("CS", question.texts("ModalitiesInStudy"))
    by: Callable[[Row[Any]], Any] = {
        "PATIENT": lambda row: (row.patient_id, row.patient_key),
        "STUDY": lambda row: (row.patient_key, row.study_instance_uid),
        "SERIES": lambda row: row.id,
    }[question.level]
    for _, group in groupby(rows, by):
        members = list(group)
        header = header_of(members[0].header)
        if not all(test(header.get(keyword)) for keyword, test in tests.items()):
            continue
        if question.level == "STUDY" and not modalities(_modalities(members)):
            continue
        yield header, _answer(question, header, partial(counts.value, members))


def _modalities(members: list[Row[Any]]) -> tuple[str, ...]:
    return tuple(sorted({row.modality for row in members if row.modality}))


class _Counts:
    """The keys that count or list what is below, asked of the database only where a query wants them."""

    def __init__(self, connection: Connection, question: Asked) -> None:
        self._instances: dict[int, int] = {}
        self._classes: dict[int, set[str]] = {}
        wanted = set(question.keys) & set(COUNTS)
        if any(key.endswith("Instances") for key in wanted):
            statement = select(instance.c.series_id, func.count(distinct(instance.c.sop_instance_uid)))
            joined = _narrowed(statement.join(series), question).group_by(instance.c.series_id)
            self._instances = {row[0]: row[1] for row in connection.execute(joined)}
        if "SOPClassesInStudy" in wanted:
            statement = select(instance.c.series_id, instance.c.sop_class_uid).distinct()
            for key, sop_class_uid in connection.execute(_narrowed(statement.join(series), question)):
                self._classes.setdefault(key, set()).add(sop_class_uid)

    def value(self, members: list[Row[Any]], keyword: str) -> Value:
        if keyword == "ModalitiesInStudy":
            return _modalities(members)
        if keyword == "SOPClassesInStudy":
            return tuple(sorted(set().union(*(self._classes.get(row.id, set()) for row in members))))
        if keyword.endswith("Studies"):
            return len({row.study_instance_uid for row in members})
        if keyword.endswith("Series"):
            return len({row.series_instance_uid for row in members})
        return sum(self._instances.get(row.id, 0) for row in members)


def _image_answers(connection: Connection, question: Asked) -> Iterator[Dataset]:
    for row in _newest(connection, question, _tests(question)):
        yield _answer(question, header_of(row.header), _not_of_an_image)


def _not_of_an_image(_keyword: str) -> Value:
    return ""


def _newest(connection: Connection, question: Asked, tests: dict[str, Matches]) -> Iterator[Row[Any]]:
    """Yield the newest row of each instance that matches, in the order of series and Instance Number."""
    statement = select(
        instance, file.c.folder, file.c.name, file.c.size, series.c.study_instance_uid
    ).join_from(instance, file)
    statement = _narrowed(statement.join(series, series.c.id == instance.c.series_id), question)
    uids = question.texts("SOPInstanceUID")
    if uids and len(uids) <= MOST_UIDS_IN_ONE_QUERY and not any(map(has_wild_card, uids)):
        statement = statement.where(instance.c.sop_instance_uid.in_(uids))
    order = (instance.c.series_id, instance.c.instance_number, instance.c.sop_instance_uid)
    seen: set[str] = set()
    for row in connection.execute(statement.order_by(*order, file.c.seen_ns.desc(), file.c.id.desc())):
        if row.sop_instance_uid in seen or not row.sop_instance_uid:
            continue
        if tests and not _passes(row, tests):
            continue
        seen.add(row.sop_instance_uid)
        yield row


_COLUMNS: Final = {"SOPInstanceUID": "sop_instance_uid", "SOPClassUID": "sop_class_uid"}


def _passes(row: Row[Any], tests: dict[str, Matches]) -> bool:
    if all(keyword in _COLUMNS for keyword in tests):
        return all(test(getattr(row, _COLUMNS[keyword])) for keyword, test in tests.items())
    attributes = json.loads(row.header)
    return all(test(_as_value(attributes.get(keyword))) for keyword, test in tests.items())


def _as_value(value: Any) -> Value | None:
    return tuple(value) if isinstance(value, list) else value


def _answer(question: Asked, header: Header, computed: Callable[[str], Value]) -> Dataset:
    """Return an answer with the keys asked for, empty where nothing is known (PS3.4 C.4.1.1.3.2)."""
    answer = Dataset()
    known = _LEVEL_KEYWORDS[question.level]
    needs_utf8 = False
    for keyword, (vr, _) in question.keys.items():
        value: Value | None = None
        if keyword in COUNTS:
            value = computed(keyword) if COUNTS[keyword] == question.level else None
        elif known is None or keyword in known:
            value = header.get(keyword)
        element = _element(keyword, vr, value)
        needs_utf8 = needs_utf8 or not str(element.value).isascii()
        answer.add(element)
    answer.QueryRetrieveLevel = question.level
    if needs_utf8:
        answer.SpecificCharacterSet = "ISO_IR 192"
    return answer


def _element(keyword: str, vr: str, value: Value | None) -> DataElement:
    """Return a key's answer; what an archive holds need not be legal for its VR, and is told as it is."""
    tag = tag_for_keyword(keyword) or 0
    if vr == "SQ":
        return DataElement(tag, vr, [])
    written = _written(vr, value)
    try:
        return DataElement(tag, vr, written, validation_mode=pydicom_config.IGNORE)
    except (ValueError, TypeError, OverflowError):
        return DataElement(tag, vr, written, already_converted=True)


def _written(vr: str, value: Value | None) -> Any:
    """Return a value as pydicom takes it; bytes of no known text show as question marks."""
    if value is None or vr not in WILD_CARD_VRS | RANGE_VRS | NUMBER_VRS | {"UI", "AS"}:
        return "" if vr in WILD_CARD_VRS | RANGE_VRS | {"UI", "AS", "IS", "DS"} else None
    values = value if isinstance(value, tuple) else (value,)
    if vr in BINARY_VRS:
        numbers = [each for each in values if not isinstance(each, str)]
        return numbers if len(numbers) > 1 else next(iter(numbers), None)
    written = [_number_text(each) if vr in ("IS", "DS") else _shown(each) for each in values]
    return written if len(written) > 1 else (written[0] if written else "")


def _number_text(value: str | int | float) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _shown(value: str | int | float) -> str:
    if isinstance(value, str) and value.startswith(UNDECODABLE):
        return "".join(chr(b) if 32 <= b < 127 else "?" for b in bytes.fromhex(value[1:]))
    return str(value)
