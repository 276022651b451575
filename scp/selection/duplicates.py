"""One SOP Instance UID, several files (B11, B12, B14): copies, lossy copies, or a conflict.

A UID names one image for ever (PS3.5 section 9). Copies whose attributes agree are compared by their pixels;
where anything differs no copy is better than another, and nobody chooses by fit: a person decides.
"""

from collections import Counter
from collections.abc import Sequence

from pydicom import uid

from scp.errors import Code, Refused
from scp.model import FileFacts, PixelsAgree, SelectionRules
from scp.selection.fitness import geometry, other_contrast
from scp.selection.identity import belongs, same_value
from scp.selection.sorting import FITS, Finding, FrameKey, Sorting, image_key, in_fixed_order, place

COMPARED = (
    "SOPClassUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "FrameOfReferenceUID",
)
"""What copies of one image have in common whatever their compression."""

COMPARED_IF_LOSSLESS = ("RescaleSlope", "RescaleIntercept")

LOSSY_SYNTAXES = frozenset(
    {
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLSNearLossless,
        uid.JPEG2000,
    }
)
"""Syntaxes that may lose; JPEG 2000 is asked for its Lossy Image Compression attribute as well."""


def same_stored_pixels(one: FileFacts, other: FileFacts) -> bool:
    """Tell whether two files hold the same Pixel Data byte for byte: what can be said without decoding."""
    a, b = one.pixel_data, other.pixel_data
    if a is None or b is None:
        return False
    return bool(a.sha256) and (a.transfer_syntax_uid, a.sha256) == (b.transfer_syntax_uid, b.sha256)


def lossy(facts: FileFacts) -> bool:
    """Tell whether the pixels of this copy went through a lossy compression (PS3.3 C.7.6.1.1.5)."""
    stated = facts.header.text("LossyImageCompression")
    if stated:
        return stated == "01"
    return facts.pixel_data is not None and facts.pixel_data.transfer_syntax_uid in LOSSY_SYNTAXES


def settle(
    sorting: Sorting,
    images: Sequence[FileFacts],
    everything: Sequence[FileFacts],
    rules: SelectionRules,
    pixels_agree: PixelsAgree,
) -> list[FileFacts]:
    """Return *images* with one file for each SOP Instance UID (and frame); the current image's file stays.

    *everything* holds the readable files beside them: a copy that was left out for what it says of itself
    contradicts the one that stayed. Raises ``Refused(duplicate-conflict)`` naming both files.
    """
    copies = _copies(everything, images)
    if not copies:
        return list(images)
    kept = []
    for image in images:
        rivals = copies.get(image_key(image), [image])
        if len(rivals) == 1:
            kept.append(image)
            continue
        chosen = _chosen(rivals, images, sorting.current)
        if place(chosen) != place(image):
            continue
        kept.append(image)
        for rival in rivals:
            if place(rival) != place(image):
                sorting.exclude(rival, compare(image, rival, rules, pixels_agree))
    return kept


def compare(chosen: FileFacts, rival: FileFacts, rules: SelectionRules, pixels_agree: PixelsAgree) -> Finding:
    """Return what a second file of *chosen*'s UID is. Raises ``Refused(duplicate-conflict)``."""
    attribute = contradiction(chosen, rival, rules)
    if attribute:
        raise _conflict(chosen, rival, attribute)
    if lossy(rival) and not lossy(chosen):
        return Finding(Code.LOSSY_DIFFERS, f"a lossy copy of {chosen.path.name}")
    if not pixels_agree(chosen, rival):
        raise _conflict(chosen, rival, "Pixel Data")
    return Finding(Code.DUPLICATE, f"the same image as {chosen.path.name}")


def contradiction(one: FileFacts, other: FileFacts, rules: SelectionRules) -> str:
    """Return what two headers of one SOP Instance UID say differently, ``""`` where they agree."""
    a, b = one.header, other.header
    if finding := belongs(a, b, rules):
        return finding.code
    keywords = COMPARED if lossy(one) or lossy(other) else COMPARED + COMPARED_IF_LOSSLESS
    for keyword in keywords:
        ours, theirs = a.get(keyword), b.get(keyword)
        if (ours is None) != (theirs is None) or (ours and theirs and not same_value(ours, theirs)):
            return keyword
    found = FITS if geometry(one) or geometry(other) else other_contrast(a, b)
    return found.detail.partition(" ")[0]


def _copies(everything: Sequence[FileFacts], images: Sequence[FileFacts]) -> dict[FrameKey, list[FileFacts]]:
    """Return the files of each image that more than one file holds."""
    counted = Counter(map(image_key, everything))
    repeated = {key for key, count in counted.items() if count > 1 and key[0]}
    wanted = repeated.intersection(map(image_key, images)) if repeated else repeated
    copies: dict[FrameKey, list[FileFacts]] = {key: [] for key in wanted}
    for facts in everything if wanted else ():
        if image_key(facts) in wanted:
            copies[image_key(facts)].append(facts)
    return {key: in_fixed_order(files) for key, files in copies.items()}


def _chosen(rivals: Sequence[FileFacts], images: Sequence[FileFacts], current: FileFacts) -> FileFacts:
    """Return the file that stands for the image: the current one, else a lossless one, else the first."""
    for rival in rivals:
        if place(rival) == place(current):
            return rival
    still_in = {place(image) for image in images}
    return min((r for r in rivals if place(r) in still_in), key=lossy)


def _conflict(one: FileFacts, other: FileFacts, attribute: str) -> Refused:
    return Refused(
        Code.DUPLICATE_CONFLICT,
        f"{one.path} and {other.path} bear the SOP Instance UID {one.sop_instance_uid}, but {attribute} "
        "differs: a person must keep one and remove the other.",
        comment=attribute,
    )
