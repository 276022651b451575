"""Planes to DICOM files: the common data set encoded once, what varies spliced in (PS3.5 7.1, PS3.10 7.1).

A coronal series of 512 objects shares all but seven elements. pydicom encodes the common ones a single time;
they are cut where varying elements stand, and bytes are joined plane by plane. The result is, byte for byte,
what pydicom would save. Values are 16-bit little endian, or 8-bit colour by pixel; compression is lossless.
"""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from struct import pack

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from scp.part10 import file_head
from scp.results.provenance import SourceReference, referenced_instances, source_images
from scp.results.series import ResultObject, ResultSeries

SOP_INSTANCE_UID = 0x00080018
REFERENCED_SERIES_SEQUENCE = 0x00081115
DERIVATION_DESCRIPTION = 0x00082111
SOURCE_IMAGE_SEQUENCE = 0x00082112
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

PLUGINS = {
    str(RLELossless): "pylibjpeg",
    str(JPEGLSLossless): "pyjpegls",
    str(JPEG2000Lossless): "pylibjpeg",
}
"""The plugin of pydicom that encodes: bytes shall not depend on what else is installed."""


def encoded(ds: Dataset, character_set: Sequence[str] = ()) -> bytes:
    """Return *ds* as Explicit VR Little Endian; *character_set* holds where *ds* does not state its own."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, ds, list(character_set) or "iso8859")
    return stream.getvalue()


def cut(common: Dataset) -> tuple[bytes, ...]:
    """Return *common* encoded, in the runs before, between and after the elements of ``VARYING``."""
    stated = common.get("SpecificCharacterSet") or ()
    terms = [stated] if isinstance(stated, str) else list(stated)
    starts, stops = (0, *VARYING), (*VARYING, 1 << 32)
    runs = []
    for start, stop in zip(starts, stops, strict=True):
        own = [tag for tag in common.keys() if start <= tag < stop]  # noqa: SIM118 - as is, not decoded
        run = Dataset({tag: common.get_item(tag) for tag in own})
        runs.append(encoded(run, terms))
    return tuple(runs)


class Encoder:
    """Makes the files of one result series."""

    def __init__(self, series: ResultSeries) -> None:
        self.series = series
        self._source_items = [_items(source_images([reference])) for reference in series.references]
        self._instance_items = [_items(referenced_instances([reference])) for reference in series.references]

    def objects(self, planes: Iterable[NDArray[np.generic]]) -> Iterator[bytes]:
        """Yield the Part 10 files that the *planes* of the series make, in order: one each, or one in all."""
        if self.series.frames_per_object == 1:
            for index, pixels in enumerate(planes):
                yield self.encode(index, pixels)
        else:
            yield b"".join(self.encode(index, pixels) for index, pixels in enumerate(planes))

    def encode(self, index: int, pixels: NDArray[np.generic]) -> bytes:
        """Return the Part 10 file of plane *index* (from 0).

        Where planes are frames of one object (``series.frames_per_object`` > 1), it is the next piece of that
        file: the pieces of all planes, in order, make it whole.
        *pixels* are stored values of shape (rows, columns), for colour (rows, columns, 3), of the type that
        the pixel format says (int16, uint16, uint8); anything else raises ``ValueError``.
        """
        frame = self._frame(self._checked(pixels))
        last = self.series.frames_per_object - 1
        start = self._start() if index == 0 or last == 0 else b""
        head = self.header_bytes(index if last == 0 else 0) if start else b""
        return b"".join((head, start, frame, self._end() if index == last or last == 0 else b""))

    def header_bytes(self, index: int) -> bytes:
        """Return the file of object *index* up to Pixel Data."""
        series, own = self.series, self.series.objects[index]
        parts = [file_head(series.sop_class_uid, own.sop_instance_uid, series.transfer_syntax_uid)]
        parts.append(series.runs[0])
        for varying, run in zip(self._varying(own), series.runs[1:], strict=True):
            parts += [varying, run]
        return b"".join(parts)

    def header(self, index: int) -> Dataset:
        """Return the data set of object *index* without Pixel Data, as a reader would see it."""
        return dcmread(BytesIO(self.header_bytes(index)))

    def _varying(self, own: ResultObject) -> tuple[bytes, ...]:
        """Return the elements of ``VARYING``, in that order, no bytes for one that the object has not."""
        position = "\\".join(own.image_position_patient)
        return (
            _element(SOP_INSTANCE_UID, "UI", own.sop_instance_uid),
            self._referenced_series(own),
            _element(DERIVATION_DESCRIPTION, "ST", own.derivation_description),
            self._source_images(own),
            _element(INSTANCE_NUMBER, "IS", str(own.instance_number)),
            _element(IMAGE_POSITION_PATIENT, "DS", position) if position else b"",
            _number(IMAGE_INDEX, own.instance_number) if self.series.has_image_index else b"",
        )

    def _source_images(self, own: ResultObject) -> bytes:
        references = [self.series.references[index] for index in own.sources]
        if any(reference.frame for reference in references):
            items = _items(source_images(references))
        else:
            items = b"".join(self._source_items[index] for index in own.sources)
        return _sequence(SOURCE_IMAGE_SEQUENCE, items)

    def _referenced_series(self, own: ResultObject) -> bytes:
        by_series: dict[str, list[int]] = {}
        for index in own.sources:
            by_series.setdefault(self.series.references[index].series_instance_uid, []).append(index)
        items = [
            self._series_item(series_uid, indices)
            for series_uid, indices in by_series.items()
            if series_uid  # an adopted image names no series; Source Image Sequence has it
        ]
        return _sequence(REFERENCED_SERIES_SEQUENCE, b"".join(items))

    def _series_item(self, series_uid: str, indices: Sequence[int]) -> bytes:
        references: list[SourceReference] = [self.series.references[index] for index in indices]
        if any(reference.frame for reference in references):
            instances = _items(referenced_instances(references))
        else:
            instances = b"".join(self._instance_items[index] for index in indices)
        body = _sequence(0x0008114A, instances) + _element(0x0020000E, "UI", series_uid)
        return pack("<HHI", 0xFFFE, 0xE000, len(body)) + body

    def _checked(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        series, stored = self.series, self.series.pixel_format
        shape: tuple[int, ...] = (series.rows, series.columns)
        if stored.samples_per_pixel > 1:
            shape = (*shape, stored.samples_per_pixel)
        needed = np.dtype("u1" if stored.samples_per_pixel > 1 else "<i2" if stored.signed else "<u2")
        if pixels.shape != shape or pixels.dtype != needed:
            raise ValueError(
                f"a plane has {pixels.dtype} values of shape {pixels.shape}, needed are {needed} of {shape}"
            )
        values = np.ascontiguousarray(pixels)
        return (values.view("<u2") + np.uint16(series.value_offset)) if series.value_offset else values

    def _start(self) -> bytes:
        """Return what stands before the first frame: tag, VR and length, and an empty offset table."""
        series = self.series
        samples = series.rows * series.columns * series.pixel_format.samples_per_pixel
        byte = series.pixel_format.samples_per_pixel > 1
        if series.transfer_syntax_uid in PLUGINS:
            offsets = pack("<HHI", 0xFFFE, 0xE000, 0)
            return pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + offsets
        length = samples * (1 if byte else 2) * series.frames_per_object
        return pack("<HH2sHI", 0x7FE0, 0x0010, b"OB" if byte else b"OW", 0, length + length % 2)

    def _frame(self, values: NDArray[np.generic]) -> bytes:
        if self.series.transfer_syntax_uid not in PLUGINS:
            return values.tobytes()
        frame = self._compressed(values)
        frame += b"\0" * (len(frame) % 2)
        return pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame

    def _end(self) -> bytes:
        """Return what stands after the last frame: the delimiter, or the padding of an odd length."""
        series = self.series
        if series.transfer_syntax_uid in PLUGINS:
            return pack("<HHI", 0xFFFE, 0xE0DD, 0)
        samples = series.rows * series.columns * series.pixel_format.samples_per_pixel
        odd = series.pixel_format.samples_per_pixel > 1 and samples * series.frames_per_object % 2
        return b"\0" if odd else b""

    def _compressed(self, values: NDArray[np.generic]) -> bytes:
        stored = self.series.pixel_format
        syntax = self.series.transfer_syntax_uid
        bits = 8 * values.dtype.itemsize
        return get_encoder(syntax).encode(
            values,
            encoding_plugin=PLUGINS[syntax],
            rows=self.series.rows,
            columns=self.series.columns,
            samples_per_pixel=stored.samples_per_pixel,
            photometric_interpretation=stored.photometric_interpretation,
            pixel_representation=int(values.dtype.kind == "i"),
            bits_allocated=bits,
            bits_stored=bits,
            number_of_frames=1,
            planar_configuration=0,
        )


def _element(tag: int, vr: str, text: str) -> bytes:
    """Return an element of short length whose value is plain ASCII, padded to even length (PS3.5 6.2)."""
    value = text.encode("ascii")
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def _number(tag: int, value: int) -> bytes:
    return pack("<HH2sHH", tag >> 16, tag & 0xFFFF, b"US", 2, value)


def _items(items: Sequence[Dataset]) -> bytes:
    """Return items of a sequence, each of defined length."""
    bodies = [encoded(entry) for entry in items]
    return b"".join(pack("<HHI", 0xFFFE, 0xE000, len(body)) + body for body in bodies)


def _sequence(tag: int, items: bytes) -> bytes:
    """Return a sequence of defined length, nothing where it has no item (all of ours are of type 1C or 3)."""
    if not items:
        return b""
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(items)) + items
