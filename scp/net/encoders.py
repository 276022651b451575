"""Stored instances in another transfer syntax than the one they are stored in (PS3.5 Annex A).

Asked by ``net.sending`` only where the other end does not take what lies there. ``Reencoder`` makes another
of what is encoded anew without touching pixels; whoever can isolate a decoder hands in an encoder that
knows more.
"""

from io import BytesIO
from typing import BinaryIO, Protocol

from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.dsutils import encode

from scp.model import FileRef, IsCancelled

CONVERTIBLE = {
    ExplicitVRLittleEndian: (ImplicitVRLittleEndian,),
    ImplicitVRLittleEndian: (ExplicitVRLittleEndian,),
    DeflatedExplicitVRLittleEndian: (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
}
"""Into what a stored transfer syntax can be encoded anew without touching pixels."""


class Encoder(Protocol):
    """Encodes stored instances in another transfer syntax."""

    def targets(self, transfer_syntax_uid: str) -> tuple[UID, ...]:
        """Return into what this syntax can be encoded, best first; nothing where it cannot."""

    def data_set(self, ref: FileRef, target: UID, cancelled: IsCancelled) -> tuple[BinaryIO, int]:
        """Return a stream of the data set encoded as *target*, and its length in bytes.

        Raises any error of ``scp.errors`` and what pydicom raises for broken content.
        """


class Reencoder:
    """Encodes uncompressed little endian anew, in this process."""

    def targets(self, transfer_syntax_uid: str) -> tuple[UID, ...]:
        return CONVERTIBLE.get(UID(transfer_syntax_uid), ())

    def data_set(
        self,
        ref: FileRef,
        target: UID,
        cancelled: IsCancelled,  # noqa: ARG002 it takes no time
    ) -> tuple[BinaryIO, int]:
        encoded = encode(dcmread(ref.path), target.is_implicit_VR, target.is_little_endian)
        if encoded is None:
            raise ValueError("the data set cannot be encoded")
        return BytesIO(encoded), len(encoded)
