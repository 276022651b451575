"""Preamble and File Meta Information of a file that this node writes (PS3.10 7.1)."""

from typing import Final

from pydicom.uid import UID

IMPLEMENTATION_CLASS_UID: Final = UID("2.25.251840021466413190338287018735230213478")
IMPLEMENTATION_VERSION_NAME: Final = "MPR_SCP_0"


def file_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str = ""
) -> bytes:
    """Return what stands before the data set in a DICOM file; *source_ae_title* is left out where empty."""
    elements = b"".join(
        (
            _VERSION,
            _element(0x02, "UI", sop_class_uid.encode("ascii")),
            _element(0x03, "UI", sop_instance_uid.encode("ascii")),
            _element(0x10, "UI", transfer_syntax_uid.encode("ascii")),
            _IMPLEMENTATION,
            _element(0x16, "AE", source_ae_title.encode("ascii", "replace")) if source_ae_title else b"",
        )
    )
    return bytes(128) + b"DICM" + _element(0x00, "UL", len(elements).to_bytes(4, "little")) + elements


def _element(element: int, vr: str, value: bytes) -> bytes:
    """Return one explicit little endian element of group 0002, its value padded to even length."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    reserved, width = (b"\0\0", 4) if vr == "OB" else (b"", 2)
    tag = b"\x02\x00" + element.to_bytes(2, "little")
    return tag + vr.encode() + reserved + len(value).to_bytes(width, "little") + value


_VERSION: Final = _element(0x01, "OB", b"\x00\x01")
_IMPLEMENTATION: Final = _element(0x12, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")) + _element(
    0x13, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")
)
"""What is the same in every file: File Meta Information Version, and who wrote it."""
