"""Raw values of a header as numbers and text (PS3.5 6.1, 6.2; DICOM JSON for sequences: PS3.18 F.2).

Numbers are read by the VR that the file wrote, even where another one would fit better: a Pixel Padding
Value written as US 63536 beside Pixel Representation 1 stays 63536, and who reads the pixels takes it
as -2000. A text whose bytes are not of its character set is never guessed: it becomes ``UNDECODABLE``
and its bytes in hexadecimal digits, which equal nothing but the same bytes.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from struct import Struct, iter_unpack
from typing import Any, Final

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, handled_encodings, python_encoding
from pydicom.datadict import dictionary_VR

from scp.errors import NotDicom
from scp.model import UNDECODABLE, Value
from scp.part10.header import DEEPEST_NESTING, RawElement, items, walk_item
from scp.part10.vrs import BINARY_NUMBERS, BYTE_VRS, CHARACTER_SET_VRS, TEXT_VRS

DEFAULT_CHARACTER_SETS: Final = ("ascii",)
"""ISO-IR 6, in force where Specific Character Set says nothing."""

SPECIFIC_CHARACTER_SET: Final = 0x00080005
PIXEL_REPRESENTATION: Final = 0x00280103

_SIZES: Final = {vr: Struct("<" + code).size for vr, code in BINARY_NUMBERS.items()}

_SINGLE_TEXT: Final = frozenset({"LT", "ST", "UT", "UR"})

_FRAGMENT: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_DELIMITER: Final = re.compile(rb"[\\^=\t\n\f\r]")
_NUMBER: Final = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE
)

CharacterSets = tuple[str, ...]
"""Python's names of the encodings that Specific Character Set lists, the first one being the default."""


@lru_cache(maxsize=256)
def character_sets(raw: bytes) -> CharacterSets:
    """Return the encodings named by the raw value of Specific Character Set (PS3.3 C.12.1.1.2).

    A name that the standard does not know becomes ``""``, in which only plain ASCII decodes.
    """
    names = [name.strip(" \0") for name in raw.decode("ascii", "replace").split("\\")]
    if names and names[0] in STAND_ALONE_ENCODINGS:
        names = names[:1]
    plain = {"", "ISO_IR 6", "ISO 2022 IR 6"}
    return tuple("ascii" if name in plain else python_encoding.get(name, "") for name in names)


def decode_text(raw: bytes, encodings: CharacterSets) -> str:
    """Return *raw* as text under its character sets, strictly; else marked ``UNDECODABLE``."""
    try:
        if b"\x1b" not in raw:
            return raw.decode(encodings[0] or "ascii")
        return "".join(_decode_fragment(part, encodings) for part in _FRAGMENT.findall(raw))
    except (UnicodeError, LookupError):
        return UNDECODABLE + raw.hex()


def _decode_fragment(part: bytes, encodings: CharacterSets) -> str:
    """Decode what one escape sequence governs (PS3.5 6.1.2.5): up to the next delimiter, where it ends."""
    if not part.startswith(b"\x1b"):
        return part.decode(encodings[0] or "ascii")
    code = part[: 4 if part[1:3] in (b"$(", b"$)") else 3]
    encoding = "ascii" if code == b"\x1b(B" else CODES_TO_ENCODINGS.get(code, "")
    if encoding != "ascii" and encoding not in encodings:
        raise LookupError(f"escape sequence {code!r} of a character set that is not declared")
    if encoding in handled_encodings:
        return part.decode(encoding)
    text = part[len(code) :]
    delimiter = _DELIMITER.search(text)
    stop = delimiter.start() if delimiter else len(text)
    return text[:stop].decode(encoding) + text[stop:].decode(encodings[0] or "ascii")


def decode(
    vr: str, raw: bytes, order: str, encodings: CharacterSets = DEFAULT_CHARACTER_SETS
) -> Value | None:
    """Return the value of one element that is no sequence, ``None`` where it is empty.

    A number that does not parse stays the text that was written; bytes of OB, OW, UN ... are hex digits.
    """
    if not raw:
        return None
    if vr in BINARY_NUMBERS:
        whole = len(raw) - len(raw) % _SIZES[vr]
        numbers = tuple(value for (value,) in iter_unpack(order + BINARY_NUMBERS[vr], raw[:whole]))
        return _one_or_many(numbers)
    if vr == "AT":
        pairs = iter_unpack(order + "HH", raw[: len(raw) - len(raw) % 4])
        return _one_or_many(tuple(f"{group:04X}{element:04X}" for group, element in pairs))
    if vr in TEXT_VRS:
        return _text_value(vr, raw, encodings)
    return raw.hex()


def _text_value(vr: str, raw: bytes, encodings: CharacterSets) -> Value | None:
    text = decode_text(raw, encodings if vr in CHARACTER_SET_VRS else DEFAULT_CHARACTER_SETS)
    if text.startswith(UNDECODABLE):
        return text
    text = text.rstrip(" \0")
    if vr in _SINGLE_TEXT:
        return text or None
    parts: tuple[str, ...] = tuple(part.strip(" \0") for part in text.split("\\"))
    if not any(parts):
        return None
    read = _READERS.get(vr)
    return _one_or_many(tuple(map(read, parts)) if read else parts)


def _one_or_many(values: tuple[Any, ...]) -> Value | None:
    if not values:
        return None
    return values if len(values) > 1 else values[0]


def _decimal_string(text: str) -> float | str:
    return float(text) if _NUMBER.fullmatch(text) else text


def _integer_string(text: str) -> int | float | str:
    """Return the number of an IS; scanners write ``1.0`` too, and that is 1."""
    number = _decimal_string(text)
    with suppress(ValueError, OverflowError):
        return int(text) if text.isascii() and text.lstrip("+-").isdigit() else _whole(number)
    return text


def _whole(number: float | str) -> int | float | str:
    return int(number) if isinstance(number, float) and number == int(number) else number


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {"DS": _decimal_string, "IS": _integer_string}


@lru_cache(maxsize=4096)
def dictionary_vr(tag: int) -> str:
    """Return the VR of PS3.6 for *tag*, ``UN`` for what it does not list; it may be "US or SS"."""
    if tag >> 16 & 1:
        return "LO" if tag & 0xFF00 == 0 else "UN"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def vr_of(tag: int, written: bytes, signed: bool) -> str:
    """Return the VR to read an element by: the one written, else the dictionary's (PS3.5 6.2.2, A.1)."""
    if written and written != b"UN":
        return written.decode("ascii")
    vr = dictionary_vr(tag)
    if " or " in vr:
        return "SS" if signed and "SS" in vr else vr.split(" or ")[0]
    return vr


def sequence_json(sequence: RawElement, encodings: CharacterSets) -> str:
    """Return a sequence as DICOM JSON text, keys sorted (PS3.18 F.2); raises ``NotDicom``."""
    return _sequence_json(sequence, encodings)


@lru_cache(maxsize=512)
def _sequence_json(sequence: RawElement, encodings: CharacterSets) -> str:
    return json.dumps(_json_items(sequence, encodings, 1), sort_keys=True, separators=(",", ":"))


def _json_items(sequence: RawElement, encodings: CharacterSets, depth: int) -> list[dict[str, Any]]:
    if depth > DEEPEST_NESTING:
        raise NotDicom(f"sequences nested deeper than {DEEPEST_NESTING}")
    return [_json_item(content, sequence, encodings, depth) for content in items(sequence)]


def _json_item(content: bytes, sequence: RawElement, encodings: CharacterSets, depth: int) -> dict[str, Any]:
    elements = walk_item(content, sequence.encoding)
    own = elements.get(SPECIFIC_CHARACTER_SET)
    encodings = character_sets(own.value) if own else encodings
    described = {}
    for tag, element in elements.items():
        vr = vr_of(tag, element.vr, signed=False)
        described[f"{tag:08X}"] = {"vr": vr, **_json_value(vr, element, encodings, depth)}
    return described


def _json_value(vr: str, element: RawElement, encodings: CharacterSets, depth: int) -> dict[str, Any]:
    if vr == "SQ":
        nested = _json_items(element, encodings, depth + 1)
        return {"Value": nested} if nested else {}
    if vr in BYTE_VRS:
        return {"InlineBinary": base64.b64encode(element.value).decode()} if element.value else {}
    value = decode(vr, element.value, element.encoding.order, encodings)
    if value is None:
        return {}
    values = value if isinstance(value, tuple) else (value,)
    return {"Value": [_person_name(v) if vr == "PN" else v for v in values]}


def _person_name(text: Any) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), str(text).split("="), strict=False)
    return {name: group for name, group in groups if group}
