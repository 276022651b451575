"""The selection from start to end: the list of steps, each in a module of its own.

The current image says what is looked for; the facts of its folder, and what searches found, say what is
there. The result is one :class:`~scp.model.SelectionReport` in which every file has a row. Pure: headers
in, report out; no file is opened, and a refusal is a verdict, not an error.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from scp.errors import Code, Refused
from scp.model import (
    FileFacts,
    Header,
    KnownInstance,
    PixelsAgree,
    Policy,
    ReportRow,
    Search,
    SelectionReport,
    SelectionRules,
    are,
    counted,
    names,
)
from scp.selection import candidates, duplicates, filling, fitness, identity
from scp.selection.completeness import Completeness, examine
from scp.selection.fitness import cross, dot
from scp.selection.sorting import FITS, Finding, Sorting, place
from scp.selection.stack import has_extent, not_alone, of_current

OTHER_NUMBERS = frozenset({Code.OTHER_ORIENTATION, Code.OTHER_STACK, Code.LOCALIZER, Code.NOT_A_SOURCE_IMAGE})
"""Reasons of images of the series whose Instance Numbers no slice of the stack can have."""


UNDECIDED_BECAUSE = "the request was refused before this file was decided"

ERROR_COMMENT_LENGTH = 64
"""Error Comment (0000,0902) is a Long String (PS3.5 table 6.2-1)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was left in the end: the stack, what it lacks, and the refusal where there is one."""

    stack: tuple[FileFacts, ...] = ()
    lacks: Completeness = field(default_factory=Completeness)
    refusal: Refused | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one selection may look at."""

    current: FileFacts
    here: Sequence[FileFacts]
    found: Sequence[FileFacts]
    known: Sequence[KnownInstance]
    rejected: Collection[str]
    rules: SelectionRules
    pixels_agree: PixelsAgree

    @property
    def everything(self) -> list[FileFacts]:
        return [*self.here, *self.found]

    def parted(self, images: Sequence[FileFacts]) -> tuple[list[FileFacts], list[FileFacts]]:
        """Return those of *images* that lie in the folder, and those that searches found."""
        elsewhere = {place(image) for image in self.found}
        if not elsewhere:
            return list(images), []
        here = [image for image in images if place(image) not in elsewhere]
        return here, [image for image in images if place(image) in elsewhere]


def select(
    current: FileFacts,
    facts: Sequence[FileFacts],
    rules: SelectionRules,
    *,
    found: Sequence[FileFacts] = (),
    stated: Header | None = None,
    known: Sequence[KnownInstance] = (),
    rejected: Collection[str] = (),
    pixels_agree: PixelsAgree = duplicates.same_stored_pixels,
    searches: Sequence[Search] = (),
) -> SelectionReport:
    """Return which of *facts* make the volume of the current image, and why the others do not.

    *facts* is the current image's folder, *found* what searches brought (used only where something
    lacks), *stated* what the request said of the current image, *known* what an index and peers hold of the
    series, *rejected* the SOP Instance UIDs that rejection notes refer to. *pixels_agree* is asked where
    two files of one SOP Instance UID agree in their headers. Never raises for content.
    """
    evidence = _evidence(current, facts, found, known, rejected, rules, pixels_agree)
    sorting = Sorting(current)
    try:
        outcome = _method(sorting, evidence, stated or Header())
    except Refused as refusal:
        outcome = Outcome(refusal=refusal)
    return _report(sorting, evidence, outcome, searches)


def _method(sorting: Sorting, evidence: Evidence, stated: Header) -> Outcome:
    """Take the steps in their order. Raises ``Refused`` where one of them ends the request."""
    current, rules = evidence.current, evidence.rules
    readable = _readable(sorting, evidence)
    identity.agree_with_request(current.header, stated)
    of_series = sorting.keep(readable, identity.belonging(current.header, rules))
    images = _fit(sorting, evidence, of_series)
    here, offered = evidence.parted(images)
    beside, _ = evidence.parted(readable)
    stack = _stack(sorting, evidence, here, beside)
    of_series, _ = evidence.parted(of_series)
    lacks = _examine(sorting, evidence, stack, of_series)
    if filled := filling.choose(sorting, stack, lacks, offered):
        stack = _stack(sorting, evidence, stack + filled, stack + filled)
        lacks = _examine(sorting, evidence, stack, of_series + filled)
    if adopted := _adopted(sorting, evidence, stack, lacks, readable):
        stack = _stack(sorting, evidence, stack + adopted, stack + adopted)
        lacks = _examine(sorting, evidence, stack, of_series + filled + adopted)
    not_alone(sorting, stack, evidence.everything)
    _mention(sorting, evidence, stack, lacks)
    return Outcome(tuple(stack), lacks, _refusal(stack, lacks, rules))


def _readable(sorting: Sorting, evidence: Evidence) -> list[FileFacts]:
    """Steps 1 and 2: DICOM files by the configured rule, whose header and Pixel Data are whole."""
    return sorting.keep(
        evidence.everything, lambda f: candidates.candidacy(f, evidence.rules), candidates.readability
    )


def _fit(sorting: Sorting, evidence: Evidence, of_series: Sequence[FileFacts]) -> list[FileFacts]:
    """Step 7: what an image is by itself, and whether it fits beside the current one."""
    rejection = (fitness.rejection(evidence.rejected),) if evidence.rejected else ()
    images = sorting.keep(of_series, *rejection, fitness.by_itself())
    images = sorting.keep(images, fitness.beside(evidence.current))
    same_frame, oddity = fitness.frame_of_reference(evidence.current, images)
    if oddity:
        sorting.note(Code.FRAME_OF_REFERENCE_PER_SLICE, oddity)
    return sorting.keep(images, same_frame)


def _stack(
    sorting: Sorting, evidence: Evidence, images: Sequence[FileFacts], beside: Sequence[FileFacts]
) -> list[FileFacts]:
    """Step 8: one file for each image, one contrast, one stack."""
    images = duplicates.settle(sorting, images, beside, evidence.rules, evidence.pixels_agree)
    has_extent(images, evidence.current)
    images = sorting.keep(images, fitness.contrast(evidence.current))
    return of_current(sorting, images)


def _examine(
    sorting: Sorting, evidence: Evidence, stack: Sequence[FileFacts], of_series: Sequence[FileFacts]
) -> Completeness:
    """Step 9: what the stack lacks by number and position."""
    taken = {f.instance_number for f in of_series if sorting.reason(f) in OTHER_NUMBERS}
    known = [instance for instance in evidence.known if instance.sop_instance_uid not in evidence.rejected]
    return examine(stack, evidence.current, of_series, {n for n in taken if n is not None}, known)


def _adopted(
    sorting: Sorting,
    evidence: Evidence,
    stack: Sequence[FileFacts],
    lacks: Completeness,
    readable: Sequence[FileFacts],
) -> list[FileFacts]:
    """Return the images without Series Instance UID that fill holes, where the rules allow it (B6)."""
    if not evidence.rules.adopt_unlabelled or not lacks.holes:
        return []
    current = evidence.current
    unlabelled = [f for f in readable if sorting.reason(f) == Code.SERIES_UID_MISSING]
    fitting = sorting.keep(
        unlabelled,
        lambda f: identity.auxiliary(current.header, f.header, evidence.rules),
        lambda f: filling.adoptable(current.header, f.header),
        fitness.rejection(evidence.rejected),
        fitness.by_itself(),
        fitness.beside(current),
        fitness.contrast(current),
    )
    only_holes = Completeness(holes=tuple(hole for hole in lacks.holes if not hole.between_mm))
    adopted = filling.choose(sorting, stack, only_holes, fitting) if len(stack) > 1 else []
    for image in adopted:
        sorting.admit(image)
        sorting.note(
            Code.ADOPTED, f"{image.path.name} has no Series Instance UID and fits number and position"
        )
    return adopted


def _mention(sorting: Sorting, evidence: Evidence, stack: Sequence[FileFacts], lacks: Completeness) -> None:
    """Add what excludes nothing and must not be kept silent."""
    bare = sum(not image.preamble for image in stack)
    if bare:
        sorting.note(Code.NO_PREAMBLE, f"{counted(bare, 'file')} without preamble and DICM")
    for keyword in evidence.rules.auxiliary:
        present = keyword in evidence.current.header
        count = sum((keyword in image.header) != present for image in stack)
        if count:
            sorting.note(
                Code.AUXILIARY_MISSING,
                f"{keyword}: {counted(count, 'image')} and the current one differ in having it",
            )
    sorting.notes += lacks.notes


def _refusal(stack: Sequence[FileFacts], lacks: Completeness, rules: SelectionRules) -> Refused | None:
    """Steps 9 and 10: return what ends the request after all searches; holes first, then the count."""
    if lacks.holes and not _may_fill(lacks, rules):
        return _missing(stack, lacks, rules)
    if len(stack) < rules.minimum_images:
        return _too_few(len(stack), rules)
    return None


def _may_fill(lacks: Completeness, rules: SelectionRules) -> bool:
    if rules.policy is Policy.INTERPOLATE:
        return lacks.longest_hole <= rules.interpolate_at_most
    return rules.policy is Policy.PAD


def _missing(stack: Sequence[FileFacts], lacks: Completeness, rules: SelectionRules) -> Refused:
    holes = lacks.holes
    total = len(stack) + len(holes)
    named = names(holes)
    sentence = f"{len(holes)} of {total} images {are(len(holes))} missing: {', '.join(named)}"
    if lacks.longest_hole > rules.interpolate_at_most:
        sentence += (
            f"; {lacks.longest_hole} in a row, at most {rules.interpolate_at_most} may be interpolated"
        )
    if len(stack) < rules.minimum_images:
        sentence += (
            f"; {counted(len(stack), 'image')} {are(len(stack))} here, {rules.minimum_images} are needed"
        )
    count = f"{len(holes)} of {total}"
    room = ERROR_COMMENT_LENGTH - len(f"{Code.MISSING_INSTANCES}: {count} ()")
    return Refused(Code.MISSING_INSTANCES, f"{sentence}.", comment=f"{count} ({_fitting(named, room)})")


def _fitting(named: Sequence[str], room: int) -> str:
    """Join as many names as *room* characters hold."""
    text = ", ".join(named)
    if len(text) <= room:
        return text
    shown = text[: room - len("...")].rpartition(", ")[0]
    return f"{shown}, ..." if shown else "..."


def _too_few(count: int, rules: SelectionRules) -> Refused:
    return Refused(
        Code.TOO_FEW_IMAGES,
        f"{counted(count, 'image')} belong{'s' if count == 1 else ''} to the series of the current image, "
        f"{rules.minimum_images} are needed.",
        comment=f"{count} of {rules.minimum_images}",
    )


def _evidence(
    current: FileFacts,
    facts: Sequence[FileFacts],
    found: Sequence[FileFacts],
    known: Sequence[KnownInstance],
    rejected: Collection[str],
    rules: SelectionRules,
    pixels_agree: PixelsAgree,
) -> Evidence:
    """Gather the evidence, each file once: what lies in the folder was not found elsewhere."""
    here = {place(image): image for image in (current, *facts)}
    elsewhere = {place(image): image for image in found if place(image) not in here}
    return Evidence(
        current, list(here.values()), list(elsewhere.values()), known, rejected, rules, pixels_agree
    )


def _report(
    sorting: Sorting, evidence: Evidence, outcome: Outcome, searches: Sequence[Search]
) -> SelectionReport:
    used = {place(image) for image in outcome.stack}
    refusal = outcome.refusal
    undecided = Finding(Code.UNDECIDED, UNDECIDED_BECAUSE) if refusal else FITS
    normal = _normal(evidence.current.header)
    chosen = Finding(Code.USED)
    rows = tuple(
        _row(image, chosen if place(image) in used else sorting.finding(image, undecided), normal)
        for image in evidence.everything
    )
    return SelectionReport(
        current=evidence.current,
        rules=evidence.rules,
        rows=rows,
        stack=outcome.stack,
        missing=outcome.lacks.missing,
        notes=tuple(sorting.notes),
        searches=tuple(searches),
        verdict=refusal.code if refusal else Code.OK,
        numbers=refusal.comment if refusal else "",
        sentence=refusal.sentence if refusal else "",
    )


def _row(image: FileFacts, finding: Finding, normal: tuple[float, ...]) -> ReportRow:
    position = image.header.numbers("ImagePositionPatient") if normal else ()
    return ReportRow(
        path=image.path,
        reason=finding.code,
        detail=finding.detail,
        sop_instance_uid=image.sop_instance_uid,
        instance_number=image.instance_number,
        position_mm=dot(normal, position) if len(position) == 3 else None,
        frame=image.frame,
    )


def _normal(header: Header) -> tuple[float, ...]:
    cosines = header.numbers("ImageOrientationPatient")
    return cross(cosines[:3], cosines[3:]) if len(cosines) == 6 else ()
