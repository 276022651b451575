"""Where a result comes from: words, codes, references to the sources, and the equipment.

Words and codes say what was done (PS3.3 C.7.6.1.1.3, C.12.4.1); references say to which images, plane by
plane (C.12.4, C.12.2), each with its purpose (CID 7202); the equipment that made the sources is named beside
ours (C.12.1.1.5). Whatever was filled, adopted or is known to lack says so where people look: Series
Description, Image Comments, Derivation Description. Nothing that left the pixels alone is mentioned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from scp.errors import Code
from scp.model import (
    Direction,
    FileFacts,
    Header,
    Method,
    Missing,
    Operation,
    PlaneRequest,
    Policy,
    concepts,
    names,
)
from scp.model.concepts import Concept
from scp.reconstruction.planes import PlanePlan
from scp.results.basis import Basis
from scp.results.stored_values import stored_value_sentences
from scp.results.values import decimal_string, is_undecodable, item
from scp.selection import markers

PRODUCT = "mpr-scp"

LO_CHARACTERS = 64
ST_CHARACTERS = 1024
NUMBERS_NAMED = 24
"""Missing images named one by one in a text; the rest are counted."""

SLAB_CODES = {
    Method.AVERAGE_IP: concepts.PIXEL_BY_PIXEL_MEAN,
    Method.MAXIMUM_IP: concepts.MAXIMUM_INTENSITY_PROJECTION,
    Method.MINIMUM_IP: concepts.MINIMUM_INTENSITY_PROJECTION,
}
"""Image derivation (CID 7203) of a slab."""

DIRECTION_WORDS = {
    Direction.CORONAL: "COR",
    Direction.SAGITTAL: "SAG",
    Direction.TRANSVERSE: "TRA",
    Direction.OBLIQUE: "OBL",
}
SLAB_WORDS = {Method.AVERAGE_IP: "AVG", Method.MAXIMUM_IP: "MIP", Method.MINIMUM_IP: "MinIP"}
SLAB_SENTENCES = {
    Method.AVERAGE_IP: "mean",
    Method.MAXIMUM_IP: "maximum",
    Method.MINIMUM_IP: "minimum",
}

FILLED_WORDS = {Policy.INTERPOLATE: "interpolated", Policy.PAD: "padded", Policy.REFUSE: "missing"}
"""What became of missing images, by the policy."""

NOTE_SENTENCES = {
    Code.GANTRY_TILT: "gantry tilt taken into account as shear",
    Code.VARIABLE_SPACING: "sources of varying distance taken at their true positions",
    Code.FRAME_OF_REFERENCE_PER_SLICE: "sources share no Frame of Reference, registration is unknown",
    Code.ADOPTED: "images without Series Instance UID adopted",
    Code.SLABS_END_EARLY: "voxels behind the last slab lie in none",
    Code.ENDS_MISSING: "images beyond the ends are known to be missing",
}
"""Notes that pixels or their place depend on; the others stay in the report."""


@dataclass(frozen=True, slots=True)
class SourceReference:
    """One source, as results refer to it; *frame* 0 is a whole single-frame image."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    frame: int = 0

    @classmethod
    def of(cls, facts: FileFacts) -> "SourceReference":
        text = facts.header.text
        return cls(text("SOPClassUID"), text("SOPInstanceUID"), text("SeriesInstanceUID"), facts.frame)


def series_description(basis: Basis) -> str:
    """Return Series Description: what to beware of, what it is, then as much of the source's as LO holds."""
    request, plan = basis.plan.request, basis.plan
    return before_the_sources(basis, plane_words(request, plan.interval_mm, plan.thickness_mm))


def before_the_sources(basis: Basis, words: str) -> str:
    """Return Series Description with *words* for what the result is."""
    ours = " ".join([*markers(basis.report), words])[:LO_CHARACTERS]
    source = basis.middle.text("SeriesDescription").replace("\\", "/").strip()
    if is_undecodable(source):
        return ours
    return f"{ours} {source}"[:LO_CHARACTERS].rstrip()


def dry_run_description(basis: Basis) -> str:
    """Return how a dry run says shortly what the result would be: ``COR 3.0 MIP, 118 of 120``."""
    plan = basis.plan
    words = plane_words(plan.request, plan.interval_mm, plan.thickness_mm)
    used = len(basis.stack)
    return f"{words}, {used} of {used + len(basis.report.missing)}"


def plane_words(request: PlaneRequest, interval_mm: float, thickness_mm: float) -> str:
    """Return direction, interval and operation: ``COR 0.7 MPR``, ``SAG 3.0 MIP``, ``TRA 1.0 AVG 5.0``.

    The thickness of a slab (mm) follows where it is not the interval.
    """
    direction = DIRECTION_WORDS[request.direction]
    if request.operation is Operation.MPR:
        return f"{direction} {millimetres(interval_mm)} MPR"
    words = f"{direction} {millimetres(interval_mm)} {SLAB_WORDS[request.method]}"
    return words if thickness_mm == interval_mm else f"{words} {millimetres(thickness_mm)}"


def result_comments(basis: Basis) -> str:
    """Return Image Comments: ``used 118 of 120; interpolated 7, 8; ends missing``."""
    used = len(basis.stack)
    parts = [f"used {used} of {used + len(basis.report.missing)}"]
    if basis.report.holes:
        parts.append(f"{FILLED_WORDS[basis.report.rules.policy]} {named(basis.report.holes)}")
    if basis.report.ends:
        parts.append(f"missing {named(basis.report.ends)}")
    parts += [note.code.replace("-", " ") for note in basis.report.notes if note.code in NOTE_SENTENCES]
    return "; ".join(dict.fromkeys(parts))


def derivation_description(basis: Basis, touched: Sequence[int]) -> str:
    """Return Derivation Description (ST) of an object that touches the missing images *touched*.

    What is missing stands first; then operation, grid, values, notes and software, the same in all objects.
    """
    return derivation(
        basis, touched, f"Multiplanar reformatting of {len(basis.stack)} images: {_operation(basis)}"
    )


def derivation(basis: Basis, touched: Sequence[int], what: str) -> str:
    """Return Derivation Description of a result of which *what* says the operation."""
    plan, options = basis.plan, basis.options
    parts = [_touched(basis, touched)] if touched else []
    parts.append(
        f"{what}, pixels of {millimetres(plan.spacing_mm)} mm, {options.interpolation} interpolation"
    )
    if basis.first("Units"):
        parts.append(f"values in {basis.first('Units')}")
    parts += stored_value_sentences(basis)
    notes = dict.fromkeys(note.code for note in basis.report.notes)
    parts += [NOTE_SENTENCES[Code(code)] for code in notes if code in NOTE_SENTENCES]
    parts.append(f"{PRODUCT} {options.software_version}, {options.engine}".rstrip(", "))
    return "; ".join(parts)[:ST_CHARACTERS]


def _touched(basis: Basis, touched: Sequence[int]) -> str:
    missing = [basis.report.missing[index] for index in touched]
    return f"Touches missing images, {FILLED_WORDS[basis.report.rules.policy]}: {named(missing)}"


def named(missing: Sequence[Missing]) -> str:
    """Return missing images by number, else by position along the normal, at most 24 of them."""
    rest = len(missing) - NUMBERS_NAMED
    return ", ".join(names(missing[:NUMBERS_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def _operation(basis: Basis) -> str:
    plan = basis.plan
    direction = plan.request.direction.lower()
    many = f", every {millimetres(plan.interval_mm)} mm" if len(plan.positions) > 1 else ""
    coarse = f", {pixel_area(plan)}" if pixel_area(plan) else ""
    if plan.request.operation is Operation.MPR:
        return f"{direction} thin planes{many}, Slice Thickness is the pixel size{coarse}"
    slab = SLAB_SENTENCES[plan.request.method]
    return f"{direction} {slab} of slabs of {millimetres(plan.thickness_mm)} mm{many}{coarse}"


def pixel_area(plan: PlanePlan) -> str:
    """Return what pixels larger than voxels are made of, ``""`` where each is one sample of the volume."""
    down, across = plan.footprint
    if down * across == 1:
        return ""
    return f"each pixel the {SLAB_SENTENCES[plan.request.method]} of {down} x {across} samples over its area"


def millimetres(value: float) -> str:
    """Return a length with one decimal at least, two at most unless it is below that: 3.0, 0.68, 0.004."""
    text = f"{value:.2f}".rstrip("0") if value >= 0.01 else decimal_string(value)
    return f"{text}0" if text.endswith(".") else text


def derivation_codes(request: PlaneRequest) -> list[Dataset]:
    """Return the items of Derivation Code Sequence (CID 7203): reformatting, and how a slab was rendered."""
    made_by = [concepts.MULTIPLANAR_REFORMATTING]
    if request.operation is Operation.SLAB:
        made_by.append(SLAB_CODES[request.method])
    return [coded(concept) for concept in made_by]


def coded(concept: Concept) -> Dataset:
    """Return the item of a code sequence (PS3.3 table 8.8-1)."""
    return item(
        CodeValue=concept.value, CodingSchemeDesignator=concept.scheme_designator, CodeMeaning=concept.meaning
    )


def contributing_equipment(basis: Basis) -> list[Dataset]:
    """Return Contributing Equipment: what acquired the sources, as far as they tell, and this node."""
    ours = item(
        Manufacturer=PRODUCT,
        ManufacturerModelName=PRODUCT,
        SoftwareVersions=basis.options.software_version,
        PurposeOfReferenceCodeSequence=[coded(concepts.PROCESSING_EQUIPMENT)],
    )
    source = basis.middle
    return [_acquisition_equipment(source), ours] if "Manufacturer" in source else [ours]


def _acquisition_equipment(source: Header) -> Dataset:
    """Manufacturer is of type 1 in this sequence: a source that states none names no equipment."""
    return item(
        Manufacturer=source.get("Manufacturer"),
        InstitutionName=source.get("InstitutionName"),
        StationName=source.get("StationName"),
        ManufacturerModelName=source.get("ManufacturerModelName"),
        DeviceSerialNumber=source.get("DeviceSerialNumber"),
        SoftwareVersions=source.get("SoftwareVersions"),
        PurposeOfReferenceCodeSequence=[coded(concepts.ACQUISITION_EQUIPMENT)],
    )
