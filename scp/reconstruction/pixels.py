"""How the values of the result are stored, and how those of each source become such values.

Decided from the headers of the stack alone, so that a result can be described before a pixel is read
(PS3.3 C.7.6.3 Image Pixel Module, C.11.1 Modality LUT Module, C.7.5.1.1.2 Pixel Padding Value). CT with
slope 1 is stored as Hounsfield units; slices with rescale values of their own (PET) get one in common; else
stored values stay what they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scp.errors import Code, Refused
from scp.model import FileFacts, Header

AIR_HU = -1000
INT16 = (-(1 << 15), (1 << 15) - 1)
UINT16 = (0, (1 << 16) - 1)
NO_SIGNAL_IS_ZERO = frozenset({"MR", "NM", "PT"})
"""Signed or not: -32768 around such images would turn everything in them white."""

COLOUR = frozenset({"RGB", "PALETTE COLOR"})


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Storage of the output: 16 bits a sample, or 8 bits for colour by pixel (RGB).

    *rescale_slope* and *rescale_intercept* are ``None`` where the sources have no Modality LUT. A pixel
    that is outside of the volume has *padding_value*, a stored value.
    """

    signed: bool
    samples_per_pixel: int
    photometric_interpretation: str
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    padding_value: int

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest value that can be stored."""
        if self.samples_per_pixel == 3:
            return 0, 255
        return INT16 if self.signed else UINT16


@dataclass(frozen=True, slots=True)
class Conversion:
    """From a stored value of one source to one of the result: ``floor(slope * value + intercept + 0.5)``."""

    slope: float
    intercept: float

    @property
    def offset(self) -> int | None:
        """The whole number that is added where that is all, else ``None``."""
        whole = self.slope == 1.0 and self.intercept == int(self.intercept)
        return int(self.intercept) if whole else None

    def range(self, low: float, high: float) -> tuple[float, float]:
        ends = (self.slope * low + self.intercept, self.slope * high + self.intercept)
        return min(ends), max(ends)


@dataclass(frozen=True, slots=True)
class Rescale:
    """Rescale Slope, Intercept and Type of one source or of the result (PS3.3 C.11.1)."""

    slope: float
    intercept: float
    type: str = ""


def pixel_format(stack: Sequence[FileFacts]) -> PixelFormat:
    """Return how values made from *stack* are stored.

    Raises ``Refused`` (``other-pixel-format``) where gray and colour are mixed.
    """
    headers = [facts.header for facts in stack]
    colours = {is_colour(header) for header in headers}
    if len(colours) > 1:
        raise Refused(
            Code.OTHER_PIXEL_FORMAT,
            "the stack mixes gray and colour images; a volume needs one kind: name an image of the other",
        )
    if colours == {True}:
        return PixelFormat(False, 3, "RGB", None, None, "", 0)
    return _gray_format(headers)


def is_colour(header: Header) -> bool:
    photometric = header.text("PhotometricInterpretation")
    return photometric in COLOUR or photometric.startswith("YBR") or header.integer("SamplesPerPixel") == 3


def decoded_bytes(header: Header) -> int:
    """Return the memory that all frames take once decoded: colour in full at each pixel, however stored.

    0 where the header does not say how large a frame is.
    """
    pixels = (header.integer("Rows") or 0) * (header.integer("Columns") or 0)
    samples = 3 if is_colour(header) else header.integer("SamplesPerPixel") or 1
    sample_bytes = ((header.integer("BitsAllocated") or 16) + 7) // 8
    return pixels * samples * sample_bytes * max(header.integer("NumberOfFrames") or 1, 1)


def is_signed(header: Header) -> bool:
    return header.integer("PixelRepresentation") == 1


def stored_range(header: Header) -> tuple[int, int]:
    """Return the lowest and highest value that Bits Stored and Pixel Representation allow."""
    bits = header.integer("BitsStored") or header.integer("BitsAllocated") or 16
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed(header) else (0, (1 << bits) - 1)


def inverted(header: Header) -> bool:
    """Tell whether stored values are turned round: MONOCHROME1, where no Modality LUT gives them a meaning.

    Hounsfield units and activities mean the same under both interpretations (PS3.3 C.7.6.3.1.2) and stay.
    """
    meaning = "RescaleSlope" in header and (
        header.text("Modality") in ("CT", "PT") or header.text("RescaleType") not in ("", "US")
    )
    return header.text("PhotometricInterpretation") == "MONOCHROME1" and not meaning


def padding_range(header: Header) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that is padding, ``None`` where the source declares none.

    Scanners write the value of a signed image as unsigned (63536 for -2000): it is read as it was meant.
    """
    value = header.integer("PixelPaddingValue")
    if value is None:
        return None
    limit = header.integer("PixelPaddingRangeLimit")
    ends = [_as_represented(end, header) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def conversion(header: Header, pixel_format: PixelFormat) -> Conversion:
    """Return how stored values of one source become those of the result."""
    if pixel_format.rescale_slope is None or pixel_format.rescale_intercept is None:
        return Conversion(1.0, 0.0)
    own = _rescale(header)
    return Conversion(
        own.slope / pixel_format.rescale_slope,
        (own.intercept - pixel_format.rescale_intercept) / pixel_format.rescale_slope,
    )


def _gray_format(headers: Sequence[Header]) -> PixelFormat:
    rescale = _common_rescale(headers)
    draft = PixelFormat(
        signed=_signed(headers, rescale),
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        rescale_slope=rescale.slope if rescale else None,
        rescale_intercept=rescale.intercept if rescale else None,
        rescale_type=rescale.type if rescale else "",
        padding_value=0,
    )
    return replace(draft, padding_value=_padding_value(draft, headers))


def _padding_value(draft: PixelFormat, headers: Sequence[Header]) -> int:
    """Return the sources' own padding, else air (CT in HU), else the lowest value, as it can be stored."""
    lowest, highest = draft.limits
    declared = [(header, padding) for header in headers if (padding := padding_range(header))]
    if declared:
        header, (value, _) = declared[0]
        stored = _converted(value, header, draft)
        return stored if _is_common(headers) and lowest <= stored <= highest else lowest
    if draft.rescale_slope and all(map(_in_hounsfield_units, headers)):
        air = round((AIR_HU - (draft.rescale_intercept or 0.0)) / draft.rescale_slope)
        return min(max(air, lowest), highest)
    return min(max(min(_lowest_value(header, draft) for header in headers), lowest), highest)


def _in_hounsfield_units(header: Header) -> bool:
    """Tell whether 0 is water: a CT that says nothing else; maps of perfusion do (PS3.3 C.11.1.1.2)."""
    return header.text("Modality") == "CT" and header.text("RescaleType") in ("", "HU")


def _lowest_value(header: Header, draft: PixelFormat) -> int:
    smallest = header.integer("SmallestImagePixelValue")
    if smallest is not None and not inverted(header):
        return _converted(_as_represented(smallest, header), header, draft)
    if header.text("Modality") in NO_SIGNAL_IS_ZERO and is_signed(header) and not inverted(header):
        return _converted(0, header, draft)
    low, _ = conversion(header, draft).range(*stored_range(header))
    return round(low)


def _converted(value: int, header: Header, draft: PixelFormat) -> int:
    if inverted(header):
        value = sum(stored_range(header)) - value
    change = conversion(header, draft)
    return round(change.slope * value + change.intercept)


def _as_represented(value: int, header: Header) -> int:
    """Return *value* as Pixel Representation means it, whatever VR (US or SS) it was written with."""
    cell = 1 << (header.integer("BitsAllocated") or 16)
    value %= cell
    return value - cell if is_signed(header) and value >= cell // 2 else value


def _rescale(header: Header) -> Rescale:
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    return Rescale(
        1.0 if slope in (None, 0.0) else slope, 0.0 if intercept is None else intercept, _rescale_type(header)
    )


def _rescale_type(header: Header) -> str:
    """Return Rescale Type; CT without one has HU, unless it is multi-energy (PS3.3 C.11.1.1.2)."""
    if header.text("RescaleType"):
        return header.text("RescaleType")
    multi_energy = header.text("MultienergyCTAcquisition") == "YES"
    return "HU" if header.text("Modality") == "CT" and not multi_energy else "US"


def _is_common(headers: Sequence[Header]) -> bool:
    rescales = {(rescale.slope, rescale.intercept) for rescale in map(_rescale, headers)}
    return len(rescales) == 1


def _common_rescale(headers: Sequence[Header]) -> Rescale | None:
    """Return the one Modality LUT of the result, ``None`` where no source has one."""
    if not any("RescaleSlope" in header or "RescaleIntercept" in header for header in headers):
        return None
    types = {_rescale_type(header) for header in headers}
    kind = types.pop() if len(types) == 1 else "US"
    if _fits_hounsfield(headers):
        return Rescale(1.0, 0.0, kind)
    if _is_common(headers):
        first = _rescale(headers[0])
        return Rescale(first.slope, first.intercept, kind)
    return _widest_rescale(headers, kind)


def _fits_hounsfield(headers: Sequence[Header]) -> bool:
    """Tell whether values are Hounsfield units once the intercept is added, and fit 16 bits signed.

    Below -32768 HU nothing is measured, so the lower end may saturate: else no scanner that writes 16 bits
    signed with the intercept -1024 would fit.
    """
    for header in headers:
        own = _rescale(header)
        if header.text("Modality") != "CT" or own.slope != 1.0 or own.intercept != int(own.intercept):
            return False
        if stored_range(header)[1] + own.intercept > INT16[1]:
            return False
    return True


def _widest_rescale(headers: Sequence[Header], kind: str) -> Rescale:
    """Return a slope and intercept under which the values of all slices fit 16 bits, as finely as they can.

    Without intercepts (PET, PS3.3 C.8.9.1) the coarsest slope of the slices does; else the range of
    all is spread over the 65,535 upper values, and the lowest stays free for padding.
    """
    rescales = [_rescale(header) for header in headers]
    if all(rescale.intercept == 0.0 and rescale.slope > 0 for rescale in rescales):
        return Rescale(max(rescale.slope for rescale in rescales), 0.0, kind)
    ranges = [
        Conversion(own.slope, own.intercept).range(*stored_range(header))
        for own, header in zip(rescales, headers, strict=True)
    ]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    slope = (high - low) / (UINT16[1] - 1)
    return Rescale(slope, low - slope, kind)


def _signed(headers: Sequence[Header], rescale: Rescale | None) -> bool:
    """Tell whether the result is signed: Hounsfield units are, a spread range is not, else as the sources."""
    if rescale is not None and _fits_hounsfield(headers):
        return True
    spread = rescale is not None and not _is_common(headers) and rescale.intercept != 0.0
    return not spread and any(is_signed(header) for header in headers)
