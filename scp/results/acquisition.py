"""What is worked out from several sources at once: dates, Frame of Reference, lossy compression.

Dates come from the sources, never from a clock: a result says when its pixels were acquired (PS3.3 C.7.3.1,
C.7.10.1). Lossy compression sticks: once lossy, always lossy (C.7.6.1.1.5).
"""

from collections.abc import Iterator

from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from scp.model import FileFacts, Header
from scp.results.basis import Basis
from scp.results.identity import uid
from scp.results.values import decimal_string

Moment = tuple[str, str]
"""A date (DA) and a time (TM, may be empty), as the source writes them."""

MOMENTS = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("SeriesDate", "SeriesTime"),
)
"""In this order: the first pair that any source states dates the result."""

ALWAYS_LOSSY = {str(JPEGBaseline8Bit), str(JPEGExtended12Bit)}
"""Transfer syntaxes that no encoder can use without loss (PS3.5 8.2.1)."""

METHOD_OF_SYNTAX = dict.fromkeys(ALWAYS_LOSSY, "ISO_10918_1")
"""Lossy Image Compression Method for a source that does not state its own."""


def newest(basis: Basis) -> Moment:
    """Return when the newest source was acquired, else made, else when its series began."""
    for date_keyword, time_keyword in MOMENTS:
        moments = [_moment(f.header, date_keyword, time_keyword) for f in basis.stack]
        stated = [moment for moment in moments if moment[0]]
        if stated:
            return max(stated, key=_in_order)
    return "", ""


def _moment(header: Header, date_keyword: str, time_keyword: str) -> Moment:
    if date_keyword in header:
        return header.text(date_keyword), header.text(time_keyword)
    if date_keyword != "AcquisitionDate":
        return "", ""
    both = header.text("AcquisitionDateTime").split("+")[0].split("-")[0]
    return both[:8], both[8:]


def _in_order(moment: Moment) -> tuple[str, str, str]:
    whole, _, fraction = moment[1].partition(".")
    return moment[0], whole.ljust(6, "0"), fraction.ljust(6, "0")


def series_date(basis: Basis) -> str:
    """Series Date and Content Date of the result."""
    return newest(basis)[0]


def series_time(basis: Basis) -> str:
    """Series Time and Content Time of the result."""
    return newest(basis)[1]


def shared_frame_of_reference(basis: Basis) -> str:
    """Return the Frame of Reference of all sources, else one of their own that all results of them share."""
    shared = basis.unanimous("FrameOfReferenceUID")
    if shared is not None:
        return str(shared)
    sources = [facts.sop_instance_uid for facts in basis.stack]
    return uid(basis.options.uid_root, "frame of reference", sources)


def lossy_sources(basis: Basis) -> Iterator[FileFacts]:
    """The sources whose pixels lost something before they came here, by their word or by their syntax."""
    for facts in basis.stack:
        syntax = facts.pixel_data.transfer_syntax_uid if facts.pixel_data else ""
        if facts.header.text("LossyImageCompression") == "01" or syntax in ALWAYS_LOSSY:
            yield facts


def lossy_image_compression(basis: Basis) -> str:
    return "01" if any(lossy_sources(basis)) else "00"


def lossy_ratio(basis: Basis) -> tuple[str, ...] | None:
    """Return Lossy Image Compression Ratio of the source that lost most, one value for each of its steps."""
    worst = _worst(basis)
    return _ratios(worst) if worst is not None else None


def lossy_method(basis: Basis) -> tuple[str, ...] | None:
    """Return Lossy Image Compression Method, as many values as there are ratios."""
    worst = _worst(basis)
    if worst is None or worst.pixel_data is None:
        return None
    stated = worst.header.texts("LossyImageCompressionMethod")
    by_syntax = METHOD_OF_SYNTAX.get(worst.pixel_data.transfer_syntax_uid)
    return stated or ((by_syntax,) if by_syntax else None)


def _worst(basis: Basis) -> FileFacts | None:
    with_ratio = [facts for facts in lossy_sources(basis) if _ratios(facts)]
    return max(with_ratio, key=lambda facts: max(map(float, _ratios(facts))), default=None)


def _ratios(facts: FileFacts) -> tuple[str, ...]:
    """What the header states, else what the length of Pixel Data shows (one frame, C.7.6.1.1.5.2)."""
    stated = facts.header.numbers("LossyImageCompressionRatio")
    if stated:
        return tuple(decimal_string(ratio) for ratio in stated)
    syntax = facts.pixel_data.transfer_syntax_uid if facts.pixel_data else ""
    if syntax not in ALWAYS_LOSSY or facts.frame or not facts.pixel_data or not facts.pixel_data.length:
        return ()
    number = facts.header.number
    pixels = (number("Rows") or 0) * (number("Columns") or 0) * (number("SamplesPerPixel") or 1)
    native_bytes = pixels * (number("BitsAllocated") or 8) / 8
    return (decimal_string(round(native_bytes / facts.pixel_data.length, 2)),)
