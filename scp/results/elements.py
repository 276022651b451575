"""Data elements as bytes, Explicit VR Little Endian (PS3.5 7.1.2, 7.5).

For what varies from plane to plane and is plain ASCII; all else is encoded once, by pydicom.
"""

from collections.abc import Iterable, Sequence
from struct import pack

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

ITEM = (0xFFFE, 0xE000)
SEQUENCE_DELIMITATION = pack("<HHI", 0xFFFE, 0xE0DD, 0)
UNDEFINED_LENGTH = 0xFFFFFFFF


def text(tag: int, vr: str, value: str) -> bytes:
    """Return an element of short length of plain ASCII, padded to even length (PS3.5 6.2); else there is ``?``."""
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
    """Return *ds* encoded by pydicom; *character_set* holds where *ds* does not state its own."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, ds, list(character_set) or "iso8859")
    return stream.getvalue()
