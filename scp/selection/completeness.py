"""What a stack lacks: numbers and positions joined (step 9, group D), and which found image fills what.

``Missing`` lists the holes first, in the order of their positions, then known ends. A hole has slices on
both sides and must be filled or refused; lacking ends are searched for and then reconstructed without.
Expected positions lie on the straight line between the two neighbours; where the steps on both sides differ
they are a guess, and what is known is that the slice lies between the two.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scp.errors import Code
from scp.model import FileFacts, KnownInstance, Missing, Note
from scp.selection.spacing import Kind, Numbering, Spacing, Step, explain
from scp.selection.stack import first_voxels_mm, normal, positions_along_mm
from scp.selection.thresholds import GANTRY_TILT_DEGREES, LOST_IN_ALL, STEP_JITTER


@dataclass(frozen=True, slots=True)
class Completeness:
    """What lacks inside and at the ends of one ordered stack, and what is worth a note."""

    holes: tuple[Missing, ...] = ()
    ends: tuple[Missing, ...] = ()
    notes: tuple[Note, ...] = ()
    longest_hole: int = 0

    @property
    def missing(self) -> tuple[Missing, ...]:
        return self.holes + self.ends


def examine(
    stack: Sequence[FileFacts],
    current: FileFacts,
    of_series: Sequence[FileFacts],
    taken: Collection[int],
    known: Sequence[KnownInstance],
) -> Completeness:
    """Return what *stack*, ordered by position, lacks.

    *of_series* are the readable images of the series, whatever stack they belong to; *taken* are the Instance
    Numbers of those that belong to another one. *known* is what an index or peers hold of the series.
    """
    along = positions_along_mm(stack, current)
    numbers = [image.instance_number for image in stack]
    spaced = explain(along, numbers, taken)
    here = {image.sop_instance_uid for image in of_series} if known else ()
    known = [instance for instance in known if instance.sop_instance_uid not in here]
    uids = {instance.instance_number: instance.sop_instance_uid for instance in known}
    holes = _holes(stack, along, spaced, uids)
    unplaced = _unplaced(numbers, spaced, taken)
    if len(unplaced) == len(holes) == 1 and holes[0].instance_number is None:
        (number,) = unplaced
        holes = (replace(holes[0], instance_number=number, sop_instance_uid=uids.get(number, "")),)
        unplaced = ()
    ends = _ends(stack, along, spaced, of_series, known, len(holes))
    skips = len(unplaced) or len(spaced.of_kind(Kind.NUMBERING_GAP))
    notes = _notes(stack, current, spaced, skips, ends)
    longest = max((step.units - 1 for step in spaced.steps), default=0)
    return Completeness(holes, ends, notes, longest)


def _holes(
    stack: Sequence[FileFacts], along: np.ndarray, spaced: Spacing, uids: dict[int | None, str]
) -> tuple[Missing, ...]:
    """Return the missing slices between two that are here, in the order of their positions."""
    points = first_voxels_mm(stack)
    holes = []
    for step in spaced.steps:
        if step.kind not in (Kind.EVEN, Kind.HOLE, Kind.JUNCTION):
            continue
        k = step.index
        between = (float(along[k]), float(along[k + 1])) if _is_guessed(step, spaced) else None
        for i, fraction in enumerate(_fractions(step, spaced, float(along[k + 1] - along[k]))):
            x, y, z = points[k] + fraction * (points[k + 1] - points[k])
            number = step.numbers[i] if step.numbers else None
            holes.append(
                Missing(
                    instance_number=number,
                    position_mm=float(along[k] + fraction * (along[k + 1] - along[k])),
                    image_position_patient=(float(x), float(y), float(z)),
                    sop_instance_uid=uids.get(number, "") if number is not None else "",
                    before=k + 1,
                    between_mm=between,
                )
            )
    return tuple(holes)


def _fractions(step: Step, spaced: Spacing, step_mm: float) -> list[float]:
    """Return where between two slices the lost ones lay: evenly, or by the regimes on either side."""
    even = [i / step.units for i in range(1, step.units)]
    before_mm = float(spaced.bases_mm[max(step.index - 1, 0)])
    after_mm = float(spaced.bases_mm[min(step.index + 1, len(spaced.bases_mm) - 1)])
    if abs(before_mm - after_mm) <= STEP_JITTER * min(before_mm, after_mm):
        return even
    for first in range(1, step.units):
        total_mm = first * before_mm + (step.units - first) * after_mm
        if abs(total_mm - step_mm) <= STEP_JITTER * min(before_mm, after_mm):
            sizes = [before_mm] * first + [after_mm] * (step.units - first)
            return [float(place) / total_mm for place in np.cumsum(sizes)[:-1]]
    return even


def _is_guessed(step: Step, spaced: Spacing) -> bool:
    """Tell whether numbers name what lacks, and the unit steps around do not tell where it lay.

    A junction that is here ends the other regime: the gap beside it lies in one.
    """
    if not step.numbers or step.kind is Kind.JUNCTION:
        return bool(step.numbers)
    junctions = {other.index for other in spaced.of_kind(Kind.JUNCTION)}
    around = {max(step.index - 1, 0), step.index, min(step.index + 1, len(spaced.bases_mm) - 1)}
    units_mm = spaced.bases_mm[sorted(around - junctions)]
    return bool(np.ptp(units_mm) > STEP_JITTER * units_mm.min())


def _unplaced(numbers: Sequence[int | None], spaced: Spacing, taken: Collection[int]) -> tuple[int, ...]:
    """Return the numbers that an unordered numbering leaves out; nothing tells where they belong."""
    if spaced.numbering is not Numbering.UNORDERED:
        return ()
    present = {number for number in numbers if number is not None}
    span = range(min(present), max(present) + 1)
    if len(span) > LOST_IN_ALL:
        return ()
    return tuple(number for number in span if number not in present and number not in taken)


def _ends(
    stack: Sequence[FileFacts],
    along: np.ndarray,
    spaced: Spacing,
    of_series: Sequence[FileFacts],
    known: Sequence[KnownInstance],
    holes: int,
) -> tuple[Missing, ...]:
    """Return what lacks before the first and behind the last slice, as far as anybody said so (D6)."""
    present = {image.instance_number for image in stack if image.instance_number is not None}
    inside = range(min(present), max(present) + 1) if present else range(0)
    told = {
        instance.sop_instance_uid: instance.instance_number
        for instance in known
        if instance.instance_number not in inside
    }
    ends = [_end(stack, along, spaced, number, uid) for uid, number in told.items()]
    lacking = min(_count_said(stack, of_series, holes) - len(ends), LOST_IN_ALL)
    if lacking > 0:
        numbers: list[int | None] = [*_numbers_at_ends(present, lacking)] if not ends else []
        ends += [_end(stack, along, spaced, number, "") for number in numbers or [None] * lacking]
    return tuple(
        sorted(ends, key=lambda end: (end.before, end.instance_number is None, end.instance_number or 0))
    )


def _count_said(stack: Sequence[FileFacts], of_series: Sequence[FileFacts], holes: int) -> int:
    """Return how many images more than are here the headers promise, 0 where they do not say.

    Images in Acquisition (PS3.3 C.7.6.1) counts one acquisition, whatever stacks it made; Number of Slices
    (C.8.9.1) the slices of one PET stack. Where either varies inside the stack it says nothing.
    """
    slices, promised = (_said_by_all(stack, keyword) for keyword in ("NumberOfSlices", "ImagesInAcquisition"))
    if slices:
        return max(0, slices - len(stack) - holes)
    if not promised or len({image.header.get("AcquisitionNumber") for image in stack}) > 1:
        return 0
    acquisition = stack[0].header.get("AcquisitionNumber")
    same = {i.sop_instance_uid for i in of_series if i.header.get("AcquisitionNumber") == acquisition}
    return max(0, promised - len(same) - holes)


def _said_by_all(stack: Sequence[FileFacts], keyword: str) -> int | None:
    """Return the whole number that every image of the stack gives for *keyword*, else ``None``."""
    said = {image.header.get(keyword) for image in stack}
    return stack[0].header.integer(keyword) if len(said) == 1 else None


def _numbers_at_ends(present: set[int], lacking: int) -> list[int]:
    """Return the numbers that lack where counting from one leaves only one way to have them."""
    if not present:
        return []
    first, last = min(present), max(present)
    if first - 1 == lacking:
        return list(range(1, first))
    return list(range(last + 1, last + 1 + lacking)) if first in (0, 1) else []


def _end(
    stack: Sequence[FileFacts], along: np.ndarray, spaced: Spacing, number: int | None, uid: str
) -> Missing:
    """Return one image beyond the first or last slice, with its position where the numbers tell it."""
    if number is None or spaced.numbering is not Numbering.ORDERED or len(stack) < 2:
        return Missing(instance_number=number, sop_instance_uid=uid, before=len(stack))
    first, last = stack[0].instance_number or 0, stack[-1].instance_number or 0
    at_end = (number > last) == (last > first)
    k, inner = (len(stack) - 1, len(stack) - 2) if at_end else (0, 1)
    beyond = abs(number - (last if at_end else first))
    points = first_voxels_mm([stack[k], stack[inner]])
    unit_mm = float(spaced.bases_mm[-1 if at_end else 0])
    direction = (points[0] - points[1]) / abs(along[k] - along[inner])
    x, y, z = points[0] + beyond * unit_mm * direction
    return Missing(
        instance_number=number,
        position_mm=float(along[k] + (1 if at_end else -1) * beyond * unit_mm),
        image_position_patient=(float(x), float(y), float(z)),
        sop_instance_uid=uid,
        before=len(stack) if at_end else 0,
    )


def _notes(
    stack: Sequence[FileFacts],
    current: FileFacts,
    spaced: Spacing,
    skips: int,
    ends: Sequence[Missing],
) -> tuple[Note, ...]:
    notes = []
    if spaced.numbering is Numbering.UNUSABLE and len(stack) > 1:
        notes.append(Note(Code.NUMBERING_UNUSABLE, "Instance Numbers are absent or repeated"))
    if skips:
        notes.append(Note(Code.NUMBERING_GAP, f"Instance Numbers skip {skips} times where no position does"))
    if ends:
        notes.append(Note(Code.ENDS_MISSING, f"{len(ends)} more images are said to exist"))
    if spaced.varies:
        smallest, largest = spaced.units_mm.min(), spaced.units_mm.max()
        notes.append(Note(Code.VARIABLE_SPACING, f"steps from {smallest:.3f} to {largest:.3f} mm"))
    degrees = tilt_degrees(stack, current)
    if degrees > GANTRY_TILT_DEGREES:
        notes.append(Note(Code.GANTRY_TILT, f"{degrees:.1f} degree"))
    return tuple(notes)


def tilt_degrees(stack: Sequence[FileFacts], current: FileFacts) -> float:
    """Return the angle between the line of the first voxels and the normal of the images."""
    if len(stack) < 2:
        return 0.0
    points = first_voxels_mm([stack[0], stack[-1]])
    line = points[1] - points[0]
    across = normal(current.header)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(across, line)), across @ line)))
