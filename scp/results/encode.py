"""Planes to DICOM files: the common data set encoded once, what varies spliced in (PS3.5 7.1, PS3.10 7.1).

A coronal series of 512 objects shares all but seven elements. pydicom encodes the common ones a single time;
they are cut where varying elements stand, and bytes are joined plane by plane. The result is, byte for byte,
what pydicom would save. Values are 16-bit little endian, or 8-bit colour by pixel; compression is lossless.
"""

from io import BytesIO
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from scp.part10 import file_head
from scp.results import elements
from scp.results.compression import COMPRESS
from scp.results.references import REFERENCED_SERIES_SEQUENCE, SOURCE_IMAGE_SEQUENCE, References
from scp.results.series import ResultObject, ResultSeries

Buffer = bytes | memoryview

SOP_INSTANCE_UID = 0x00080018
DERIVATION_DESCRIPTION = 0x00082111
INSTANCE_NUMBER = 0x00200013
IMAGE_POSITION_PATIENT = 0x00200032
IMAGE_INDEX = 0x00541330
PIXEL_DATA = 0x7FE00010

VARYING = (
    SOP_INSTANCE_UID,
    REFERENCED_SERIES_SEQUENCE,
    DERIVATION_DESCRIPTION,
    SOURCE_IMAGE_SEQUENCE,
    INSTANCE_NUMBER,
    IMAGE_POSITION_PATIENT,
    IMAGE_INDEX,
)
"""What differs from plane to plane, in the order of tags; Pixel Data follows as the last."""


def cut(common: Dataset) -> tuple[bytes, ...]:
    """Return *common* encoded, in the runs before, between and after the elements of ``VARYING``."""
    stated = common.get("SpecificCharacterSet") or ()
    terms = [stated] if isinstance(stated, str) else list(stated)
    runs = []
    for start, stop in zip((0, *VARYING), (*VARYING, 1 << 32), strict=True):
        own = [tag for tag in common.keys() if start <= tag < stop]  # noqa: SIM118 - as is, not decoded
        runs.append(elements.data_set(Dataset({tag: common.get_item(tag) for tag in own}), terms))
    return tuple(runs)


class Encoder:
    """Makes the files of one result series."""

    def __init__(self, series: ResultSeries) -> None:
        self.series = series
        self._references = References(series.references)

    def encode(self, index: int, pixels: NDArray[np.generic]) -> bytes:
        """Return the Part 10 file of plane *index* (from 0).

        Where planes are frames of one object (``series.frames_per_object`` > 1), it is the next piece of that
        file: the pieces of all planes, in order, make it whole.
        *pixels* are stored values of shape (rows, columns), for colour (rows, columns, 3), of the type that
        the pixel format says (int16, uint16, uint8); anything else raises ``ValueError``.
        """
        return b"".join(self.pieces(index, pixels))

    def pieces(self, index: int, pixels: NDArray[np.generic]) -> list[Buffer]:
        """Return what :meth:`encode` returns, not joined; pixels may be those of *pixels* themselves."""
        whose, frame = divmod(index, self.series.frames_per_object)
        parts: list[Buffer] = [] if frame else [*self._header(whose), self._before_frames()]
        parts.append(self._frame(self._stored(pixels)))
        if frame == self.series.frames_per_object - 1:
            parts.append(self._after_frames())
        return parts

    def header_bytes(self, index: int) -> bytes:
        """Return the file of object *index* up to Pixel Data."""
        return b"".join(self._header(index))

    def header(self, index: int) -> Dataset:
        """Return the data set of object *index* without Pixel Data, as a reader would see it."""
        return dcmread(BytesIO(self.header_bytes(index)))

    def _header(self, index: int) -> list[bytes]:
        """Return the file of object *index* up to Pixel Data, not joined."""
        series, own = self.series, self.series.objects[index]
        head = file_head(series.sop_class_uid, own.sop_instance_uid, series.transfer_syntax_uid)
        pairs = zip(self._varying(own), series.runs[1:], strict=True)
        return [head, series.runs[0], *chain.from_iterable(pairs)]

    def _varying(self, own: ResultObject) -> tuple[bytes, ...]:
        """Return the elements of ``VARYING``, in that order, no bytes for one that the object has not."""
        position, number = "\\".join(own.image_position_patient), own.instance_number
        referenced_series, source_images = self._references.sequences(own.sources)
        return (
            elements.text(SOP_INSTANCE_UID, "UI", own.sop_instance_uid),
            referenced_series,
            elements.text(DERIVATION_DESCRIPTION, "ST", own.derivation_description),
            source_images,
            elements.text(INSTANCE_NUMBER, "IS", str(number)),
            elements.text(IMAGE_POSITION_PATIENT, "DS", position) if position else b"",
            elements.unsigned_short(IMAGE_INDEX, number) if self.series.has_image_index else b"",
        )

    def _stored(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return *pixels* as they are stored, having checked what they are."""
        series, rendered = self.series, self.series.pixel_format
        shape: tuple[int, ...] = (series.rows, series.columns)
        if rendered.samples_per_pixel > 1:
            shape = (*shape, rendered.samples_per_pixel)
        needed = np.dtype("u1" if len(shape) == 3 else "<i2" if rendered.signed else "<u2")
        if pixels.shape != shape or pixels.dtype != needed:
            raise ValueError(
                f"a plane has {pixels.dtype} values of shape {pixels.shape}, needed are {needed} of {shape}"
            )
        values = np.ascontiguousarray(pixels)
        return values.view("<u2") + np.uint16(series.value_offset) if series.value_offset else values

    @property
    def _compresses(self) -> bool:
        return self.series.transfer_syntax_uid in COMPRESS

    @property
    def _native_bytes(self) -> int:
        """Bytes of all frames of one object."""
        series, samples = self.series, self.series.pixel_format.samples_per_pixel
        sample_bytes = 2 if samples == 1 else 1
        return series.rows * series.columns * samples * sample_bytes * series.frames_per_object

    def _before_frames(self) -> bytes:
        """Return what stands before the first frame: tag, VR and length, and an empty offset table."""
        if self._compresses:
            head = elements.long_head(PIXEL_DATA, "OB", elements.UNDEFINED_LENGTH)
            return head + elements.item(b"")
        vr = "OW" if self.series.pixel_format.samples_per_pixel == 1 else "OB"
        return elements.long_head(PIXEL_DATA, vr, self._native_bytes + self._native_bytes % 2)

    def _frame(self, values: NDArray[np.generic]) -> Buffer:
        if not self._compresses:
            return values.data
        frame = COMPRESS[self.series.transfer_syntax_uid](values)
        return elements.item(frame + b"\0" * (len(frame) % 2))

    def _after_frames(self) -> bytes:
        """Return what stands after the last frame: the delimiter, or the padding of an odd length."""
        if self._compresses:
            return elements.SEQUENCE_DELIMITATION
        return b"\0" * (self._native_bytes % 2)
