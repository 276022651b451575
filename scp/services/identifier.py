"""Identifiers of queries and retrieves: bytes of a context in, a data set out.

A requestor may send the header of an image, or all of it (PS3.4 C.4 asks for keys only): reading stops before
Pixel Data, so what follows costs nothing and may have been cut off on its way in.
"""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from scp.errors import BadRequest

PIXEL_DATA_GROUP = 0x7FE0


def decoded(identifier: BytesIO | None, transfer_syntax: UID) -> Dataset:
    """Return the keys that were sent, all of them decoded. Raises ``BadRequest``."""
    if identifier is None:
        raise BadRequest("Identifier", "the request has no identifier")
    identifier.seek(0)
    try:
        found = read_dataset(
            identifier,
            transfer_syntax.is_implicit_VR,
            transfer_syntax.is_little_endian,
            stop_when=_is_pixel_data,
        )
        found = Dataset(found)
        for element in found:  # pydicom decodes values lazily: broken ones must raise here
            _ = element.value
    except Exception as error:  # pydicom raises whatever it likes for hostile bytes
        sentence = "the identifier cannot be decoded"
        raise BadRequest("Identifier", f"{sentence}: {error}", sentence) from error
    return found


def _is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group >= PIXEL_DATA_GROUP
