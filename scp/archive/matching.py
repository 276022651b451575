"""Attribute matching of a query (PS3.4 C.2.2.2): one key against one value.

Single value, list of UID, wild card, range of dates and times, universal. Person names match whatever
their letter case; all else matches as written. A sequence key matches everything.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from scp.model import Value, name_groups
from scp.part10.vrs import BINARY_NUMBERS

WILD_CARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
RANGE_VRS: Final = frozenset({"DA", "TM", "DT"})
NUMBER_VRS: Final = frozenset({*BINARY_NUMBERS, "IS", "DS"})

Matches = Callable[[Value | None], bool]


def key_texts(element: DataElement) -> tuple[str, ...]:
    """Return the values of a key as text; none for universal matching."""
    value = element.value
    if element.VR == "SQ" or value is None:
        return ()
    values = value if isinstance(value, MultiValue | list | tuple) else (value,)
    texts = tuple(str(each).strip(" \0") for each in values)
    return texts if any(text not in ("", "*") for text in texts) else ()


def has_wild_card(text: str) -> bool:
    return "*" in text or "?" in text


def matcher(vr: str, texts: tuple[str, ...]) -> Matches:
    """Return the test that a value of the archive must pass; *texts* as of :func:`key_texts`."""
    if not texts:
        return _anything
    tests = [_single(vr, text) for text in texts]
    return lambda value: any(test(each) for each in _texts(value) for test in tests)


def matches_key(key: DataElement, values: Mapping[str, Value]) -> bool:
    """Tell whether *values* (by keyword) match one key of an identifier."""
    return matcher(key.VR, key_texts(key))(values.get(key.keyword))


def _anything(_value: Value | None) -> bool:
    return True


def _texts(value: Value | None) -> tuple[str, ...]:
    if value is None:
        return ("",)
    return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)


def _single(vr: str, text: str) -> Callable[[str], bool]:
    if vr == "PN":
        return _person_name(text)
    if vr in RANGE_VRS:
        low, high = range_of(vr, text)
        return lambda value: bool(value) and low <= _padded(vr, value, "0") <= high
    if vr in NUMBER_VRS:
        return lambda value: _same_number(value, text)
    if vr in WILD_CARD_VRS and has_wild_card(text):
        return lambda value: wild_card_matches(text, value)
    return lambda value: value == text


def _person_name(text: str) -> Callable[[str], bool]:
    """Compare component groups (PS3.5 6.2.1): a key of one group with each, else those that the key names.

    Who types a name types one group, in whichever script.
    """
    wanted, *others = name_groups(text)
    if not any(others):
        return lambda value: any(wild_card_matches(wanted, group) for group in _groups_of(value))
    named = [(number, group) for number, group in enumerate([wanted, *others]) if group]
    return lambda value: all(wild_card_matches(group, name_groups(value)[at]) for at, group in named)


def _groups_of(name: str) -> list[str]:
    """Return the groups that a name has; one that is empty has an empty one."""
    return [group for group in name_groups(name) if group] or [""]


def _same_number(value: str, text: str) -> bool:
    try:
        return float(value) == float(text)
    except ValueError:
        return value == text


def wild_card_matches(pattern: str, text: str) -> bool:
    """Tell whether *text* is what ``*`` (any run) and ``?`` (any one) of *pattern* allow.

    Only the last star is ever tried again, so that no pattern takes longer than the product of both lengths.
    """
    at = in_pattern = 0
    star, retry_from = -1, 0
    while at < len(text):
        if in_pattern < len(pattern) and pattern[in_pattern] == "*":
            star, retry_from = in_pattern, at
            in_pattern += 1
        elif in_pattern < len(pattern) and pattern[in_pattern] in ("?", text[at]):
            in_pattern += 1
            at += 1
        elif star >= 0:
            retry_from += 1
            in_pattern, at = star + 1, retry_from
        else:
            return False
    return not pattern[in_pattern:].strip("*")


def range_of(vr: str, text: str) -> tuple[str, str]:
    """Return the first and last value that a date or time key matches, padded to full length.

    ``20260101-``, ``-20261231``, ``20260101-20260131``; one value is the range it spans (``10`` is all
    of that hour). A hyphen that begins the zone of a date time separates nothing.
    """
    hyphens = [match.start() for match in re.finditer("-", text)]
    if vr == "DT":
        hyphens = [at for at in hyphens if not re.match(r"-\d{4}(-|$)", text[at:]) or at in (0, 8)]
    low, high = (text[: hyphens[0]], text[hyphens[0] + 1 :]) if hyphens else (text, text)
    return (_padded(vr, low, "0") if low else "", _padded(vr, high, "9") if high else "\uffff")


_WHOLE: Final = {"DA": 8, "TM": 12, "DT": 20}


def _padded(vr: str, text: str, digit: str) -> str:
    """Return digits alone at full length: ACR-NEMA dots, colons and the zone left out."""
    plain = re.sub(r"[+-]\d{4}$", "", text) if vr == "DT" else text
    digits = re.sub(r"\D", "", plain)
    return digits[: _WHOLE[vr]].ljust(_WHOLE[vr], digit)
