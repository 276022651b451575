"""The cells of one frame: bytes of a file become an array of stored values, not yet interpreted.

Uncompressed gray pixels are read by position straight into the volume (PS3.5 8.1.1, A.1 to A.3). Everything
else (encapsulated, deflated, colour, palette) goes through pydicom's decoders. What the cells mean (Bits
Stored, padding, rescale) is the matter of ``volume``.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from scp.errors import DecodingFailed
from scp.model import FileFacts
from scp.reconstruction.pixels import is_colour

LITTLE_ENDIAN = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})
Cells = NDArray[Any]


def by_file(stack: Sequence[FileFacts]) -> list[list[int]]:
    """Return indices into *stack*, those of one file together, in the order of their frames."""
    order = sorted(range(len(stack)), key=lambda place: (str(stack[place].path), stack[place].frame))
    return [list(places) for _, places in groupby(order, key=lambda place: stack[place].path)]


def read_frames(frames: Sequence[FileFacts], targets: Sequence[NDArray[np.int16]]) -> Iterator[Cells]:
    """Yield the cells of *frames*, which are all of one file: (rows, columns), or (rows, columns, 3) for RGB.

    Cells of native 16 bits are yielded in the memory of their *targets* (rows, columns), others in their
    own. Raises ``DecodingFailed``, also where the file changed since its header was read.
    """
    path = frames[0].path
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DecodingFailed(f"{path} cannot be opened: {error.strerror}", path) from error
    try:
        _check_unchanged(frames[0], os.fstat(descriptor))
        if is_native(frames[0]):
            for facts, target in zip(frames, targets, strict=True):
                yield _read_cells(descriptor, facts, target)
        else:
            yield from _decode(frames, descriptor)
    finally:
        os.close(descriptor)


def is_native(facts: FileFacts) -> bool:
    """Tell whether the pixels can be read as they lie in the file."""
    bits = facts.header.integer("BitsAllocated")
    if facts.pixel_data is None or is_colour(facts.header):
        return False
    syntax = facts.pixel_data.transfer_syntax_uid
    return (syntax in LITTLE_ENDIAN and bits in (8, 16)) or (syntax == ExplicitVRBigEndian and bits == 16)


def _check_unchanged(facts: FileFacts, status: os.stat_result) -> None:
    stamp = facts.stamp
    if stamp is not None and (stamp.size, stamp.mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise DecodingFailed(f"{facts.path} changed since its header was read; ask again", facts.path)


def _read_cells(descriptor: int, facts: FileFacts, target: NDArray[np.int16]) -> Cells:
    wide = facts.header.integer("BitsAllocated") == 16
    cells: Cells = target.view(np.uint16) if wide else np.empty(target.shape, np.uint8)
    pixel_data = facts.pixel_data
    assert pixel_data is not None
    skipped = max(facts.frame - 1, 0) * cells.nbytes
    if pixel_data.length < skipped + cells.nbytes:
        raise DecodingFailed(
            f"{facts.path}: Pixel Data has {pixel_data.length} bytes; {skipped + cells.nbytes} are needed",
            facts.path,
        )
    _read_fully(descriptor, cells, pixel_data.offset + skipped, facts.path)
    if pixel_data.transfer_syntax_uid == ExplicitVRBigEndian:
        cells.byteswap(inplace=True)
    return cells


def _read_fully(descriptor: int, cells: Cells, offset: int, path: Path) -> None:
    view = memoryview(cells.reshape(-1).view(np.uint8).data)
    while view:
        try:
            count = os.preadv(descriptor, [view], offset)
        except OSError as error:
            raise DecodingFailed(f"{path} cannot be read: {error.strerror}", path) from error
        if count == 0:
            raise DecodingFailed(f"{path} ends {len(view)} bytes before its pixels do", path)
        view, offset = view[count:], offset + count


def _decode(frames: Sequence[FileFacts], descriptor: int) -> Iterator[Cells]:
    path = frames[0].path
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            dataset = dcmread(file, force=True)
        indices = [max(facts.frame - 1, 0) for facts in frames]
        for facts, cells in zip(frames, iter_pixels(dataset, indices=indices), strict=True):
            if facts.header.text("PhotometricInterpretation") == "PALETTE COLOR":
                cells = apply_color_lut(cells, dataset)
            yield _checked(cells, facts)
    except (DecodingFailed, MemoryError):  # too little memory is not the file's fault
        raise
    except Exception as error:  # decoders raise whatever they like
        raise DecodingFailed(f"{path} does not decode: {error}", path) from error


def _checked(cells: Cells, facts: FileFacts) -> Cells:
    """Return *cells* if they have the shape and depth that the header promised; 16-bit colour as 8-bit."""
    shape: tuple[int | None, ...] = (facts.header.integer("Rows"), facts.header.integer("Columns"))
    colour = is_colour(facts.header)
    if cells.shape != ((*shape, 3) if colour else shape):
        raise DecodingFailed(
            f"{facts.path}: decoded pixels are {cells.shape}, the header says {shape}", facts.path
        )
    if cells.dtype.kind not in "iu" or cells.dtype.itemsize > 2:
        raise DecodingFailed(
            f"{facts.path}: pixels are {cells.dtype}; integers of at most 16 bits are needed",
            facts.path,
        )
    if colour and cells.dtype.itemsize == 2:
        return (cells.view(np.uint16) >> 8).astype(np.uint8)
    return cells
