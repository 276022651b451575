"""The bounded walk over the elements of a data set, from its first byte to Pixel Data (PS3.5 7.1 to 7.5).

It keeps the raw values of the elements that are wanted and steps over all others, sequences of undefined
length included. It reads windows that grow only as far as the element at hand needs, counts what it
walks, and so ends soon for every input. It decodes nothing: ``scp.part10.values`` does.
"""

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from scp.errors import NotDicom
from scp.part10.vrs import LONG_VRS, SHORT_VRS

FIRST_WINDOW_BYTES: Final = 64 * 1024
"""Enough for the header of nearly every image of one frame."""

LARGEST_WINDOW_BYTES: Final = 64 * 1024 * 1024
"""No element before Pixel Data may need more; per-frame functional groups of 10,000 frames take 30 MiB."""

MOST_ELEMENTS: Final = 1_000_000
"""Elements walked over in one header, those in sequences included: about a second."""

DEEPEST_NESTING: Final = 64
"""Sequences in sequences; real structured reports reach 20."""

UNDEFINED_LENGTH: Final = 0xFFFFFFFF

ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD

PIXEL_DATA: Final = 0x7FE00010
PIXEL_TAGS: Final = (PIXEL_DATA, 0x7FE00008, 0x7FE00009)
"""Pixel Data, Float Pixel Data, Double Float Pixel Data."""

_PIXEL_GROUP: Final = PIXEL_DATA >> 16

ReadAt = Callable[[int, int], bytes]
"""Returns up to *size* bytes from *offset*; fewer only at the end."""


@dataclass(frozen=True)
class Encoding:
    """How a data set is written: with or without VR, and in which byte order."""

    explicit: bool
    little: bool = True

    @property
    def order(self) -> str:
        return "<" if self.little else ">"


IMPLICIT_LITTLE: Final = Encoding(explicit=False)
EXPLICIT_LITTLE: Final = Encoding(explicit=True)
EXPLICIT_BIG: Final = Encoding(explicit=True, little=False)
IMPLICIT_BIG: Final = Encoding(explicit=False, little=False)

_EXPLICIT_HEAD: Final = {True: Struct("<HH2sH"), False: Struct(">HH2sH")}
_IMPLICIT_HEAD: Final = {True: Struct("<HHI"), False: Struct(">HHI")}
_LENGTH: Final = {True: Struct("<I"), False: Struct(">I")}


class RawElement(NamedTuple):
    """One value as it lies in the file; *vr* is ``b""`` where the encoding does not tell it.

    *encoding* is that of the items where the value is a sequence.
    """

    vr: bytes
    value: bytes
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk found: wanted elements by tag, and where the value of Pixel Data lies.

    *pixel_tag* is 0 where the data set ended without; *pixel_length* may be ``UNDEFINED_LENGTH``.
    """

    elements: dict[int, RawElement]
    pixel_tag: int = 0
    pixel_offset: int = 0
    pixel_length: int = 0
    end: int = 0


class _Short(Exception):
    """The window ends inside an element."""


class _Walk:
    """One walk; counts what it passes, so that no input holds it for long."""

    def __init__(self, wanted: Collection[int] | None) -> None:
        self.wanted = wanted
        self.elements: dict[int, RawElement] = {}
        self.left = MOST_ELEMENTS
        self.pixel = (0, 0, 0)

    def head(self, data: bytes, at: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
        """Return tag, VR, length and where the value starts."""
        if at + 8 > len(data):
            raise _Short
        self.left -= 1
        if self.left < 0:
            raise NotDicom(f"more than {MOST_ELEMENTS} elements before Pixel Data")
        if encoding.explicit:
            group, element, vr, length = _EXPLICIT_HEAD[encoding.little].unpack_from(data, at)
            if vr in SHORT_VRS:
                return group << 16 | element, vr, length, at + 8
            if vr in LONG_VRS:
                if at + 12 > len(data):
                    raise _Short
                return (
                    group << 16 | element,
                    vr,
                    _LENGTH[encoding.little].unpack_from(data, at + 8)[0],
                    at + 12,
                )
            if group != 0xFFFE:
                return self._unknown_vr(group << 16 | element, vr, length, at)
        group, element, length = _IMPLICIT_HEAD[encoding.little].unpack_from(data, at)
        return group << 16 | element, b"", length, at + 8

    @staticmethod
    def _unknown_vr(tag: int, vr: bytes, length: int, at: int) -> tuple[int, bytes, int, int]:
        if vr.isalpha() and vr.isupper():
            return tag, b"UN", length, at + 8
        raise NotDicom(f"at byte {at} the element ({tag >> 16:04X},{tag & 0xFFFF:04X}) has no VR but {vr!r}")

    def run(self, data: bytes, base: int, size: int, at: int, encoding: Encoding) -> int:
        """Walk from absolute offset *at* as far as the window reaches, and return where it stopped.

        The window *data* starts at absolute offset *base* of *size* bytes. Stops at Pixel Data (then
        ``self.pixel`` is set), at *size*, or before an element that needs more than the window.
        """
        wanted = self.wanted
        while at < size and not self.pixel[0]:
            if encoding.explicit:
                at = base + self.pass_short(data, at - base, min(len(data), size - base), encoding)
                if at == size:
                    break
            try:
                tag, vr, length, value = self.head(data, at - base, encoding)
                if tag in PIXEL_TAGS:
                    self.pixel = (tag, value + base, length)
                    return value + base
                if tag >> 16 == 0xFFFE:
                    raise NotDicom(
                        f"at byte {at} stands ({tag >> 16:04X},{tag & 0xFFFF:04X}), no data element"
                    )
                inner = IMPLICIT_LITTLE if vr == b"UN" else encoding
                if length == UNDEFINED_LENGTH:
                    after = self.skip_sequence(data, value, inner)
                else:
                    after = value + length
                    if after + base > size:
                        raise NotDicom(
                            f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) at byte {at} claims {length} "
                            f"bytes, {size - value - base} are left"
                        )
                if wanted is None or tag in wanted:
                    if after > len(data):
                        raise _Short
                    self.elements[tag] = RawElement(vr, data[value:after], inner)
            except _Short:
                break
            at = after + base
        return at

    def pass_short(self, data: bytes, at: int, end: int, encoding: Encoding) -> int:
        """Pass elements of short VR that end before *end*, as :meth:`run` would, in a loop without calls.

        Nearly all of a header are; return where the first stands that is not.
        """
        unpack, wanted, left = _EXPLICIT_HEAD[encoding.little].unpack_from, self.wanted, self.left
        while at + 8 <= end and left:
            group, element, vr, length = unpack(data, at)
            after = at + 8 + length
            if vr not in SHORT_VRS or group >= _PIXEL_GROUP or after > end:
                break
            tag = group << 16 | element
            if wanted is None or tag in wanted:
                self.elements[tag] = RawElement(vr, data[at + 8 : after], encoding)
            at = after
            left -= 1
        self.left = left
        return at

    def skip_sequence(self, data: bytes, at: int, encoding: Encoding) -> int:
        """Return where the sequence of undefined length that starts at *at* ends, delimiter included."""
        open_levels: list[tuple[bool, Encoding]] = [(True, encoding)]
        while open_levels:
            in_sequence, inner = open_levels[-1]
            tag, vr, length, value = self.head(data, at, inner)
            at = value
            if in_sequence:
                if tag == SEQUENCE_DELIMITATION:
                    open_levels.pop()
                elif tag != ITEM:
                    raise NotDicom(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) stands where an item must start")
                elif length == UNDEFINED_LENGTH:
                    open_levels.append((False, inner))
                else:
                    at = value + length
            elif tag == ITEM_DELIMITATION:
                open_levels.pop()
            elif length == UNDEFINED_LENGTH:
                open_levels.append((True, IMPLICIT_LITTLE if vr == b"UN" else inner))
            else:
                at = value + length
            if len(open_levels) > 2 * DEEPEST_NESTING:
                raise NotDicom(f"sequences nested deeper than {DEEPEST_NESTING}")
        return at


def walk(read_at: ReadAt, size: int, start: int, encoding: Encoding, wanted: Collection[int]) -> Walked:
    """Return the *wanted* elements of the data set that starts at *start*, and where Pixel Data lies.

    Raises ``NotDicom`` where an element does not parse, claims more than is there, or needs more than
    the bounds of this module.
    """
    running = _Walk(wanted)
    at, window = start, FIRST_WINDOW_BYTES
    while at < size and not running.pixel[0]:
        data = read_at(at, window)
        stopped = running.run(data, at, size, at, encoding)
        if stopped == at and not running.pixel[0]:
            if len(data) >= size - at:
                raise NotDicom(f"the header ends inside the element at byte {at}")
            if window >= LARGEST_WINDOW_BYTES:
                raise NotDicom(f"the element at byte {at} is longer than {LARGEST_WINDOW_BYTES} bytes")
            window *= 8
        at = stopped
    tag, offset, length = running.pixel
    return Walked(running.elements, tag, offset, length, at)


class GrowingHeader:
    """A walk over a data set that is still arriving: bytes in, until Pixel Data has been reached.

    It keeps what came so far, the *head* of the file included, and tries again each time that has doubled.
    """

    def __init__(self, head: bytes, encoding: Encoding, wanted: Collection[int]) -> None:
        self.data = bytearray(head)
        self._encoding = encoding
        self._running = _Walk(wanted)
        self._at = len(head)
        self._try_at = 0

    def add(self, fragment: bytes | memoryview) -> bool:
        """Take the next bytes and tell whether Pixel Data has been reached; raises ``NotDicom``."""
        self.data += fragment
        if len(self.data) >= self._try_at:
            self._at = self._running.run(bytes(self.data), 0, sys.maxsize, self._at, self._encoding)
            self._try_at = 2 * len(self.data)
        return bool(self._running.pixel[0])

    @property
    def walked(self) -> Walked:
        """What was found; to be asked once Pixel Data has been reached."""
        tag, offset, length = self._running.pixel
        return Walked(self._running.elements, tag, offset, length, self._at)


def walk_file_meta(data: bytes, at: int) -> tuple[dict[int, bytes], int]:
    """Return the values of File Meta Information that starts at *at*, and where it ends (PS3.10 7.1).

    Group Length is not relied upon: writers get it wrong. Raises ``NotDicom``.
    """
    running, values = _Walk(()), {}
    try:
        while data[at : at + 2] == b"\x02\x00":
            tag, _, length, value = running.head(data, at, EXPLICIT_LITTLE)
            at = value + length
            values[tag] = data[value:at]
        if at > len(data):
            raise _Short
    except _Short:
        raise NotDicom("File Meta Information ends inside an element, or is very long") from None
    return values, at


def encapsulated_end(read_at: ReadAt, size: int, at: int, little: bool) -> tuple[int, int]:
    """Return where encapsulated Pixel Data ends that starts at *at*, and its items (PS3.5 A.4).

    The end lies beyond *size* where a fragment or the delimiter is cut off; the first item is the Basic
    Offset Table. Raises ``NotDicom`` where no item stands.
    """
    data, base, count = b"", at, 0
    while at + 8 <= size and count < MOST_ELEMENTS:
        if at + 8 > base + len(data):
            data, base = read_at(at, 4096), at
        group, element, length = _IMPLICIT_HEAD[little].unpack_from(data, at - base)
        at += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            return at, count
        if (group, element) != (0xFFFE, 0xE000):
            raise NotDicom(f"({group:04X},{element:04X}) at byte {at - 8} stands where a fragment must start")
        count += 1
        at += length
    return max(at, size + 1), count


def walk_item(
    data: bytes, encoding: Encoding, wanted: Collection[int] | None = None
) -> dict[int, RawElement]:
    """Return the elements (all, where *wanted* is ``None``) of one item's content."""
    running = _Walk(wanted)
    if running.run(data, 0, len(data), 0, encoding) != len(data):
        raise NotDicom("an item ends inside an element")
    return running.elements


def every_element(data: bytes, encoding: Encoding, cut_at: int = -1) -> Iterator[tuple[int, int, RawElement]]:
    """Yield tag, length as written and value of all elements, those after Pixel Data and repeated ones, too.

    The value that should start at *cut_at* was cut out. Raises ``NotDicom``.
    """
    running, at = _Walk(()), 0
    try:
        while at < len(data):
            tag, vr, length, value = running.head(data, at, encoding)
            inner = IMPLICIT_LITTLE if vr == b"UN" else encoding
            if value == cut_at:
                at = value
            elif length == UNDEFINED_LENGTH:
                at = running.skip_sequence(data, value, inner)
            else:
                at = value + length
            if at > len(data):
                raise _Short
            yield tag, length, RawElement(vr, data[value:at], inner)
    except _Short:
        raise NotDicom("the data set ends inside an element") from None


def items(sequence: RawElement) -> list[bytes]:
    """Return the content of each item of a sequence's raw value."""
    running, data, at = _Walk(()), sequence.value, 0
    contents = []
    try:
        while at < len(data):
            tag, _, length, value = running.head(data, at, sequence.encoding)
            if tag == SEQUENCE_DELIMITATION:
                break
            if tag != ITEM:
                raise NotDicom(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) stands where an item must start")
            if length == UNDEFINED_LENGTH:
                at = _item_end(running, data, value, sequence.encoding)
                contents.append(data[value : at - 8])
            else:
                at = value + length
                contents.append(data[value:at])
    except _Short:
        raise NotDicom("a sequence ends inside an item") from None
    return contents


def _item_end(running: _Walk, data: bytes, at: int, encoding: Encoding) -> int:
    while True:
        tag, vr, length, value = running.head(data, at, encoding)
        if tag == ITEM_DELIMITATION:
            return value
        inner = IMPLICIT_LITTLE if vr == b"UN" else encoding
        at = running.skip_sequence(data, value, inner) if length == UNDEFINED_LENGTH else value + length
