"""What became of the stored values of the sources, in words for Derivation Description (PS3.3 C.7.6.1.1.3).

``scp.reconstruction`` does it, by the rules of ``pixels`` and ``volume``; whoever measures in a result reads
here what its numbers were. Values that are the sources' own need no word.
"""

from collections.abc import Iterator

from scp.model import Header
from scp.reconstruction.pixels import conversion, inverted, padding_range, stored_range
from scp.results.basis import Basis
from scp.results.values import decimal_string


def stored_value_sentences(basis: Basis) -> tuple[str, ...]:
    """Return what was done to stored values and which value is no measurement, a sentence for each."""
    headers = [facts.header for facts in basis.stack]
    if basis.colour:
        return tuple(_recoloured(headers))
    return (*_turned_round(headers), *_rescaled(basis, headers), _padded(basis, headers))


def _recoloured(headers: list[Header]) -> Iterator[str]:
    stated = dict.fromkeys(header.text("PhotometricInterpretation") for header in headers)
    others = [photometric for photometric in stated if photometric != "RGB"]
    if others:
        yield f"RGB made of {', '.join(others)}"


def _turned_round(headers: list[Header]) -> Iterator[str]:
    negatives = [h for h in headers if h.text("PhotometricInterpretation") == "MONOCHROME1"]
    sums = dict.fromkeys(sum(stored_range(header)) for header in negatives if inverted(header))
    if sums:
        yield f"grey levels turned round from MONOCHROME1, v to {' or '.join(map(str, sums))} - v"
    elif negatives:
        yield "MONOCHROME1 became MONOCHROME2, values as they were"


def _rescaled(basis: Basis, headers: list[Header]) -> Iterator[str]:
    changes = {conversion(header, basis.pixel_format) for header in headers}
    if all(change.offset is not None for change in changes):
        if any(change.offset for change in changes):
            yield "Rescale Intercept of the sources added to stored values"
        return
    slopes = sorted(header.number("RescaleSlope") or 1.0 for header in headers)
    ends = " to ".join(dict.fromkeys(map(decimal_string, (slopes[0], slopes[-1]))))
    step = decimal_string(basis.pixel_format.rescale_slope or 1.0)
    yield f"rescales of the sources, slope {ends}, brought to one: values rounded to steps of {step}"


def _padded(basis: Basis, headers: list[Header]) -> str:
    value = basis.pixel_format.padding_value
    declared = any(padding_range(header) for header in headers)
    return f"{value} stored {'for padding of the sources and ' if declared else ''}where no source reaches"
