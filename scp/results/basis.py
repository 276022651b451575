"""All that the attributes of a result follow from: selection, planes, storage of values, options.

The tables of attributes are functions of this record; it holds no attribute of the result itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from scp import __version__
from scp.model import FileFacts, Header, Interpolation, SelectionReport, Value
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan

SECONDARY_CAPTURE = "secondary_capture"
SOURCE = "source"
MULTIFRAME = "multiframe"


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """How planes become objects: ``[results]`` of the configuration, and what made the pixels.

    *sop_class*: ``secondary_capture``, ``source`` or ``multiframe``; *compression*: ``none``, ``rle``,
    ``jpeg_ls`` or ``jpeg_2000``, all lossless; *engine*: name and version of what resamples.
    """

    sop_class: str = SECONDARY_CAPTURE
    compression: str = "none"
    uid_root: str = ""
    interpolation: Interpolation = Interpolation.LINEAR
    engine: str = ""
    software_version: str = __version__


@dataclass(frozen=True)
class Basis:
    """One result, before it is described. The stack of *report* is ordered along its normal."""

    report: SelectionReport
    plan: PlanePlan
    pixel_format: PixelFormat
    options: ResultOptions

    @property
    def stack(self) -> tuple[FileFacts, ...]:
        return self.report.stack

    @cached_property
    def middle(self) -> Header:
        """The header of the middle source, which speaks for the series where sources differ."""
        return self.stack[len(self.stack) // 2].header

    @property
    def headers(self) -> Iterator[Header]:
        """The headers of all sources, the middle one first."""
        yield self.middle
        yield from (facts.header for facts in self.stack)

    @property
    def colour(self) -> bool:
        return self.pixel_format.samples_per_pixel > 1

    @property
    def modality(self) -> str:
        return str(self.first("Modality") or "OT")

    @property
    def animal(self) -> bool:
        """Tell whether the sources describe the patient as no human being (PS3.3 C.7.1.1)."""
        species = self.first("PatientSpeciesDescription") or self.first("PatientSpeciesCodeSequence")
        return bool(species) or self.first("AnatomicalOrientationType") == "QUADRUPED"

    def first(self, keyword: str) -> Value | None:
        """Return what the middle source states, else what the first source states that states anything."""
        return next((h.attributes[keyword] for h in self.headers if keyword in h), None)

    def unanimous(self, keyword: str) -> Value | None:
        """Return what every source states, ``None`` where they differ or one states nothing."""
        values = {facts.header.get(keyword) for facts in self.stack}
        return values.pop() if len(values) == 1 else None

    def any_is(self, keyword: str, value: str) -> bool:
        """Tell whether one source at least states *value*."""
        return any(facts.header.text(keyword).strip().upper() == value for facts in self.stack)
