"""Pixels of a stack as one array, in the stored values of the result.

Third stage of a reconstruction: it reads files and nothing else of the outer world. High bits that are not
pixels are masked, signs extended (PS3.5 8.1.1), MONOCHROME1 is turned round where that is needed, each
slice's own rescale is brought to the common one, padding becomes one known value. Missing slices are filled
here, if the policy says so.
"""

import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, RLELossless

from scp.errors import Code, DecodingFailed, Refused
from scp.model import FileFacts, Header, Missing, Policy
from scp.reconstruction.frames import Cells, by_file, read_frames
from scp.reconstruction.geometry import SliceTable, VolumeGeometry, slice_table, volume_geometry
from scp.reconstruction.pixels import (
    Conversion,
    PixelFormat,
    conversion,
    inverted,
    is_colour,
    is_signed,
    padding_range,
    stored_range,
)

NOWHERE = 1 << 20
"""A padding value that no 16-bit voxel has."""

CACHE_LINE_BYTES = 64

NAMED_FAILURES = 3
"""Files that cannot be had of which a message tells the cause."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels with their geometry.

    *values* int16 (samples, slices, rows, columns): the stored value of the result less *bias*, which is
    32768 where that is unsigned with 16 bits: one pixel type serves all, and sources of 8 bits take twice
    their size. *padding*: the value in *values* that stands for "no voxel here", :data:`NOWHERE` if none
    does. *usable* (slices,): false for a slice that is padding as a whole.
    """

    geometry: VolumeGeometry
    table: SliceTable
    pixel_format: PixelFormat
    values: NDArray[np.int16]
    bias: int
    padding: int
    usable: NDArray[np.bool_]

    @property
    def has_holes(self) -> bool:
        """Whether some voxels are padding."""
        return self.padding != NOWHERE or not bool(self.usable.all())

    @property
    def outside(self) -> int:
        """What a pixel outside gets, in terms of *values*."""
        return self.pixel_format.padding_value - self.bias

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of a rendered plane: uint8 for colour, else int16 or uint16 as the format says."""
        if self.pixel_format.samples_per_pixel == 3:
            return np.dtype(np.uint8)
        return np.dtype(np.int16 if self.pixel_format.signed else np.uint16)


def bias_of(pixel_format: PixelFormat) -> int:
    unsigned_words = pixel_format.samples_per_pixel == 1 and not pixel_format.signed
    return 1 << 15 if unsigned_words else 0


def read_volume(
    stack: Sequence[FileFacts],
    missing: Sequence[Missing],
    policy: Policy,
    pixel_format: PixelFormat,
    threads: int = 0,
) -> Volume:
    """Return the voxels of *stack*, in its order, with a slice for each of *missing* that lies between two.

    *threads* 0 means as many as cores. Raises ``DecodingFailed`` with the paths of all files that cannot be
    read, changed since their headers were read or do not decode, and ``Refused`` (``missing-instances``)
    where a slice lacks and the policy does not let it be filled.
    """
    geometry = volume_geometry(stack, missing)
    filled = [place for place, index in enumerate(geometry.stack_index) if index < 0]
    if filled and policy is Policy.REFUSE:
        raise Refused(
            Code.MISSING_INSTANCES,
            f"{len(filled)} of {geometry.slices} slices are missing and the policy is to refuse; "
            "complete the series, or allow interpolation or padding",
            comment=f"{len(filled)} of {geometry.slices}",
        )
    shape = (pixel_format.samples_per_pixel, geometry.slices, geometry.rows, geometry.columns)
    values: NDArray[np.int16] = aligned(shape, np.int16)
    padded = _read_stack(stack, geometry, pixel_format, values, threads or os.cpu_count() or 1)
    usable = np.ones(geometry.slices, dtype=np.bool_)
    bias = bias_of(pixel_format)
    padding = pixel_format.padding_value - bias if padded else NOWHERE
    volume = Volume(geometry, slice_table(geometry), pixel_format, values, bias, padding, usable)
    for place in filled:
        _fill(volume, place, policy)
    return volume


def aligned(shape: tuple[int, ...], dtype: type[np.generic] | np.dtype[np.generic]) -> NDArray[Any]:
    """Return room for voxels or pixels that starts with a cache line: vectors of 64 bytes lie in one each."""
    kind = np.dtype(dtype)
    size = kind.itemsize * math.prod(shape)
    room = np.empty(size + CACHE_LINE_BYTES, np.uint8)
    start = -room.ctypes.data % CACHE_LINE_BYTES
    return room[start : start + size].view(kind).reshape(shape)


def _read_stack(
    stack: Sequence[FileFacts],
    geometry: VolumeGeometry,
    pixel_format: PixelFormat,
    values: NDArray[np.int16],
    threads: int,
) -> bool:
    """Read all files into *values*; tell whether any voxel is padding.

    Goes on after a file that fails, so that the error names all of them.
    """
    slice_of = {index: place for place, index in enumerate(geometry.stack_index) if index >= 0}

    def read_file(places: list[int]) -> bool | DecodingFailed:
        frames = [stack[place] for place in places]
        targets = [values[:, slice_of[place]] for place in places]
        cells = read_frames(frames, [target[0] for target in targets])
        try:
            settled = [
                _settle(cells_of_one, facts.header, pixel_format, target, _is_jpeg(facts))
                for cells_of_one, facts, target in zip(cells, frames, targets, strict=True)
            ]
        except DecodingFailed as failure:
            return failure
        return any(settled)

    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # pydicom warns of headers that the selection has judged already
        outcomes = list(pool.map(read_file, by_file(stack)))
    failures = [outcome for outcome in outcomes if isinstance(outcome, DecodingFailed)]
    if failures:
        raise _together(failures, len(outcomes))
    return any(outcomes)


def _together(failures: Sequence[DecodingFailed], files: int) -> DecodingFailed:
    """Return one failure with the paths of all, and the sentences of the first few."""
    if len(failures) == 1:
        return failures[0]
    shown = "; ".join(map(str, failures[:NAMED_FAILURES]))
    more = f"; and {len(failures) - NAMED_FAILURES} more" if len(failures) > NAMED_FAILURES else ""
    paths = dict.fromkeys(path for failure in failures for path in failure.paths)
    return DecodingFailed(f"{len(failures)} of {files} files cannot be read: {shown}{more}", *paths)


def _is_jpeg(facts: FileFacts) -> bool:
    syntax = UID(facts.pixel_data.transfer_syntax_uid) if facts.pixel_data else UID("")
    return syntax.is_transfer_syntax and syntax.is_encapsulated and syntax != RLELossless


def _settle(
    cells: Cells, header: Header, pixel_format: PixelFormat, target: NDArray[np.int16], is_jpeg: bool
) -> bool:
    """Turn *cells* into values of the result in *target* (samples, rows, columns); tell if any is padding."""
    if is_colour(header):
        target[...] = np.moveaxis(cells, -1, 0)
        return False
    padding = padding_range(header)
    low, high = stored_range(header)
    is_padding = None
    if padding is not None and not low <= padding[0] <= high:
        is_padding = _between(
            _represented(cells, header), *padding
        )  # padding beyond Bits Stored: in raw cells
    stored = _masked(_represented(cells, header), header, is_jpeg)
    if padding is not None and is_padding is None:
        is_padding = _between(stored, *padding)
    _convert(stored, header, pixel_format, target[0])
    if is_padding is None or not is_padding.any():
        return False
    target[0][is_padding] = pixel_format.padding_value - bias_of(pixel_format)
    return True


def _between(values: Cells, low: int, high: int) -> NDArray[np.bool_]:
    return values == low if low == high else (values >= low) & (values <= high)


def _represented(cells: Cells, header: Header) -> Cells:
    return cells.view(np.dtype(f"{'i' if is_signed(header) else 'u'}{cells.dtype.itemsize}"))


def _masked(cells: Cells, header: Header, is_jpeg: bool) -> Cells:
    """Return *cells* with what is not of Bits Stored taken out and the sign extended, in place."""
    allocated = 8 * cells.dtype.itemsize
    stored = header.integer("BitsStored") or allocated
    if stored >= allocated:
        return cells
    above = allocated - 1 - (stored - 1 if is_jpeg else header.integer("HighBit") or stored - 1)
    if not cells.flags.writeable:
        cells = cells.copy()
    if above:
        np.left_shift(cells, above, out=cells)
    np.right_shift(cells, allocated - stored, out=cells)
    return cells


def _convert(stored: Cells, header: Header, pixel_format: PixelFormat, target: NDArray[np.int16]) -> None:
    change = conversion(header, pixel_format)
    if inverted(header):
        change = Conversion(-change.slope, change.slope * sum(stored_range(header)) + change.intercept)
    bias = bias_of(pixel_format)
    offset = change.offset
    if offset is not None and stored.dtype.itemsize == 2 and _fits(stored, header, offset, pixel_format):
        # modulo 2**16 the sum is right whatever sign the words are read with
        shift = np.array(offset - bias).astype(np.int16)
        if shift or not np.may_share_memory(stored, target):
            np.add(stored.view(np.int16), shift, out=target)
        return
    lowest, highest = pixel_format.limits
    exact = np.floor(stored * change.slope + (change.intercept + 0.5))
    target[...] = np.clip(exact, lowest, highest) - bias


def _fits(stored: Cells, header: Header, offset: int, pixel_format: PixelFormat) -> bool:
    """Tell whether all values plus *offset* are values of the result; most often Bits Stored says so."""
    lowest, highest = pixel_format.limits
    low, high = stored_range(header)
    if low + offset < lowest or high + offset > highest:
        low, high = int(stored.min()), int(stored.max())
    return low + offset >= lowest and high + offset <= highest


def _fill(volume: Volume, place: int, policy: Policy) -> None:
    """Make the slice *place*: padding, or linear between the nearest true slices."""
    true = [index >= 0 for index in volume.geometry.stack_index]
    if policy is Policy.PAD:
        volume.values[:, place] = volume.outside
        volume.usable[place] = False
        return
    below = max(index for index in range(place) if true[index])
    above = min(index for index in range(place + 1, len(true)) if true[index])
    heights = volume.table.heights_mm
    weight = (heights[place] - heights[below]) / (heights[above] - heights[below])
    low, high = volume.values[:, below], volume.values[:, above]
    mixed = np.floor(low * (1 - weight) + high * weight + 0.5)
    if volume.padding != NOWHERE:
        nearest = low if weight < 0.5 else high
        mixed = np.where((low == volume.padding) | (high == volume.padding), nearest, mixed)
    volume.values[:, place] = mixed
