"""A data set in a file or on its way into one: its encoding found, its header decoded, Pixel Data bounded.

Which encoding is in force is said by the transfer syntax (PS3.5 Annex A) and believed only as far as the
first element bears it out: files without preamble, or with the wrong one of the two plain little endian
syntaxes, are read as they are written. A deflated data set is inflated up to a bound, and only as far as
its header needs it kept.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from scp.errors import NotDicom
from scp.model import HEADER_KEYWORDS, Header, Value
from scp.part10.frames import PER_FRAME_FUNCTIONAL_GROUPS, SHARED_FUNCTIONAL_GROUPS, frame_attributes
from scp.part10.header import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    FIRST_WINDOW_BYTES,
    IMPLICIT_BIG,
    IMPLICIT_LITTLE,
    LARGEST_WINDOW_BYTES,
    UNDEFINED_LENGTH,
    Encoding,
    RawElement,
    ReadAt,
    Walked,
    encapsulated_end,
    walk,
    walk_file_meta,
)
from scp.part10.values import (
    DEFAULT_CHARACTER_SETS,
    PIXEL_REPRESENTATION,
    SPECIFIC_CHARACTER_SET,
    CharacterSets,
    character_sets,
    decode,
    dictionary_vr,
    sequence_json,
    vr_of,
)
from scp.part10.vrs import LONG_VRS, SHORT_VRS

PREAMBLE_BYTES: Final = 128
MOST_INFLATED_BYTES: Final = 1024 * 1024 * 1024
"""A deflated data set that grows beyond is not read: a small file can inflate a thousandfold."""

LONGEST_REMEMBERED_BYTES: Final = 128

CONCATENATION_FRAME_OFFSET_NUMBER: Final = 0x00209228
MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x00020002
TRANSFER_SYNTAX_UID: Final = 0x00020010

_ENCODINGS: Final[Mapping[str, Encoding]] = {
    ImplicitVRLittleEndian: IMPLICIT_LITTLE,
    ExplicitVRBigEndian: EXPLICIT_BIG,
}
_PLAIN: Final[Mapping[Encoding, str]] = {
    IMPLICIT_LITTLE: ImplicitVRLittleEndian,
    EXPLICIT_LITTLE: ExplicitVRLittleEndian,
    EXPLICIT_BIG: ExplicitVRBigEndian,
    IMPLICIT_BIG: "",
}


@dataclass(frozen=True, slots=True)
class HeaderRead:
    """What the header of a data set holds; *frames* has one header for each frame with geometry of its own.

    *detail* names what was left out because it does not parse.
    """

    header: Header
    frames: tuple[Header, ...] = ()
    pixel_tag: int = 0
    pixel_offset: int = 0
    pixel_length: int = 0
    detail: str = ""


@dataclass(slots=True)
class DataSet:
    """A data set behind *read_at*; *offset* is where it starts in the file, *size* where the file ends.

    *walked* is given where its header was walked while it arrived; offsets in it count from the file's start.
    """

    read_at: ReadAt
    size: int
    offset: int
    transfer_syntax_uid: str
    encoding: Encoding
    preamble: bool = True
    media_storage_sop_class_uid: str = ""
    walked: Walked | None = None
    _inflated_size: int = field(default=0, init=False)

    def read(self, extra: tuple[str, ...] = ()) -> HeaderRead:
        """Return header and frames; raises ``NotDicom``."""
        keywords = wanted_keywords(extra)
        if self.walked is not None:
            return read_header(self.walked, keywords)
        read_at, size, start = self.read_at, self.size, self.offset
        if self.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            inflated, size = _inflate(self.read_at, self.offset, self.size)
            self._inflated_size = size
            read_at, start = _memory(inflated), 0
        self.walked = walk(read_at, size, start, self.encoding, keywords)
        return read_header(self.walked, keywords)

    def pixel_data_extent(self, header: Header) -> tuple[int, int, str]:
        """Return offset and length of the value of Pixel Data in the file, and in words what it lacks.

        To be asked after :meth:`read`. Of a deflated data set it is the whole of it. Raises ``NotDicom``.
        """
        walked = self.walked
        if walked is None:
            raise NotDicom("the header was not read yet")
        if self._inflated_size:
            lacks = _native_lack(header, walked.pixel_length, self._inflated_size - walked.pixel_offset)
            return self.offset, self.size - self.offset, lacks
        offset, length = walked.pixel_offset, walked.pixel_length
        if length != UNDEFINED_LENGTH:
            return offset, min(length, self.size - offset), _native_lack(header, length, self.size - offset)
        end, items = encapsulated_end(self.read_at, self.size, offset, self.encoding.little)
        frames = header.integer("NumberOfFrames") or 1
        lacks = ""
        if end > self.size:
            lacks = f"Pixel Data ends inside fragment {max(items - 1, 0)}"
        elif items - 1 < frames:
            lacks = f"{frames} frames are announced, {max(items - 1, 0)} fragments are there"
        return offset, min(end, self.size) - offset, lacks


def _native_lack(header: Header, claimed: int, left: int) -> str:
    if claimed > left:
        return f"Pixel Data claims {claimed} bytes, {left} are there"
    needed = native_bytes(header)
    if claimed < needed:
        return f"Rows, Columns and Bits Allocated ask for {needed} bytes of Pixel Data, {claimed} are there"
    return ""


def native_bytes(header: Header) -> int:
    """Return how long unencapsulated Pixel Data must be (PS3.5 8.1.1); 0 where the header does not say."""
    names = ("Rows", "Columns", "BitsAllocated")
    rows, columns, bits = (header.integer(name) or 0 for name in names)
    samples = header.integer("SamplesPerPixel") or 1
    frames = header.integer("NumberOfFrames") or 1
    values = rows * columns * samples * frames
    if header.text("PhotometricInterpretation") == "YBR_FULL_422":
        values = values * 2 // 3
    return (values * bits + 7) // 8


PACKED: Final = {b"PK\x03\x04": "a zip archive; unpack it", b"\x1f\x8b": "a gzip file; unpack it"}
"""What images often come in, by how such a file begins."""


def _what_it_is(data: bytes) -> str:
    """Return what a file is that is no DICOM file."""
    packed = (said for begin, said in PACKED.items() if data.startswith(begin))
    return next(packed, "neither DICM at byte 128 nor a data element at the start")


def open_data_set(read_at: ReadAt, size: int) -> DataSet:
    """Find preamble, File Meta Information and encoding of a file; raises ``NotDicom``."""
    data = read_at(0, FIRST_WINDOW_BYTES)
    preamble = data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM"
    meta, start = walk_file_meta(data, PREAMBLE_BYTES + 4 if preamble else 0)
    stated = _uid(meta.get(TRANSFER_SYNTAX_UID, b""))
    first = data[start : start + 8]
    if not meta and not _begins_a_data_set(first, size - start):
        raise NotDicom(_what_it_is(data))
    encoding = encoding_of(stated, first)
    plain = encoding != encoding_of(stated) and (stated in _PLAIN.values())
    syntax = _PLAIN[encoding] if plain or not stated else stated
    sop_class = _uid(meta.get(MEDIA_STORAGE_SOP_CLASS_UID, b""))
    return DataSet(read_at, size, start, syntax, encoding, preamble, sop_class)


def _uid(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def encoding_of(transfer_syntax_uid: str, first: bytes = b"") -> Encoding:
    """Return the encoding that the syntax names, corrected by the *first* eight bytes of the data set."""
    stated = _ENCODINGS.get(transfer_syntax_uid, EXPLICIT_LITTLE)
    if len(first) < 8 or transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return stated
    explicit = first[4:6] in SHORT_VRS or first[4:6] in LONG_VRS
    little = int.from_bytes(first[:2], "little") <= int.from_bytes(first[:2], "big")
    return Encoding(explicit, little)


def _begins_a_data_set(first: bytes, left: int) -> bool:
    """Tell whether eight bytes begin a data set: an element of group 0008 that PS3.6 lists, not too long."""
    if len(first) < 8:
        return False
    seen = encoding_of("", first)
    order: Literal["little", "big"] = "little" if seen.little else "big"
    group, element = int.from_bytes(first[:2], order), int.from_bytes(first[2:4], order)
    vr = dictionary_vr(group << 16 | element)
    if group != 0x0008 or (vr == "UN" and element != 0):
        return False
    if seen.explicit:
        return element == 0 or first[4:6].decode("ascii") == vr
    return int.from_bytes(first[4:8], order) <= left


def _memory(data: bytes) -> ReadAt:
    return lambda offset, size: data[offset : offset + size]


def _inflate(read_at: ReadAt, offset: int, size: int) -> tuple[bytes, int]:
    """Return the first inflated bytes, as many as a header may take, and how many there are in all."""
    inflater, kept, total = zlib.decompressobj(-zlib.MAX_WBITS), bytearray(), 0
    waiting = b""
    try:
        while not inflater.eof:
            if not waiting:
                waiting = read_at(offset, 1 << 20) if offset < size else b""
                offset += len(waiting)
                if not waiting:
                    break
            part = inflater.decompress(waiting, 1 << 20)
            waiting = inflater.unconsumed_tail
            total += len(part)
            kept += part[: LARGEST_WINDOW_BYTES - len(kept)]
            if total > MOST_INFLATED_BYTES:
                raise NotDicom(f"the deflated data set is longer than {MOST_INFLATED_BYTES} bytes")
    except zlib.error as error:
        raise NotDicom(f"the deflated data set does not inflate: {error}") from None
    return bytes(kept), total


@lru_cache(maxsize=16)
def wanted_keywords(extra: tuple[str, ...]) -> Mapping[int, str]:
    """Return tag -> keyword of all that a header scan keeps; a keyword PS3.6 does not know is ignored."""
    tags = {keyword: tag_for_keyword(keyword) for keyword in (*HEADER_KEYWORDS, *extra)}
    wanted = {tag: keyword for keyword, tag in tags.items() if tag is not None}
    own = (SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS, CONCATENATION_FRAME_OFFSET_NUMBER)
    return {**dict.fromkeys(own, ""), **wanted}


def read_header(walked: Walked, keywords: Mapping[int, str]) -> HeaderRead:
    """Decode what a walk found; an attribute that does not parse is left out and named in *detail*."""
    elements = walked.elements
    written = elements.get(SPECIFIC_CHARACTER_SET)
    encodings = character_sets(written.value) if written else DEFAULT_CHARACTER_SETS
    representation = elements.get(PIXEL_REPRESENTATION)
    signed = bool(representation and any(representation.value))
    attributes: dict[str, Value] = {}
    unread: list[str] = []
    for tag, element in elements.items():
        keyword = keywords[tag]
        if not keyword:
            continue
        vr, raw, encoding = element
        try:
            if len(raw) <= LONGEST_REMEMBERED_BYTES:
                explicit, little = encoding.explicit, encoding.little
                value = _remembered_value(tag, vr, raw, explicit, little, encodings, signed)
            else:
                value = _decoded_value(tag, element, encodings, signed)
        except NotDicom:
            unread.append(keyword)
            continue
        if value is not None:
            attributes[keyword] = value
    frames: tuple[Header, ...] = ()
    try:
        frames = _frames(elements, attributes, encodings)
    except NotDicom:
        unread.append("PerFrameFunctionalGroupsSequence")
    detail = f"does not parse: {', '.join(unread)}" if unread else ""
    return HeaderRead(
        Header(attributes), frames, walked.pixel_tag, walked.pixel_offset, walked.pixel_length, detail
    )


@lru_cache(maxsize=16384)
def _remembered_value(
    tag: int, vr: bytes, raw: bytes, explicit: bool, little: bool, encodings: CharacterSets, signed: bool
) -> Value | None:
    """Decode a short value; the images of a series share nearly all of theirs."""
    return _decoded_value(tag, RawElement(vr, raw, Encoding(explicit, little)), encodings, signed)


def _decoded_value(tag: int, element: RawElement, encodings: CharacterSets, signed: bool) -> Value | None:
    vr = vr_of(tag, element.vr, signed)
    if vr == "SQ":
        text = sequence_json(element, encodings)
        return text if text != "[]" else None
    return decode(vr, element.value, element.encoding.order, encodings)


def _frames(
    elements: Mapping[int, RawElement], attributes: Mapping[str, Value], encodings: CharacterSets
) -> tuple[Header, ...]:
    """Return one header per frame whose geometry is its own; Instance Number counts on."""
    per_frame = elements.get(PER_FRAME_FUNCTIONAL_GROUPS)
    if per_frame is None:
        return ()
    offset_element = elements.get(CONCATENATION_FRAME_OFFSET_NUMBER)
    offset = int.from_bytes(offset_element.value[:4], "little") if offset_element else 0
    shared = elements.get(SHARED_FUNCTIONAL_GROUPS)
    frames = []
    for number, own in enumerate(frame_attributes(shared, per_frame, encodings), 1):
        frames.append(Header({**attributes, "InstanceNumber": offset + number, **own}))
    positioned = any("ImagePositionPatient" in frame for frame in frames)
    return tuple(frames) if positioned else ()
