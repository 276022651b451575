"""Which found image fills which place (step 9; B6, D11, D13, D14): position and number, never one alone.

What is offered has passed the checks of identity, fitness and contrast like any other file. It is used
only where something lacks: in a hole, at an end that is known to lack, or anywhere along the line where
the current image is the only one of its series.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scp.errors import Code, Refused
from scp.model import HEADER_KEYWORDS, FileFacts, Header, Missing
from scp.selection.completeness import Completeness
from scp.selection.sorting import FITS, Finding, Sorting, identity, in_fixed_order
from scp.selection.stack import first_voxels_mm, positions_along_mm
from scp.selection.thresholds import OFF_LINE_PIXELS, SAME_POSITION_MM, STEP_JITTER

ADOPTION = ("SeriesNumber", "Modality", "PatientID", "FrameOfReferenceUID")
"""What an image without Series Instance UID must have, and equal, to be taken into a series."""

OF_ITS_OWN = frozenset({"SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "SpecificCharacterSet"})
"""What two images of one series need not share: no evidence in a comparison of candidates."""


def adoptable(current: Header, other: Header) -> Finding:
    """Object to an unlabelled image that does not say whose it is by four attributes (B6)."""
    for keyword in ADOPTION:
        if keyword not in other or other.text(keyword) != current.text(keyword):
            return Finding(Code.SERIES_UID_MISSING, f"{keyword} does not say that it belongs here")
    return FITS


def choose(
    sorting: Sorting, stack: Sequence[FileFacts], lacks: Completeness, offered: Sequence[FileFacts]
) -> list[FileFacts]:
    """Return the offered images that are used; the others become ``duplicate`` or ``position-differs``.

    Raises ``Refused(candidate-conflict)`` where two claim one place and their headers agree equally well.
    """
    present = {identity(image) for image in stack}
    fresh = []
    for image in in_fixed_order(offered):
        if identity(image) in present:
            sorting.exclude(image, Finding(Code.DUPLICATE, "a copy of an image that is here"))
        else:
            fresh.append(image)
    if len(stack) == 1:
        return fresh
    claims: dict[int, list[FileFacts]] = defaultdict(list)
    for image in fresh:
        index = _claimed(image, stack, lacks, sorting.current)
        if index is None:
            sorting.exclude(image, _not_needed(image, lacks, sorting.current))
        else:
            claims[index].append(image)
    chosen: list[FileFacts] = []
    for index in sorted(claims):
        chosen += _best(sorting, claims[index], lacks.missing[index]) if index >= 0 else claims[index]
    return chosen


def _claimed(
    image: FileFacts, stack: Sequence[FileFacts], lacks: Completeness, current: FileFacts
) -> int | None:
    """Return the index in ``lacks.missing`` of the place that the image fills, -1 for a nameless end."""
    for index, missing in enumerate(lacks.missing):
        if missing.position_mm is not None and fits(image, missing, stack, current):
            return index
    along = positions_along_mm(stack, current)
    at = float(positions_along_mm([image], current)[0])
    if along[0] - SAME_POSITION_MM < at < along[-1] + SAME_POSITION_MM:
        return None
    for index, missing in enumerate(lacks.missing):
        named = missing.sop_instance_uid or missing.instance_number
        same = missing.sop_instance_uid == image.sop_instance_uid or (
            missing.instance_number is not None and missing.instance_number == image.instance_number
        )
        if missing.position_mm is None and named and same:
            return index
    nameless = any(end.position_mm is None and end.instance_number is None for end in lacks.ends)
    return -1 if nameless else None


def fits(image: FileFacts, missing: Missing, stack: Sequence[FileFacts], current: FileFacts) -> bool:
    """Tell whether an image lies where *missing* is expected, and bears its number where both have one."""
    if missing.position_mm is None or missing.image_position_patient is None:
        return False
    if missing.instance_number is not None and image.instance_number not in (None, missing.instance_number):
        return False
    along = positions_along_mm(stack, current)
    at = float(positions_along_mm([image], current)[0])
    tolerance_mm = STEP_JITTER * float(np.median(np.diff(along)))
    beside = first_voxels_mm([image])[0] - np.array(missing.image_position_patient)
    off_line_mm = OFF_LINE_PIXELS * max(current.header.numbers("PixelSpacing"))
    return abs(at - missing.position_mm) <= tolerance_mm and float(np.linalg.norm(beside)) <= max(
        tolerance_mm, off_line_mm
    )


def _not_needed(image: FileFacts, lacks: Completeness, current: FileFacts) -> Finding:
    at = float(positions_along_mm([image], current)[0])
    for missing in lacks.missing:
        if missing.instance_number is not None and missing.instance_number == image.instance_number:
            where = "unknown" if missing.position_mm is None else f"{missing.position_mm:.3f} mm"
            return Finding(
                Code.POSITION_DIFFERS, f"number {image.instance_number} is at {at:.3f} mm, expected {where}"
            )
    return Finding(Code.POSITION_DIFFERS, f"nothing is missing at {at:.3f} mm")


def _best(sorting: Sorting, rivals: Sequence[FileFacts], missing: Missing) -> list[FileFacts]:
    """Return the files of the one image among *rivals* whose header agrees in most with the current one."""
    agreeing = {identity(r): _agreement(sorting.current.header, r.header) for r in rivals}
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
        if identity(rival) != winners[0]:
            sorting.exclude(rival, Finding(Code.POSITION_DIFFERS, "another image fits its place better"))
    return [rival for rival in rivals if identity(rival) == winners[0]]


def _agreement(current: Header, other: Header) -> int:
    """Return in how many attributes two headers agree, less those in which they differ."""
    score = 0
    for keyword in HEADER_KEYWORDS:
        ours, theirs = current.get(keyword), other.get(keyword)
        if keyword not in OF_ITS_OWN and ours is not None and theirs is not None:
            score += 1 if ours == theirs else -1
    return score
