"""Data elements as bytes, Explicit VR Little Endian (PS3.5 7.1.2, 7.5).

By hand for what varies from plane to plane and is plain ASCII; all else is encoded once, value by value, by
pydicom. Its writer of whole data sets would decode and encode again what no character set holds.
"""

from collections.abc import Iterable, Sequence
from struct import pack

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

ITEM = (0xFFFE, 0xE000)
SEQUENCE_DELIMITATION = pack("<HHI", 0xFFFE, 0xE0DD, 0)
UNDEFINED_LENGTH = 0xFFFFFFFF


def text(tag: int, vr: str, value: str) -> bytes:
    """Return an element of short length, padded to even length (PS3.5 6.2); ``?`` is what is not ASCII."""
    raw = value.encode("ascii", "replace")
    raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(raw)) + raw


def unsigned_short(tag: int, value: int) -> bytes:
    """Return an element of VR US."""
    return pack("<HH2sHH", tag >> 16, tag & 0xFFFF, b"US", 2, value)


def long_head(tag: int, vr: str, length: int) -> bytes:
    """Return tag, VR and length of an element whose length has 32 bits."""
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)


def item(content: bytes) -> bytes:
    """Return an item of defined length; also a fragment of encapsulated pixels (PS3.5 A.4)."""
    return pack("<HHI", *ITEM, len(content)) + content


def sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """Return a sequence of defined length, and nothing where it has no item."""
    content = b"".join(items)
    return long_head(tag, "SQ", len(content)) + content if content else b""


def data_set(ds: Dataset, character_set: Sequence[str] = ()) -> bytes:
    """Return *ds* encoded, its text under *character_set*; raw elements go out as their bytes are."""
    return b"".join(_encoded(ds.get_item(tag), character_set) for tag in sorted(ds.keys()))


def _encoded(entry: DataElement | RawDataElement, character_set: Sequence[str]) -> bytes:
    if entry.VR == "SQ" and isinstance(entry, DataElement):
        content = b"".join(item(data_set(each, character_set)) for each in entry.value)
        return long_head(entry.tag, "SQ", len(content)) + content
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_data_element(stream, entry, list(character_set) or None)
    return stream.getvalue()
