"""As which storage class a result goes out: what ``results.sop_class`` means for sources at hand."""

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.uid import SecondaryCaptureImageStorage

from scp.reconstruction.pixels import PixelFormat
from scp.results.attributes import Row
from scp.results.basis import Basis
from scp.results.secondary_capture import SECONDARY_CAPTURE_ROWS


def _as_it_is(basis: Basis) -> PixelFormat:
    return basis.pixel_format


@dataclass(frozen=True, slots=True)
class StorageClass:
    """One form of a result: its SOP Class, its table of attributes, and how it stores values.

    *multiframe*: all planes are frames of one object.
    """

    sop_class_uid: str
    rows: tuple[Row, ...]
    multiframe: bool = False
    stored: Callable[[Basis], PixelFormat] = _as_it_is


SECONDARY_CAPTURE = StorageClass(str(SecondaryCaptureImageStorage), SECONDARY_CAPTURE_ROWS)


def storage_class(basis: Basis) -> StorageClass:
    """Return the form that the options ask for."""
    return SECONDARY_CAPTURE
