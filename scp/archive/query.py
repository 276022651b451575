"""What a query or retrieve finds: identifier in, answers or files out (PS3.4 C.4.1, C.6).

The index narrows, :mod:`scp.archive.matching` decides. Where several files hold one SOP Instance UID, the
newest answers. Keys of a level below the one asked for are answered empty.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from typing import Any, Final, NamedTuple, TypeVar

from pydicom.dataset import Dataset
from sqlalchemy import Column, Connection, Row, Select, bindparam, distinct, func, select

from scp.archive.answers import Values, data_set
from scp.archive.index import file, instance, series
from scp.archive.matching import (
    Matches,
    has_wild_card,
    matcher,
    range_of,
)
from scp.archive.question import COUNTS, LEVEL_KEYWORDS, UNIQUE_KEYS, Asked
from scp.archive.records import header_of
from scp.errors import BadRequest, Code
from scp.model import Header, Value, name_groups

MOST_UIDS_IN_ONE_QUERY: Final = 10_000
"""Longer lists are matched in Python: a database bounds the variables of one statement."""

FIRST_ROWS: Final = 8
"""How many rows are looked at for the first batch of answers."""

MOST_ROWS: Final = 128
"""How many are for each later one: few, so that a cancel takes effect soon and little waits to be sent."""

MOST_SOUGHT: Final = 16
"""Beyond so many keys it is faster to decode a header as a whole."""

_COLUMNS: Final = {
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "SOPInstanceUID": "sop_instance_uid",
}

_DECODER: Final = json.JSONDecoder()

_OF_FILE: Final = (
    *(instance.c.sop_class_uid, instance.c.transfer_syntax_uid, instance.c.data_set_offset),
    *(file.c.folder, file.c.name, file.c.size, file.c.reason),
    *(series.c.patient_id, series.c.study_instance_uid, series.c.series_instance_uid),
)
"""Where an instance lies, and by which unique keys it is found."""

_ORDER: Final = (series.c.patient_id, series.c.patient_key, series.c.study_instance_uid, series.c.id)

# built once: composing a statement costs more than SQLite takes to answer it
_SERIES_PRESENT: Final = (
    select(*_ORDER, series.c.series_instance_uid, series.c.modality)
    .where(select(instance.c.file_id).where(instance.c.series_id == series.c.id).exists())
    .order_by(*_ORDER)
)
_SERIES_HEADERS: Final = select(series.c.id, series.c.header).where(
    series.c.id.in_(bindparam("keys", expanding=True))
)
_INSTANCE_HEADERS: Final = select(instance.c.file_id, instance.c.header).where(
    instance.c.file_id.in_(bindparam("keys", expanding=True))
)

_T = TypeVar("_T")


def find(connection: Connection, question: Asked) -> Iterator[list[Values]]:
    """Yield the answers in batches, each of what is found among some rows, which may be nothing."""
    batches = _image_batches if question.level == "IMAGE" else _group_batches
    for batch in batches(connection, question):
        yield [found.values for found in batch]


def retrieve_rows(connection: Connection, question: Asked) -> list[Row[Any]]:
    """Return the newest whole row of each instance that the unique keys name; raises ``BadRequest``."""
    key = UNIQUE_KEYS[question.level]
    if not question.texts(key):
        raise BadRequest(key, f"at {question.level} level {key} must say what to retrieve")
    unique = {k: v for k, v in question.keys.items() if k in UNIQUE_KEYS.values()}
    narrowed = Asked(question.root_model, question.level, unique)
    tests = _tests(narrowed)
    newest: dict[str, Row[Any]] = {}
    for row in _instance_rows(connection, narrowed, *_OF_FILE):
        if all(test(_unique_value(row, keyword)) for keyword, test in tests.items()):
            newest.setdefault(row.sop_instance_uid, row)
    return list(newest.values())


def _unique_value(row: Row[Any], keyword: str) -> Value:
    if keyword == "PatientID":
        return tuple(row.patient_id.split("\\"))
    column: str = getattr(row, _COLUMNS[keyword])
    return column


def _tests(question: Asked) -> dict[str, Matches]:
    known = LEVEL_KEYWORDS[question.level]
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
        group = next(filter(None, name_groups(names[0])), "")
        prefix = group.split("*")[0].split("?")[0].rstrip("^")
        name = series.c.patient_name
        statement = statement.where(
            name.startswith(prefix, autoescape=True) | name.contains(f"={prefix}", autoescape=True)
        )
    dates = question.texts("StudyDate")
    if len(dates) == 1 and question.level != "PATIENT":
        low, high = range_of("DA", dates[0])
        statement = statement.where(series.c.study_date >= low, series.c.study_date <= high)
    return statement


def grouped(connection: Connection, question: Asked) -> Iterator[tuple[Header, Dataset]]:
    """Yield the answers above IMAGE level, each with the header of an image that it stands for."""
    for batch in _group_batches(connection, question):
        for found in batch:
            yield header_of(found.header), data_set(question.level, question.vrs, found.values)


class _Found(NamedTuple):
    """One answer, and the header of an image that it stands for as the index has it."""

    header: str
    values: Values


def _group_batches(connection: Connection, question: Asked) -> Iterator[list[_Found]]:
    """Find one answer for each patient, study or series that has instances; a series of two patients has two.

    Rows come without their headers, which are read as they are needed: of a thousand studies those are
    megabytes, and a requestor may take its time.
    """
    rows = connection.execute(_narrowed(_SERIES_PRESENT, question)).all()
    counts = _Counts(connection, question)
    modalities = matcher("CS", question.texts("ModalitiesInStudy"))
    by: Callable[[Row[Any]], Any] = {
        "PATIENT": lambda row: (row.patient_id, row.patient_key),
        "STUDY": lambda row: (row.patient_key, row.study_instance_uid),
        "SERIES": lambda row: row.id,
    }[question.level]
    groups = (list(group) for _, group in groupby(rows, by))
    if question.level == "STUDY":
        groups = (group for group in groups if modalities(_modalities(group)))
    finding = _Finding(question)
    for batch in _growing(groups):
        headers = _headers(connection, _SERIES_HEADERS, [group[0].id for group in batch])
        found = (finding.of(headers[g[0].id], partial(counts.value, g)) for g in batch if g[0].id in headers)
        yield [one for one in found if one]


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


def _image_batches(connection: Connection, question: Asked) -> Iterator[list[_Found]]:
    """Find the images of a series; of several files of one instance the newest that matches answers."""
    finding = _Finding(question)
    seen: set[str] = set()
    for batch in _growing(_instance_rows(connection, question)):
        headers = _headers(connection, _INSTANCE_HEADERS, [row.file_id for row in batch])
        found = []
        for row in batch:
            if row.sop_instance_uid in seen or row.file_id not in headers:
                continue
            one = finding.of(headers[row.file_id], _not_of_an_image)
            if one:
                seen.add(row.sop_instance_uid)
                found.append(one)
        yield found


def _not_of_an_image(_keyword: str) -> Value:
    return ""


def _instance_rows(connection: Connection, question: Asked, *columns: Column[Any]) -> Sequence[Row[Any]]:
    """Return a row for each file of an instance, in the order of series and Instance Number.

    Of several files of one instance the newest comes first, and truncated ones last.
    """
    order = (
        *(instance.c.series_id, instance.c.instance_number, instance.c.sop_instance_uid),
        *(file.c.reason == Code.TRUNCATED, file.c.seen_ns.desc(), file.c.id.desc()),
    )
    statement = select(instance.c.file_id, instance.c.sop_instance_uid, *columns).join_from(instance, file)
    statement = _narrowed(statement.join(series, series.c.id == instance.c.series_id), question)
    uids = question.texts("SOPInstanceUID")
    if uids and len(uids) <= MOST_UIDS_IN_ONE_QUERY and not any(map(has_wild_card, uids)):
        statement = statement.where(instance.c.sop_instance_uid.in_(uids))
    statement = statement.where(instance.c.sop_instance_uid != "")
    return connection.execute(statement.order_by(*order)).all()


def _growing(rows: Iterable[_T]) -> Iterator[list[_T]]:
    """Yield *rows* in batches: small ones first, since the first answer is waited for."""
    rows = iter(rows)
    size = FIRST_ROWS
    while batch := list(islice(rows, size)):
        yield batch
        size = min(2 * size, MOST_ROWS)


def _headers(connection: Connection, statement: Select[Any], keys: list[int]) -> dict[int, str]:
    """Return the headers of rows by their keys; a row that has gone meanwhile has none."""
    return {row[0]: row[1] for row in connection.execute(statement, {"keys": keys})}


class _Finding:
    """Makes answers of headers: the tests that one must pass, and the keys whose values the answer gives."""

    def __init__(self, question: Asked) -> None:
        known = LEVEL_KEYWORDS[question.level]
        self._tests = _tests(question)
        self._computed = [COUNTS.get(keyword) == question.level for keyword in question.keys]
        self._told = [
            keyword if keyword in COUNTS or known is None or keyword in known else ""
            for keyword in question.keys
        ]
        self._values = _reader({*self._tests, *self._told} - {""})

    def of(self, header: str, computed: Callable[[str], Value]) -> _Found | None:
        """Return the answer of *header*, ``None`` where it does not match."""
        values = self._values(header)
        for keyword, test in self._tests.items():
            if not test(_as_value(values.get(keyword))):
                return None
        told = zip(self._told, self._computed, strict=True)
        return _Found(header, [computed(key) if is_ else _as_value(values.get(key)) for key, is_ in told])


def _reader(keywords: Collection[str]) -> Callable[[str], Mapping[str, Any]]:
    """Return a function that reads the values of *keywords* from a header, a few without decoding it all.

    A quote within a text is escaped: what looks like a key of ``records.header_json`` is one.
    """
    if len(keywords) > MOST_SOUGHT:
        return json.loads
    marks = [(keyword, f'"{keyword}":', len(keyword) + 3) for keyword in keywords]

    def read(header: str) -> dict[str, Any]:
        found = ((keyword, header.find(mark), length) for keyword, mark, length in marks)
        return {
            keyword: _DECODER.raw_decode(header, at + length)[0] for keyword, at, length in found if at >= 0
        }

    return read


def _as_value(value: Any) -> Value | None:
    return tuple(value) if isinstance(value, list) else value
