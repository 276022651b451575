"""The one stack of the current image among images that fit beside it (step 8; S1 to S6, B9).

A stack is a row of images at different places along one line, in steps that can be explained. Where the
images of a series do not make one, an attribute may tell several stacks apart (echoes, phases, two
acquisitions): that which gives the current image the largest sound stack is believed. Where none does,
the request is refused with what is wrong. Order is by position along the normal (PS3.3 C.7.6.2.1.1),
never by Instance Number or Slice Location.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scp.errors import Code, Refused
from scp.model import CONTRAST_KEYWORDS, FileFacts, Header
from scp.selection import spacing
from scp.selection.fitness import cross, orientation, same_contrast
from scp.selection.sorting import FITS, Finding, Sorting, in_fixed_order, place
from scp.selection.thresholds import NEIGHBOURHOOD, OFF_LINE_PIXELS, SAME_POSITION_MM, STEP_JITTER

Floats = npt.NDArray[np.float64]

ALONE_AMONG = frozenset(
    {
        Code.OTHER_ORIENTATION,
        Code.OTHER_MATRIX,
        Code.OTHER_PIXEL_SPACING,
        Code.OTHER_PIXEL_FORMAT,
        Code.OTHER_FRAME_OF_REFERENCE,
        Code.OTHER_STACK,
    }
)
"""Reasons by which the rest of a series can leave a mislabelled current image alone."""

TELLS_STACKS_APART = (
    *CONTRAST_KEYWORDS,
    "TriggerTime",
    "TemporalPositionIndex",
    "AcquisitionNumber",
    "SeriesDescription",
    "ProtocolName",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "SliceThickness",
    "SOPClassUID",
    "SeriesNumber",
    "FrameReferenceTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "SeriesTime",
    "ContentTime",
)
"""By what stacks of one series differ, the surest first; here a value differs from none as well."""

REFUSALS = {
    Code.AMBIGUOUS_STACK: "several images lie at one place and no attribute tells them apart",
    Code.NOT_A_STACK: "the images do not lie along one line",
    Code.IRREGULAR_SPACING: "a step between two slices is neither jitter, hole, regime nor junction",
}


def normal(header: Header) -> Floats:
    """Return row x column of Image Orientation (Patient), a unit vector."""
    cosines = orientation(header)
    across = np.array(cross(cosines[:3], cosines[3:]))
    unit: Floats = across / np.linalg.norm(across)
    return unit


def first_voxels_mm(images: Sequence[FileFacts]) -> Floats:
    """Return Image Position (Patient) of each image, (n, 3) mm."""
    return np.array([image.header.get("ImagePositionPatient") for image in images], float).reshape(-1, 3)


def positions_along_mm(images: Sequence[FileFacts], current: FileFacts) -> Floats:
    """Return how far each image lies along the normal of the current one, (n,) mm from the origin."""
    along: Floats = first_voxels_mm(images) @ normal(current.header)
    return along


def position_mm(image: FileFacts, current: FileFacts) -> float:
    """Return where one image lies along the normal of the current one, mm from the origin."""
    return float(positions_along_mm([image], current)[0])


def ordered(images: Sequence[FileFacts], current: FileFacts) -> list[FileFacts]:
    """Return the images by position along the normal, those at one position in a fixed order."""
    along = positions_along_mm(images, current)
    if len(np.unique(along)) < len(along):
        images = in_fixed_order(images)
        along = positions_along_mm(images, current)
    return [images[k] for k in np.argsort(along, kind="stable")]


def of_current(sorting: Sorting, images: Sequence[FileFacts]) -> list[FileFacts]:
    """Return the stack of the current image, ordered; the others of *images* become ``other-stack``.

    Raises ``Refused`` with ambiguous-stack, not-a-stack or irregular-spacing.
    """
    current = sorting.current
    stack = ordered(images, current)
    flaw = flaw_of(stack, current)
    if flaw or _torn(stack, current):
        keyword, chosen = _divided(stack, current)
        if chosen:
            _leave(sorting, stack, chosen, keyword)
            stack = chosen
        elif flaw:
            raise Refused(
                flaw.code, f"No volume: {REFUSALS[Code(flaw.code)]}: {flaw.detail}.", comment=_short(flaw)
            )
    return stack


def has_extent(images: Sequence[FileFacts], current: FileFacts) -> None:
    """Raise ``Refused(no-extent)`` where several images all lie at one place."""
    if len(images) > 1 and np.ptp(positions_along_mm(images, current)) < SAME_POSITION_MM:
        raise Refused(
            Code.NO_EXTENT,
            f"All {len(images)} images lie at one position along their normal: there is no volume.",
            comment=f"{len(images)} images at one position",
        )


def not_alone(sorting: Sorting, stack: Sequence[FileFacts], others: Sequence[FileFacts]) -> None:
    """Raise ``Refused(current-image-alone)`` where the rest of the series agrees, but not with it (B9)."""
    if len(stack) > 1:
        return
    rest = [image for image in others if sorting.reason(image) in ALONE_AMONG]
    shapes = Counter((_shape(image), _direction(image)) for image in rest)
    if shapes and max(shapes.values()) > 1:
        count = max(shapes.values())
        raise Refused(
            Code.CURRENT_IMAGE_ALONE,
            f"{count} images of the series agree with each other, and not with the current image "
            f"{sorting.current.path}: its Series Instance UID may be wrong.",
            comment=f"{count} others agree with each other",
        )


def flaw_of(stack: Sequence[FileFacts], current: FileFacts) -> Finding:
    """Return why ordered images are no stack, or nothing: positions repeat, leave the line, or jump."""
    along = positions_along_mm(stack, current)
    steps = np.diff(along)
    if len(repeats := np.flatnonzero(steps < SAME_POSITION_MM)):
        k = int(repeats[0])
        return Finding(
            Code.AMBIGUOUS_STACK,
            f"{stack[k].path.name} and {stack[k + 1].path.name} both lie at {along[k]:.3f} mm",
        )
    off_mm, k = _off_line(stack, along)
    if off_mm > OFF_LINE_PIXELS * max(current.header.numbers("PixelSpacing")):
        return Finding(
            Code.NOT_A_STACK, f"{stack[k].path.name} lies {off_mm:.3f} mm beside the line of the others"
        )
    explained = spacing.explain(along, [image.instance_number for image in stack])
    for step in explained.of_kind(spacing.Kind.IRREGULAR):
        k = step.index
        usual = float(explained.bases_mm[k])
        return Finding(
            Code.IRREGULAR_SPACING,
            f"{stack[k].path.name} to {stack[k + 1].path.name} is {steps[k]:.3f} mm, "
            f"{_neighbour_step(stack, steps, k, usual)}",
        )
    return FITS


def _neighbour_step(stack: Sequence[FileFacts], steps: Floats, k: int, usual_mm: float) -> str:
    """Say which step nearby is the usual one, with its files."""
    near = [j for j in range(len(steps)) if j != k and abs(steps[j] - usual_mm) <= STEP_JITTER * usual_mm]
    if not near:
        return f"the usual step {usual_mm:.3f} mm"
    j = min(near, key=lambda index: abs(index - k))
    return f"{stack[j].path.name} to {stack[j + 1].path.name} {steps[j]:.3f} mm"


def _off_line(stack: Sequence[FileFacts], along: Floats) -> tuple[float, int]:
    """Return the largest distance (mm) of a first voxel from the line through all, and whose it is."""
    if len(stack) < 3:
        return 0.0, 0
    points = first_voxels_mm(stack)
    centred = along - along.mean()
    slope = centred @ (points - points.mean(axis=0)) / (centred @ centred)
    beside = points - points.mean(axis=0) - np.outer(centred, slope)
    off = np.linalg.norm(beside, axis=1)
    worst = int(off.argmax())
    return float(off[worst]), worst


def _torn(stack: Sequence[FileFacts], current: FileFacts) -> bool:
    """Tell whether two whole acquisitions are parted by a hole or lie between each other (S2).

    A hole counts of which the numbers know nothing; lying between each other counts where it makes the
    steps vary and the numbers do not go on through it.
    """
    acquisitions = [image.header.integer("AcquisitionNumber") for image in stack]
    sizes = Counter(acquisitions)
    if len(sizes) == 1:
        return False
    explained = spacing.explain(
        positions_along_mm(stack, current), [image.instance_number for image in stack]
    )
    unnumbered = explained.numbering is not spacing.Numbering.ORDERED
    if explained.varies and unnumbered and _interleaved(acquisitions):
        return True
    return any(
        acquisitions[step.index] != acquisitions[step.index + 1]
        and sizes[acquisitions[step.index]] >= NEIGHBOURHOOD
        and sizes[acquisitions[step.index + 1]] >= NEIGHBOURHOOD
        for step in explained.of_kind(spacing.Kind.HOLE)
    )


def _interleaved(acquisitions: Sequence[int | None]) -> bool:
    """Tell whether two of the larger acquisitions, told in the order of the positions, overlap."""
    sizes = Counter(acquisitions)
    large = [number for number, size in sizes.items() if size >= NEIGHBOURHOOD]
    last = len(acquisitions) - 1
    spans = sorted((acquisitions.index(n), last - acquisitions[::-1].index(n)) for n in large)
    return any(ends > begins for (_, ends), (begins, _) in pairwise(spans))


def _divided(stack: Sequence[FileFacts], current: FileFacts) -> tuple[str, list[FileFacts]]:
    """Return the attribute that gives the current image the largest sound stack, and that stack."""
    best: tuple[str, list[FileFacts]] = ("", [])
    for keyword in TELLS_STACKS_APART:
        group = [image for image in stack if _same_group(keyword, current.header, image.header)]
        smaller = len(group) <= max(1, len(best[1])) or len(group) == len(stack)
        if not smaller and not flaw_of(group, current) and not _torn(group, current):
            best = keyword, group
    return best


def _same_group(keyword: str, current: Header, other: Header) -> bool:
    ours, theirs = current.get(keyword), other.get(keyword)
    if ours is None or theirs is None:
        return ours is theirs
    return ours == theirs or same_contrast(keyword, current, other)


def _leave(sorting: Sorting, stack: Sequence[FileFacts], chosen: Sequence[FileFacts], keyword: str) -> None:
    kept = {place(image) for image in chosen}
    ours = sorting.current.header.text(keyword) or "none"
    for image in stack:
        if place(image) not in kept:
            theirs = image.header.text(keyword) or "none"
            sorting.exclude(image, Finding(Code.OTHER_STACK, f"{keyword} {theirs} is not {ours}"))


def _short(flaw: Finding) -> str:
    """Return the numbers of a flaw without the names of files, for Error Comment."""
    words = flaw.detail.split()
    return ", ".join(f"{a} mm" for a, b in pairwise(words) if b.rstrip(",") == "mm")


def _shape(image: FileFacts) -> tuple[object, ...]:
    header = image.header
    return header.get("Rows"), header.get("Columns"), header.get("PixelSpacing")


def _direction(image: FileFacts) -> tuple[float, ...]:
    return tuple(round(cosine, 2) for cosine in orientation(image.header))
