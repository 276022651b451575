"""Whose image it is: patient, study, series, auxiliary identifiers (steps 3 to 6).

Person names are compared by component groups (PS3.5 6.2.1), as they mean the same however they were
typed: letter case, trailing carets, padding and character set do not count. Bytes that do not decode
never equal anything but the same bytes. Details name attributes and never hold a patient's data.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from scp.errors import Code, Refused, differs_code
from scp.model import COSINE_TOLERANCE, FileFacts, Header, SelectionRules, Value, name_groups
from scp.selection.sorting import FITS, Finding, Rule, once_for_all_alike
from scp.selection.thresholds import SAME_POSITION_MM

OF_THE_PATIENT = ("IssuerOfPatientID", "PatientBirthDate", "PatientSex")

AGREES_WHERE_BOTH = ("PatientID", *OF_THE_PATIENT)
"""Two people may bear one name: these part them, where both images have a value."""

LOOKED_AT = ("PatientName", *AGREES_WHERE_BOTH, "StudyInstanceUID", "SeriesInstanceUID")
"""What the checks read, beside the auxiliary identifiers of the rules."""

OF_PATIENT = ("PatientName", *AGREES_WHERE_BOTH)

OF_PATIENT_AND_STUDY = (*OF_PATIENT, "StudyInstanceUID")

STATED_KEYWORDS = (
    *OF_PATIENT_AND_STUDY,
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "BodyPartExamined",
)
"""What a requestor may say of the current image; it must agree with what is stored."""

STATED_GEOMETRY = {"ImageOrientationPatient": COSINE_TOLERANCE, "ImagePositionPatient": SAME_POSITION_MM}
"""What a header file says of it besides, and how near that must be."""


def same_name(one: str, other: str) -> bool:
    """Tell whether two values of Patient's Name name the same person.

    One that does not decode is its bytes in hex digits (``scp.model.UNDECODABLE``) and equals only itself.
    """
    if one == other:
        return True
    (alphabetic, *further), (other_alphabetic, *other_further) = name_groups(one), name_groups(other)
    if bool(alphabetic or any(further)) != bool(other_alphabetic or any(other_further)):
        return False
    pairs = zip(further, other_further, strict=True)
    return alphabetic == other_alphabetic and all(a == b for a, b in pairs if a and b)


def same_value(one: Value, other: Value) -> bool:
    """Tell whether two values are equal but for the padding of texts."""
    ones = one if isinstance(one, tuple) else (one,)
    others = other if isinstance(other, tuple) else (other,)
    return all(
        a.strip() == b.strip() if isinstance(a, str) and isinstance(b, str) else a == b
        for a, b in zip_longest(ones, others)
    )


def same_patient(one: Header, other: Header) -> bool:
    """Tell whether two images say the same of their patient; one that says less is another one's."""
    return same_name(one.text("PatientName"), other.text("PatientName")) and all(
        one.text(keyword).strip() == other.text(keyword).strip()
        for keyword in ("PatientID", "IssuerOfPatientID")
    )


def patient(current: Header, other: Header) -> Finding:
    """Object where the name differs, or an identifier that both have."""
    if not same_name(current.text("PatientName"), other.text("PatientName")):
        return Finding(Code.OTHER_PATIENT, "Patient's Name differs")
    for keyword in AGREES_WHERE_BOTH:
        one, two = current.get(keyword), other.get(keyword)
        if one is not None and two is not None and not same_value(one, two):
            return Finding(Code.OTHER_PATIENT_ID, f"{keyword} differs")
    return FITS


def study(current: Header, other: Header) -> Finding:
    """Object where Study Instance UID differs."""
    if current.text("StudyInstanceUID") != other.text("StudyInstanceUID"):
        return Finding(Code.OTHER_STUDY, f"Study Instance UID {other.text('StudyInstanceUID') or 'is empty'}")
    return FITS


def series(current: Header, other: Header) -> Finding:
    """Object where Series Instance UID differs or lacks."""
    uid = other.text("SeriesInstanceUID")
    if not uid:
        return Finding(Code.SERIES_UID_MISSING, "Series Instance UID is missing or empty")
    if uid != current.text("SeriesInstanceUID"):
        return Finding(Code.OTHER_SERIES, f"Series Instance UID {uid}")
    return FITS


def auxiliary(current: Header, other: Header, rules: SelectionRules) -> Finding:
    """Object where an auxiliary identifier differs; where one side lacks it, if the rules say so."""
    for keyword in rules.auxiliary:
        one, two = current.get(keyword), other.get(keyword)
        if one is not None and two is not None and not same_value(one, two):
            return Finding(differs_code(keyword), f"{keyword} {two} is not {one}")
    if rules.auxiliary_missing == "exclude":
        for keyword in one_sided(current, other, rules):
            return Finding(Code.AUXILIARY_MISSING, f"only one of this and the current image has {keyword}")
    return FITS


def one_sided(current: Header, other: Header, rules: SelectionRules) -> tuple[str, ...]:
    """Return the auxiliary identifiers that only one of two images has."""
    return tuple(keyword for keyword in rules.auxiliary if (keyword in current) != (keyword in other))


IDENTITY: tuple[Callable[[Header, Header], Finding], ...] = (patient, study, series)


def belongs(current: Header, other: Header, rules: SelectionRules) -> Finding:
    """Return the first objection of steps 3 to 6, or none."""
    for check in IDENTITY:
        if finding := check(current, other):
            return finding
    return auxiliary(current, other, rules)


def belonging(current: Header, rules: SelectionRules) -> Rule:
    """Return the rule that leaves out what is of another patient, study or series (steps 3 to 6)."""
    return once_for_all_alike((*LOOKED_AT, *rules.auxiliary), lambda header: belongs(current, header, rules))


def by_patient_and_study(images: Iterable[FileFacts]) -> list[list[FileFacts]]:
    """Return *images* parted into those of each patient and study, in the order in which these turn up."""
    parts: list[list[FileFacts]] = []
    for image in images:
        for part in parts:
            of_part = part[0].header
            if not patient(of_part, image.header) and not study(of_part, image.header):
                part.append(image)
                break
        else:
            parts.append([image])
    return parts


def disagreement(current: Header, stated: Header, keywords: Sequence[str] = STATED_KEYWORDS) -> str:
    """Return the first of *keywords* in which the request says other things of an image, ``""`` for none.

    What is empty or holds a wild card says nothing (PS3.4 C.2.2.2.4). What further parts people who bear one
    name must agree where both say it.
    """
    for keyword in keywords:
        said = stated.text(keyword)
        if not said or "*" in said or "?" in said:
            continue
        if keyword in OF_THE_PATIENT and keyword not in current:
            continue
        held = current.text(keyword)
        same = same_name(said, held) if keyword == "PatientName" else said.strip() == held.strip()
        if not same:
            return keyword
    return ""


def agree_with_request(current: Header, stated: Header) -> None:
    """Raise ``Refused(header-disagrees)`` where the request says other things of the current image."""
    if keyword := disagreement(current, stated):
        raise _disagrees(keyword)
    for keyword, tolerance in STATED_GEOMETRY.items():
        said_mm, held_mm = stated.numbers(keyword), current.numbers(keyword)
        if said_mm and not _near(said_mm, held_mm, tolerance):
            raise _disagrees(keyword)


def _near(one: tuple[float, ...], other: tuple[float, ...], tolerance: float) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


def _disagrees(keyword: str) -> Refused:
    return Refused(
        Code.HEADER_DISAGREES,
        f"{keyword} of the request is not that of the stored current image: ask with the stored header.",
        comment=keyword,
    )
