"""As which storage class a result goes out: what ``results.sop_class`` means for the sources at hand."""

from dataclasses import dataclass

from pydicom.uid import (
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from scp.results.attributes import Row
from scp.results.basis import MULTIFRAME, SOURCE, Basis
from scp.results.multiframe import GRAYSCALE_WORD_ROWS, TRUE_COLOR_ROWS
from scp.results.secondary_capture import SECONDARY_CAPTURE_ROWS
from scp.results.source_class import CLASSIC, SOURCE_CLASS_ROWS


@dataclass(frozen=True, slots=True)
class StorageClass:
    """One form of a result: its SOP Class and its table of attributes.

    *multiframe*: all planes are frames of one object. *unsigned*: the class knows no signed values.
    """

    sop_class_uid: str
    rows: tuple[Row, ...]
    multiframe: bool = False
    unsigned: bool = False


CAPTURE = StorageClass(str(SecondaryCaptureImageStorage), SECONDARY_CAPTURE_ROWS)
GRAYSCALE_WORD = StorageClass(
    str(MultiFrameGrayscaleWordSecondaryCaptureImageStorage),
    GRAYSCALE_WORD_ROWS,
    multiframe=True,
    unsigned=True,
)
TRUE_COLOR = StorageClass(
    str(MultiFrameTrueColorSecondaryCaptureImageStorage), TRUE_COLOR_ROWS, multiframe=True
)


def storage_class(basis: Basis) -> StorageClass:
    """Return the form that the options ask for.

    Where they ask for the source's class and it is none of CT, MR and PT, or the pixels are coloured, a
    Secondary Capture is what there is.
    """
    if basis.options.sop_class == MULTIFRAME:
        return TRUE_COLOR if basis.colour else GRAYSCALE_WORD
    classic = CLASSIC.get(str(basis.first("SOPClassUID")))
    if basis.options.sop_class == SOURCE and classic and not basis.colour:
        return StorageClass(classic, SOURCE_CLASS_ROWS[classic])
    return CAPTURE
