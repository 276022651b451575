"""What a data set says, apart from how it is written down: tells a re-encoding from other content.

Two writers of one data set may differ in what has no meaning: sequences and items of explicit or undefined
length, group lengths, padding, the order of elements (PS3.5 6.2, 7.2, 7.5). All else counts, to the byte:
``1.0`` is not ``1.00``.
"""

from typing import Any, Final

from scp.errors import NotDicom
from scp.part10.header import UNDEFINED_LENGTH, Encoding, RawElement, every_element, items
from scp.part10.values import vr_of
from scp.part10.vrs import TEXT_VRS

DEEPEST_COMPARED: Final = 24
"""Sequences in sequences; each level is walked over once more."""

FIRST_ITEM: Final = b"\xfe\xff\x00\xe0"
"""What a sequence begins with whose VR nobody told."""

DATA_SET_TRAILING_PADDING: Final = 0xFFFCFFFC

LEADING_SPACES_COUNT: Final = frozenset({"LT", "ST", "UC", "UR", "UT"})

ESCAPE: Final = b"\x1b"
"""Begins another character set, in which a backslash may be half a character."""

Said = list[tuple[int, bytes, Any]]
"""Tag, VR as written, and value of each element; the value of a sequence is a list of its items."""


def content_of(data: bytes, encoding: Encoding, pixels_at: int) -> Said:
    """Return what a data set says but for its pixels, comparable by ``==``; raises ``NotDicom``.

    The value of Pixel Data was cut out of *data* at *pixels_at*; its length counts as it is written.
    """
    return _elements(data, encoding, pixels_at, 0)


def _elements(data: bytes, encoding: Encoding, cut_at: int, depth: int) -> Said:
    if depth > DEEPEST_COMPARED:
        raise NotDicom(f"sequences nested deeper than {DEEPEST_COMPARED}")
    found: Said = []
    for tag, length, element in every_element(data, encoding, cut_at):
        if _means_something(tag):
            cut = length and not element.value
            found.append((tag, element.vr, length if cut else _value(tag, length, element, depth)))
    return sorted(found, key=lambda each: each[0])


def _means_something(tag: int) -> bool:
    is_group_length = tag & 0xFFFF == 0
    return not is_group_length and tag != DATA_SET_TRAILING_PADDING


def _value(tag: int, length: int, element: RawElement, depth: int) -> Any:
    vr = vr_of(tag, element.vr, signed=False)
    if vr == "SQ" or (vr == "UN" and (length == UNDEFINED_LENGTH or element.value.startswith(FIRST_ITEM))):
        return [_elements(item, element.encoding, -1, depth + 1) for item in items(element)]
    if length == UNDEFINED_LENGTH:
        return items(element)
    return _without_padding(vr, element.value) if vr in TEXT_VRS else element.value


def _without_padding(vr: str, text: bytes) -> bytes:
    """Return text without what PS3.5 6.2 lets a writer add: of each value, where bytes tell where it ends."""
    text = text.rstrip(b" \0")
    if vr in LEADING_SPACES_COUNT or ESCAPE in text or not text.isascii():
        return text
    return b"\\".join(value.strip(b" ") for value in text.split(b"\\"))
