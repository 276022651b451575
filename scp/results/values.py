"""How the attributes of a result are written: decimal strings, elements, sequences, character sets.

Between the tables of attributes, which say what a result holds, and the encoding. Nothing here validates a
value that a source states: it is copied as it is, right or wrong (PS3.5 6.1, 6.2; PS3.18 F.2).
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom import config
from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import TEXT_VR_DELIMS, format_number_as_ds

from scp.errors import Code, Refused
from scp.model import UNDECODABLE

UTF_8 = "ISO_IR 192"
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations to which Specific Character Set applies (PS3.5 6.1.2.2)."""

NUMBER_TEXTS = {
    "DS": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII),
    "IS": re.compile(r"[+-]?\d+", re.ASCII),
}
"""What a number written as text looks like."""

SAFE_DIGITS = 14
"""Significant digits that are free of the noise of float64; most numbers then fit into a DS."""

GEOMETRY_DECIMALS = 12
"""Positions, spacings (mm) and cosines are rounded here: noise such as 1e-17 would vary the text."""


def decimal_string(value: float) -> str:
    """Return *value* as DS: at most 16 characters, the nearest such number (PS3.5 6.2)."""
    text = f"{value + 0.0:.{SAFE_DIGITS}g}"
    return text if len(text) <= 16 else format_number_as_ds(float(value))


def geometry_string(value: float) -> str:
    """Return a length (mm) or a cosine as DS, zero without a sign; below 10 m it is within 1e-9 mm."""
    return decimal_string(round(value, GEOMETRY_DECIMALS))


def element(keyword: str, value: Any, *, signed: bool = False) -> DataElement | RawDataElement:
    """Return the element of *keyword*; ``""`` and ``()`` make it empty.

    Numbers of a DS become text; *signed* decides between SS and US where the dictionary leaves it open. A
    value whose bytes did not decode goes out as those bytes.
    """
    tag = Tag(tag_for_keyword(keyword) or 0)
    vr = dictionary_VR(tag)
    if vr == "US or SS":
        vr = "SS" if signed else "US"
    return element_of(tag, vr, value)


def put(ds: Dataset, keyword: str, value: Any, *, signed: bool = False) -> None:
    """Set one element of *ds*, as :func:`element` makes it."""
    ds[Tag(tag_for_keyword(keyword) or 0)] = element(keyword, value, signed=signed)


def element_of(tag: BaseTag, vr: str, value: Any) -> DataElement | RawDataElement:
    """Return the element of a known tag and VR, without validation."""
    values = list(value) if isinstance(value, tuple | list) else [value]
    if vr == "DS":
        values = [v if isinstance(v, str) else decimal_string(v) for v in values]
    elif vr == "IS":
        values = [str(v) for v in values]
    if _has_no_value(vr, values):
        raw = b"\\".join(source_bytes(v) for v in values)
        raw += b" " * (len(raw) % 2)
        return RawDataElement(tag, vr, len(raw), raw, 0, False, True, True)
    plain: Any = Items(values) if vr == "SQ" else values[0] if len(values) == 1 else values
    return DataElement(tag, vr, plain, validation_mode=config.IGNORE)


def _has_no_value(vr: str, values: list[Any]) -> bool:
    """Tell whether a text did not decode, or the text of a number is none: its bytes go out as they are."""
    if vr in NUMBER_TEXTS:
        return any(v and not NUMBER_TEXTS[vr].fullmatch(v) for v in values)
    return vr in TEXT_VRS and any(is_undecodable(v) for v in values)


def is_sequence(keyword: str) -> bool:
    return dictionary_VR(tag_for_keyword(keyword) or 0) == "SQ"


def item(**attributes: Any) -> Dataset:
    """Return an item of a sequence by keyword; attributes that are ``None`` are left out."""
    ds = Dataset()
    for keyword, value in attributes.items():
        if value is not None:
            put(ds, keyword, value)
    return ds


def sequence_items(text: str) -> list[Dataset]:
    """Return the items of a sequence from its DICOM JSON text, an array of them."""
    return [_item_of_json(entry) for entry in json.loads(text)]


def _item_of_json(model: Mapping[str, Mapping[str, Any]]) -> Dataset:
    ds = Dataset()
    for key, entry in model.items():
        tag, vr = Tag(int(key, 16)), entry["vr"]
        if "InlineBinary" in entry:
            value: Any = base64.b64decode(entry["InlineBinary"])
        elif vr == "SQ":
            value = [_item_of_json(inner or {}) for inner in entry.get("Value", [])]
        elif vr == "AT":
            value = [int(v, 16) for v in entry.get("Value", [])] or ""
        elif vr == "PN":
            value = [_person_name(name) for name in entry.get("Value", [])] or ""
        else:
            value = ["" if v is None else v for v in entry.get("Value", [])] or ""
        ds[tag] = element_of(tag, vr, value)
    return ds


def _person_name(name: Mapping[str, str] | str | None) -> str:
    if not isinstance(name, Mapping):
        return name or ""
    groups = (name.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
    return "=".join(groups).rstrip("=")


def is_undecodable(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(UNDECODABLE)


def source_bytes(value: Any) -> bytes:
    """Return the bytes of a text that did not decode, or of a plain ASCII value beside it."""
    text = str(value)
    return (
        bytes.fromhex(text[len(UNDECODABLE) :]) if is_undecodable(text) else text.encode("ascii", "replace")
    )


def character_set(ds: Dataset, stated: Sequence[str]) -> tuple[str, ...]:
    """Return Specific Character Set for *ds*: what the sources *stated* if it holds every text, else UTF-8.

    Nothing is stated for plain ASCII of sources that state nothing (PS3.3 C.12.1.1.2). Raises ``Refused``
    where text beyond the stated character set stands beside bytes that decode under none.
    """
    raw = any(entry.is_raw and entry.VR in TEXT_VRS for entry in _elements(ds))
    known = all(term in python_encoding for term in stated)
    if raw or (known and all(_holds(stated, text) for text in _texts(ds))):
        if raw and not all(_holds(stated, text) for text in _texts(ds)):
            raise Refused(
                Code.UNREADABLE,
                "one attribute has bytes that do not decode and another does not fit into the same Specific "
                "Character Set: correct the source headers",
                comment="SpecificCharacterSet",
            )
        return tuple(stated)
    return () if all(text.isascii() for text in _texts(ds)) else (UTF_8,)


def _elements(ds: Dataset) -> Iterator[DataElement | RawDataElement]:
    for tag in sorted(ds.keys()):
        entry = ds.get_item(tag)
        yield entry
        if entry.VR == "SQ" and isinstance(entry, DataElement):
            for inner in entry.value:
                yield from _elements(inner)


def _texts(ds: Dataset) -> Iterator[str]:
    for entry in _elements(ds):
        if isinstance(entry, DataElement) and entry.VR in TEXT_VRS and not entry.is_empty:
            yield from map(str, entry.value if entry.VM > 1 else [entry.value])


def _holds(terms: Sequence[str], text: str) -> bool:
    """Tell whether *text*, whole and in components of a name, comes back when written under *terms*."""
    if text.isascii():
        return True
    if all(term in {"", "ISO_IR 6"} for term in terms):
        return False
    encodings = convert_encodings(list(terms))
    return all(_comes_back(piece, encodings) for piece in (text, *re.split(r"[\^=\\]", text)))


def _comes_back(text: str, encodings: Sequence[str]) -> bool:
    if not all(any(_encodes(letter, encoding) for encoding in encodings) for letter in text):
        return False
    return decode_bytes(encode_string(text, encodings), encodings, TEXT_VR_DELIMS) == text


def _encodes(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeError:
        return False
    return True
