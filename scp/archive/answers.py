"""Answers of a query: what was found under its keys, as data sets or encoded (PS3.4 C.4.1.1.3, PS3.5 7.1).

A stored value need not be legal for the VR that a key was asked with; it is returned as it is, as far as that
VR can hold it. Text beyond ASCII is returned in UTF-8. To have pydicom build an object of each element would
take most of the time of an answer: here what is the same in all answers to a query is encoded once.
"""

import struct
from bisect import bisect
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from scp.model import UNDECODABLE, Value
from scp.part10.header import Encoding
from scp.part10.vrs import BINARY_NUMBERS, CHARACTER_SET_VRS, SHORT_VRS, TEXT_VRS

CHARACTER_SET: Final = ("SpecificCharacterSet", "ISO_IR 192")
"""Of an answer that is not all ASCII (PS3.3 C.12.1.1.2)."""

MOST_SHORT_BYTES: Final = 0xFFFF
"""A longer value of a VR whose length has 16 bits is written as UN (PS3.5 6.2.2)."""

Values = Sequence[Value | None]
"""What one answer tells, in the order of the keys asked for; ``None`` where nothing is known."""


class Answers(Iterator[Dataset]):
    """What a query finds: one data set after the other, or encoded, as many at once as lie ready.

    *vrs* are the keywords of the keys with the VRs they were asked with. *found* comes in batches, each made
    when it is wanted, and is closed by ``close``.
    """

    def __init__(
        self, level: str, vrs: Mapping[str, str], found: Generator[Sequence[Values], None, None]
    ) -> None:
        self._level = level
        self._vrs = vrs
        self._found = found
        self._ready: deque[Values] = deque()

    def __next__(self) -> Dataset:
        while not self._ready:
            self._ready.extend(next(self._found))
        return data_set(self._level, self._vrs, self._ready.popleft())

    def close(self) -> None:
        self._found.close()

    @property
    def tags(self) -> frozenset[int]:
        """The keys that every answer tells, if only that nothing is known."""
        return frozenset(map(_tag, self._vrs))

    def encoded(self, encoding: Encoding, own: Mapping[str, str]) -> Iterator[list[bytes]]:
        """Yield all answers, batch by batch; *own* are text attributes that each of them has besides."""
        encoder = Encoder(self._vrs, encoding, {**own, "QueryRetrieveLevel": self._level})
        for batch in self._found:
            yield [encoder.encoded(values) for values in batch]


def data_set(level: str, vrs: Mapping[str, str], values: Values) -> Dataset:
    """Return one answer with the keys asked for, empty where nothing is known (PS3.4 C.4.1.1.3.2)."""
    answer = Dataset()
    for (keyword, vr), value in zip(vrs.items(), values, strict=True):
        answer.add(_element(_tag(keyword), vr, value))
        if not _is_ascii(vr, value):
            setattr(answer, *CHARACTER_SET)
    answer.QueryRetrieveLevel = level
    return answer


def _tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


def _is_ascii(vr: str, value: Value | None) -> bool:
    return vr not in CHARACTER_SET_VRS or value is None or _text(vr, value).isascii()


def _element(tag: int, vr: str, value: Value | None) -> DataElement:
    if vr in BINARY_NUMBERS:
        return DataElement(tag, vr, _numbers(vr, value))
    if vr not in TEXT_VRS:
        return DataElement(tag, vr[:2], [] if vr == "SQ" else None)
    text = "" if value is None else _text(vr, value)
    try:
        return DataElement(tag, vr, text, validation_mode=pydicom_config.IGNORE)
    except (ValueError, TypeError, OverflowError):
        return DataElement(tag, vr, text, already_converted=True)


def _text(vr: str, value: Value) -> str:
    """Return a value as it is written, several joined by a backslash; "?" for what the VR has no letter."""
    text = "\\".join(map(_shown, value)) if isinstance(value, tuple) else _shown(value)
    if vr == "PN" and "=" in text:
        return "\\".join(name.rstrip("=") for name in text.split("\\"))
    if vr in CHARACTER_SET_VRS or text.isascii():
        return text
    return text.encode("ascii", "replace").decode()


def _shown(value: str | int | float) -> str:
    """Return one value as text; bytes of no known text show as question marks."""
    if not isinstance(value, str):
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    if value.startswith(UNDECODABLE):
        return "".join(chr(b) if 32 <= b < 127 else "?" for b in bytes.fromhex(value[1:]))
    return value


def _packed(vr: str, order: str, value: Value | None) -> bytes:
    """Return numbers as they are written; nothing where one is no number, or too large for the VR."""
    numbers = value if isinstance(value, tuple) else () if value is None else (value,)
    try:
        return struct.pack(f"{order}{len(numbers)}{BINARY_NUMBERS[vr]}", *numbers)
    except (struct.error, OverflowError):
        return b""


def _numbers(vr: str, value: Value | None) -> Any:
    if not _packed(vr, "<", value):
        return None
    return list(value) if isinstance(value, tuple) else value


class Encoder:
    """Writes the answers to one query; *vrs* as in :class:`Answers`, *own* are text attributes of each."""

    def __init__(self, vrs: Mapping[str, str], encoding: Encoding, own: Mapping[str, str]) -> None:
        self._order = encoding.order
        heads = [(tag := _tag(keyword), vr, _Head.of(tag, vr, encoding)) for keyword, vr in vrs.items()]
        of_each = dict(_text_element(keyword, text, encoding) for keyword, text in own.items())
        told = {tag: head.element(b"") for tag, _, head in heads} | of_each
        tags = sorted(told)
        self._parts = [told[tag] for tag in tags]
        self._valued = [
            (tags.index(tag), number, vr, head)
            for number, (tag, vr, head) in enumerate(heads)
            if tag not in of_each and (vr in TEXT_VRS or vr in BINARY_NUMBERS)
        ]
        tag, self._character_set = _text_element(*CHARACTER_SET, encoding)
        self._character_set_at = bisect(tags, tag)

    def encoded(self, values: Values) -> bytes:
        """Return one answer, its elements in the order of their tags."""
        parts = self._parts.copy()
        is_ascii = True
        for at, number, vr, head in self._valued:
            value = values[number]
            if value is None:
                continue
            if vr in BINARY_NUMBERS:
                parts[at] = head.element(_packed(vr, self._order, value))
            else:
                text = _text(vr, value)
                is_ascii = is_ascii and text.isascii()
                parts[at] = head.element(text.encode("utf-8", "replace"))
        if not is_ascii:
            parts.insert(self._character_set_at, self._character_set)
        return b"".join(parts)


def _text_element(keyword: str, text: str, encoding: Encoding) -> tuple[int, bytes]:
    tag = _tag(keyword)
    return tag, _Head.of(tag, dictionary_VR(tag), encoding).element(text.encode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class _Head:
    """What an element has before its value (PS3.5 7.1); *of_long* is for one that is too long for the VR."""

    start: bytes
    length: Struct
    padding: bytes
    of_long: "_Head | None" = None

    @classmethod
    def of(cls, tag: int, vr: str, encoding: Encoding) -> "_Head":
        start = struct.pack(f"{encoding.order}HH", tag >> 16, tag & 0xFFFF)
        padding = b"\0" if vr == "UI" else b" "
        long = Struct(f"{encoding.order}L")
        if not encoding.explicit:
            return cls(start, long, padding)
        written = vr[:2].encode()  # of "US or SS", which no value is told under
        if written not in SHORT_VRS:
            return cls(start + written + b"\0\0", long, padding)
        of_long = cls(start + b"UN\0\0", long, padding)
        return cls(start + written, Struct(f"{encoding.order}H"), padding, of_long)

    def element(self, value: bytes) -> bytes:
        if len(value) % 2:
            value += self.padding
        if self.of_long and len(value) > MOST_SHORT_BYTES:
            return self.of_long.element(value)
        return self.start + self.length.pack(len(value)) + value
