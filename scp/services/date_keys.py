"""Keys of a query that are dates and times: refused where nothing could match them (PS3.4 C.2.2.2.5).

Without a word, ``StudyDate=yesterday`` and a range that ends before it begins would look like an archive that
holds nothing. What clients send beside the letter of the standard and is understood stays allowed: a part of
a date, dots and colons of ACR-NEMA, a ``*`` at the end, a hyphen alone.
"""

import re
from collections.abc import Mapping
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset

from scp.errors import BadRequest
from scp.services.mpr_keys import texts

_VALUES: Final[Mapping[str, str]] = {
    "DA": r"\d{4}(?:\.?\d\d(?:\.?\d\d)?)?",
    "TM": r"\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?",
    "DT": r"\d{4}(?:\d\d){0,5}(?:\.\d{1,6})?(?:[+-](?:0\d|1[0-4])\d\d)?",
}
_NAMES: Final = {"DA": "date", "TM": "time", "DT": "date and time"}
_RANGES: Final = {
    vr: re.compile(rf"(?P<first>{value})?\*?(?: *- *(?P<last>{value})?)?") for vr, value in _VALUES.items()
}
_ZONE: Final = re.compile(r"[+-]\d{4}$")


def check(identifier: Dataset) -> None:
    """Raise ``BadRequest`` that names the first key that is neither a value nor a range of its VR."""
    for tag in identifier.keys():  # noqa: SIM118 - going over a Dataset itself would decode its values
        keyword = keyword_for_tag(tag)
        vr = dictionary_VR(tag) if keyword else ""
        if vr not in _RANGES:
            continue
        for text in texts(identifier, keyword):
            found = _RANGES[vr].fullmatch(text)
            if found is None:
                raise BadRequest(keyword, f"{keyword} is neither a {_NAMES[vr]} nor a range of them")
            if found["first"] and found["last"] and _is_reversed(found["first"], found["last"]):
                raise BadRequest(keyword, f"{keyword} is a range that ends before it begins")


def _is_reversed(first: str, last: str) -> bool:
    """Tell whether all that *last* spans lies before *first*, by their digits; zones are not counted."""
    low, high = (re.sub(r"\D", "", _ZONE.sub("", text)) for text in (first, last))
    length = max(len(low), len(high))
    return low.ljust(length, "0") > high.ljust(length, "9")
