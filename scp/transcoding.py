"""Stored instances for who does not take them as they are stored: decoded in another process.

Handed to whatever sends (``scp.net.encoders.Encoder``). Compressed pixels are decoded, big endian and
deflated data sets are encoded in little endian (PS3.5 Annex A); a lossy image stays one, and says so as it
did. The node itself never runs a decoder on what somebody sent. Nothing is compressed here.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from scp.config import Config
from scp.errors import DecodingFailed
from scp.isolation import local
from scp.isolation.budget import WORKING_BYTES, MemoryBudget
from scp.model import FileRef, IsCancelled
from scp.net.encoders import Reencoder
from scp.part10 import read_facts
from scp.reconstruction.pixels import decoded_bytes

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

DECODED = frozenset(
    {
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEGLSNearLossless,
        JPEG2000,
        JPEG2000Lossless,
        HTJ2K,
        HTJ2KLossless,
        HTJ2KLosslessRPCL,
        RLELossless,
    }
)
"""What only a process of its own may open."""

BYTES_OF_WORD = {"OW": 2, "OL": 4, "OF": 4, "OV": 8, "OD": 8}
"""What a change of byte order turns round (PS3.5 7.3), by Value Representation."""

COPIES = 4
"""How often all pixels lie in the child's memory: decoded, in the data set, encoded, and in between."""

IN_MEMORY_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One instance and the transfer syntax to encode it in."""

    path: Path
    target: UID


class Transcoding(Reencoder):
    """An ``Encoder`` that decodes in children, within the memory that they share."""

    def __init__(self, config: Config, budget: MemoryBudget) -> None:
        self._deadline_s = config.limits.message_deadline
        self._budget = budget

    def targets(self, transfer_syntax_uid: str) -> tuple[UID, ...]:
        return NATIVE if transfer_syntax_uid in DECODED else super().targets(transfer_syntax_uid)

    def data_set(self, ref: FileRef, target: UID, cancelled: IsCancelled) -> tuple[BinaryIO, int]:
        """See ``Encoder``. Raises ``DecodingFailed``, ``WorkerFailed``, ``Refused``, ``Cancelled``."""
        if ref.transfer_syntax_uid not in DECODED:
            return super().data_set(ref, target, cancelled)
        memory_bytes = _working_bytes(ref)
        encoded = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 whoever sends it closes it
        try:
            with self._budget.reserve(memory_bytes, cancelled):
                limits = local.Limits(memory_bytes, self._deadline_s, "limits.message_deadline")
                for chunk in local.run(transcoded, Job(ref.path, target), limits, cancelled):
                    encoded.write(chunk)
        except BaseException:
            encoded.close()
            raise
        length = encoded.tell()
        encoded.seek(0)
        return encoded, length  # type: ignore[return-value]


def transcoded(job: Job) -> Iterator[bytes]:
    """Yield the data set of *job* in its target syntax, piece by piece. Raises ``DecodingFailed``."""
    try:
        encoded = _encoded(_native(dcmread(job.path)), job.target)
    except Exception as error:
        raise DecodingFailed(f"{job.path}: {type(error).__name__}: {error}", job.path) from error
    for start in range(0, len(encoded), CHUNK_BYTES):
        yield encoded[start : start + CHUNK_BYTES]


def _native(dataset: Dataset) -> Dataset:
    """Return *dataset* with uncompressed little endian pixels; its SOP Instance UID stays (PS3.4 B.4.1.3)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == ExplicitVRBigEndian:
        _turn_round(dataset)
    elif syntax.is_encapsulated and "PixelData" in dataset:
        dataset.decompress(generate_instance_uid=False)
    return dataset


def _turn_round(dataset: Dataset) -> None:
    """Turn the words round that pydicom leaves as they lie."""
    for element in dataset.iterall():
        size = BYTES_OF_WORD.get(element.VR)
        if size and isinstance(element.value, bytes) and len(element.value) % size == 0:
            turned = bytearray(len(element.value))
            for octet in range(size):
                turned[octet::size] = element.value[size - 1 - octet :: size]
            element.value = bytes(turned)


def _encoded(dataset: Dataset, target: UID) -> bytes:
    buffer = BytesIO()
    stream = DicomIO(buffer)
    stream.is_little_endian, stream.is_implicit_VR = True, target.is_implicit_VR
    dataset.file_meta.TransferSyntaxUID = target
    write_dataset(stream, dataset)
    return buffer.getvalue()


def _working_bytes(ref: FileRef) -> int:
    header = read_facts(ref.path)[0].header
    return COPIES * decoded_bytes(header) + 2 * ref.length + WORKING_BYTES
