"""Which found image fills which place (step 9; B6, D11, D13, D14): position and number, never one alone.

What is offered has passed the checks of identity, fitness and contrast like any other file. It is used
only where something lacks: in a hole, at an end that is known to lack, or anywhere along the line where
the current image is the only one of its series. In a hole between different steps the position is a guess:
there an image of the missing number fits wherever between the neighbours it leaves steps that are explained.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scp.errors import Code, Refused
from scp.model import HEADER_KEYWORDS, FileFacts, Header, Missing
from scp.selection.completeness import Completeness
from scp.selection.sorting import FITS, Finding, Sorting, image_key, in_fixed_order
from scp.selection.stack import (
    Floats,
    first_voxels_mm,
    flaw_of,
    ordered,
    position_mm,
    positions_along_mm,
)
from scp.selection.thresholds import OFF_LINE_PIXELS, SAME_POSITION_MM, STEP_JITTER

ADOPTION = ("SeriesNumber", "Modality", "PatientID", "FrameOfReferenceUID")
"""What an image without Series Instance UID must have, and equal, to be taken into a series."""

NAMELESS = -1
"""The place of an image at an end of which only a count is known."""

OF_ITS_OWN = frozenset({"SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "SpecificCharacterSet"})
"""What two images of one series need not share: no evidence in a comparison of candidates."""


def adoptable(current: Header, other: Header) -> Finding:
    """Object to an unlabelled image that does not say whose it is by four attributes (B6)."""
    for keyword in ADOPTION:
        if keyword not in other or other.text(keyword) != current.text(keyword):
            return Finding(Code.SERIES_UID_MISSING, f"{keyword} does not say that it belongs here")
    return FITS


class _Places:
    """Where something lacks, and whether an image is what lacks there: computed once for all candidates."""

    def __init__(self, stack: Sequence[FileFacts], lacks: Completeness, current: FileFacts) -> None:
        self._missing = lacks.missing
        self._current = current
        self._along = positions_along_mm(stack, current)
        self._stack = stack
        self._guessed = {m.instance_number: i for i, m in enumerate(lacks.missing) if m.between_mm}
        self._expected = [
            i
            for i, m in enumerate(lacks.missing)
            if m.image_position_patient is not None and not m.between_mm
        ]
        placed = [lacks.missing[i] for i in self._expected]
        self._at_mm = np.array([m.position_mm for m in placed], float)
        self._points = np.array([m.image_position_patient for m in placed], float).reshape(-1, 3)
        self._tolerance_mm = STEP_JITTER * self._units_mm()
        self._beside_mm = np.maximum(
            self._tolerance_mm, OFF_LINE_PIXELS * max(current.header.numbers("PixelSpacing"))
        )

    def _units_mm(self) -> Floats:
        """Return how far the nearest slice, here or missing, is from each expected position."""
        slices = np.sort(np.concatenate([self._along, self._at_mm]))
        steps = np.diff(slices, prepend=-np.inf, append=np.inf)
        k = np.searchsorted(slices, self._at_mm)
        units: Floats = np.minimum(steps[k], steps[k + 1])
        return units

    def claimed_by(self, image: FileFacts) -> int | None:
        """Return the index in ``missing`` of the place that the image fills, :data:`NAMELESS` for an end that
        only a count tells of, ``None`` where nothing waits for it."""
        at = position_mm(image, self._current)
        point = first_voxels_mm([image])[0]
        near = (np.abs(self._at_mm - at) <= self._tolerance_mm) & (
            np.linalg.norm(self._points - point, axis=1) <= self._beside_mm
        )
        for index in np.array(self._expected)[near]:
            if _agrees(self._missing[index].instance_number, image.instance_number):
                return int(index)
        guessed = self._guessed.get(image.instance_number)
        if guessed is not None and self._lies_between(self._missing[guessed], at, point):
            return guessed
        if self._along[0] - SAME_POSITION_MM < at < self._along[-1] + SAME_POSITION_MM:
            return None
        return self._end_named_by(image)

    def _lies_between(self, missing: Missing, at: float, point: Floats) -> bool:
        """Tell whether a first voxel lies on the line between the neighbours of a guessed position."""
        k = missing.before
        low, high = self._along[k - 1 : k + 1]
        if not low + SAME_POSITION_MM <= at <= high - SAME_POSITION_MM:
            return False
        ends = first_voxels_mm(self._stack[k - 1 : k + 1])
        on_line = ends[0] + (at - low) / (high - low) * (ends[1] - ends[0])
        beside = float(np.linalg.norm(point - on_line))
        return beside <= OFF_LINE_PIXELS * max(self._current.header.numbers("PixelSpacing"))

    def _end_named_by(self, image: FileFacts) -> int | None:
        unplaced = [(i, m) for i, m in enumerate(self._missing) if m.position_mm is None]
        for index, end in unplaced:
            if image.sop_instance_uid == end.sop_instance_uid:
                return index
            if end.instance_number is not None and end.instance_number == image.instance_number:
                return index
        nameless = any(not end.sop_instance_uid and end.instance_number is None for _, end in unplaced)
        return NAMELESS if nameless else None

    def objection(self, image: FileFacts) -> Finding:
        """Say why an image fills nothing."""
        at = position_mm(image, self._current)
        for missing in self._missing:
            if missing.instance_number is not None and missing.instance_number == image.instance_number:
                told = f"number {image.instance_number} is at {at:.3f} mm, expected {_where(missing)}"
                return Finding(Code.POSITION_DIFFERS, told)
        return Finding(Code.POSITION_DIFFERS, f"nothing of its number is missing at {at:.3f} mm")


def _where(missing: Missing) -> str:
    if missing.between_mm:
        low, high = missing.between_mm
        return f"between {low:.3f} and {high:.3f} mm, with steps like those around"
    return "at unknown" if missing.position_mm is None else f"at {missing.position_mm:.3f} mm"


def _agrees(expected: int | None, number: int | None) -> bool:
    return expected is None or number is None or expected == number


def choose(
    sorting: Sorting, stack: Sequence[FileFacts], lacks: Completeness, offered: Sequence[FileFacts]
) -> list[FileFacts]:
    """Return the offered images that are used; the others become ``duplicate`` or ``position-differs``.

    Raises ``Refused(candidate-conflict)`` where two claim one place and their headers agree equally well.
    """
    if not offered:
        return []
    present = {image_key(image) for image in stack}
    fresh = []
    for image in in_fixed_order(offered):
        if image_key(image) in present:
            sorting.exclude(image, Finding(Code.DUPLICATE, "a copy of an image that is here"))
        else:
            fresh.append(image)
    if len(stack) == 1 or not fresh:
        return fresh
    places = _Places(stack, lacks, sorting.current)
    claims: dict[int, list[FileFacts]] = defaultdict(list)
    for image in fresh:
        index = places.claimed_by(image)
        if index is None:
            sorting.exclude(image, places.objection(image))
        else:
            claims[index].append(image)
    chosen = claims.pop(NAMELESS, [])
    guessed: dict[int, list[list[FileFacts]]] = defaultdict(list)
    for index in sorted(claims):
        winners, missing = _best(sorting, claims[index], lacks.missing[index]), lacks.missing[index]
        if missing.between_mm:
            guessed[missing.before].append(winners)
        else:
            chosen += winners
    for in_one_hole in guessed.values():
        winners = [image for files in in_one_hole for image in files]
        if _go_on([files[0] for files in in_one_hole], stack, sorting.current):
            chosen += winners
        else:
            for image in winners:
                sorting.exclude(image, places.objection(image))
    return chosen


def _go_on(images: Sequence[FileFacts], stack: Sequence[FileFacts], current: FileFacts) -> bool:
    """Tell whether images, by the numbers of one hole, stand in its order and leave a sound stack."""
    in_order = bool((np.diff(positions_along_mm(images, current)) > 0).all())
    return in_order and not flaw_of(ordered([*stack, *images], current), current)


def _best(sorting: Sorting, rivals: Sequence[FileFacts], missing: Missing) -> list[FileFacts]:
    """Return the files of the one image among *rivals* whose header agrees in most with the current one."""
    agreeing = {image_key(r): _agreement(sorting.current.header, r.header) for r in rivals}
    best = max(agreeing.values())
    winners = [key for key, value in agreeing.items() if value == best]
    if len(winners) > 1:
        where = "an end" if missing.position_mm is None else f"{missing.position_mm:.1f} mm"
        raise Refused(
            Code.CANDIDATE_CONFLICT,
            f"{len(winners)} different images claim the place at {where}, and their headers agree equally "
            f"well: {', '.join(str(r.path) for r in rivals)}. Remove the wrong one.",
            comment=f"{len(winners)} images for {where}",
        )
    for rival in rivals:
        if image_key(rival) != winners[0]:
            sorting.exclude(rival, Finding(Code.POSITION_DIFFERS, "another image fits its place better"))
    return [rival for rival in rivals if image_key(rival) == winners[0]]


def _agreement(current: Header, other: Header) -> int:
    """Return in how many attributes two headers agree, less those in which they differ."""
    score = 0
    for keyword in HEADER_KEYWORDS:
        ours, theirs = current.get(keyword), other.get(keyword)
        if keyword not in OF_ITS_OWN and ours is not None and theirs is not None:
            score += 1 if ours == theirs else -1
    return score
