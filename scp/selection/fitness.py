"""Which images can be slices of one volume with the current image (step 7, group C).

Rules of two kinds: what an image is by itself (:data:`BY_ITSELF`), and how it differs from the current image
(:data:`BESIDE_CURRENT`); both are tables, in the order in which they are asked. Sections: Image Plane PS3.3
C.7.6.2, Image Pixel C.7.6.3, Frame of Reference C.7.4.1, Image Type C.7.6.1.1.2, derivation codes PS3.16
CID 7203. Rescale, window and Bits Stored may differ per slice and are not looked at.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache

from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from scp.errors import Code
from scp.model import CONTRAST_KEYWORDS, FileFacts, Header, Orientation, Vector, concepts, is_orthonormal
from scp.selection.sorting import FITS, Finding, Rule, image_key, objection, once_for_all_alike
from scp.selection.thresholds import (
    CONTRAST_RELATIVE,
    FARTHEST_MM,
    ORIENTATION_DEGREES,
    PIXEL_SPACING_RELATIVE,
)

SECONDARY_CAPTURES = frozenset(
    {
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)

MAPS: dict[str, str] = {
    uid.SegmentationStorage: "a Segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a Label Map Segmentation",  # newer than pydicom's table
    uid.RTDoseStorage: "an RT Dose",
}
"""Classes whose pixels are labels or doses upon images, and no image (PS3.3 A.51, A.18)."""

REFORMATTED = frozenset(
    {
        concepts.MULTIPLANAR_REFORMATTING.value,
        concepts.MAXIMUM_INTENSITY_PROJECTION.value,
        concepts.MINIMUM_INTENSITY_PROJECTION.value,
    }
)
"""Derivation codes of images that were themselves computed from a volume."""

NO_SOURCE_TERMS = frozenset({"MAX_IP", "MIN_IP"})
"""Image Type value 3 of projections. The word MPR is not here: scanners write it on originals."""

SCREEN_TERMS = frozenset(
    {"SCREEN SAVE", "SCREEN_SAVE", "SCREENSAVE", "CSA REPORT", "DOSE_INFO", "DOSE REPORT", "CT_SOM5 PROT"}
)
"""Image Type values, the third and later, of pages that a scanner draws."""

COLOUR = "colour"

PIXEL_FAMILY = {
    "RGB": COLOUR,
    "PALETTE COLOR": COLOUR,
    "YBR_FULL": COLOUR,
    "YBR_FULL_422": COLOUR,
    "YBR_PARTIAL_420": COLOUR,
    "YBR_ICT": COLOUR,
    "YBR_RCT": COLOUR,
}
"""Photometric Interpretations that decoding brings together; each other one stands for itself."""

IMAGE_TYPE_VALUES = 4
"""Values 1 to 4 of Image Type tell contrast; later ones are the vendor's remarks on the processing."""


def scanned(facts: FileFacts) -> Finding:
    """Object to what the scanner found to be no image, or to be beyond our decoders."""
    return Finding(facts.reason, facts.detail) if facts.reason else FITS


def localizer(facts: FileFacts) -> Finding:
    """Object to a localizer: Image Type value 3 (PS3.3 C.8.2.1.1.1)."""
    if facts.header.texts("ImageType")[2:3] == ("LOCALIZER",):
        return Finding(Code.LOCALIZER, "Image Type says LOCALIZER")
    return FITS


def source_image(facts: FileFacts) -> Finding:
    """Object to captures of screens, dose pages, and images that were reformatted from a volume."""
    header = facts.header
    if header.text("SOPClassUID") in SECONDARY_CAPTURES:
        return Finding(Code.NOT_A_SOURCE_IMAGE, "it is a Secondary Capture")
    terms = header.texts("ImageType")[2:]
    if drawn := (NO_SOURCE_TERMS & set(terms[:1])) | (SCREEN_TERMS & set(terms)):
        return Finding(Code.NOT_A_SOURCE_IMAGE, f"Image Type says {min(drawn)}")
    derivation = header.text("DerivationCodeSequence")
    for code in sorted(REFORMATTED):
        if f'"{code}"' in derivation:
            return Finding(Code.NOT_A_SOURCE_IMAGE, f"Derivation Code {code} (DCM)")
    return FITS


def geometry(facts: FileFacts) -> Finding:
    """Object where position, orientation or pixel size cannot place the image in space."""
    header = facts.header
    if "MOSAIC" in header.texts("ImageType"):
        return Finding(Code.NO_GEOMETRY, "a mosaic of slices under one Image Position (Patient)")
    if facts.frame == 0 and (header.get("NumberOfFrames") or 1) != 1:
        return Finding(Code.NO_GEOMETRY, "several frames without a geometry for each")
    for keyword, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        values = header.numbers(keyword)
        if len(values) != count or not all(map(math.isfinite, values)):
            return Finding(Code.NO_GEOMETRY, f"{keyword} is missing, or is not {count} finite numbers")
    if max(map(abs, header.numbers("ImagePositionPatient"))) > FARTHEST_MM:
        return Finding(Code.NO_GEOMETRY, "ImagePositionPatient is over 1 km from the origin")
    if min(header.numbers("PixelSpacing")) <= 0:
        return Finding(Code.NO_GEOMETRY, "PixelSpacing is not positive")
    return _orthonormal(orientation(header))


@lru_cache(maxsize=1024)
def _orthonormal(cosines: Orientation) -> Finding:
    if is_orthonormal(cosines):
        return FITS
    return Finding(Code.NO_GEOMETRY, f"ImageOrientationPatient {cosines} is not orthonormal")


def image_at_all(facts: FileFacts) -> Finding:
    """Object to pixels that are no image, and where Rows or Columns lack."""
    if what := MAPS.get(facts.header.text("SOPClassUID")):
        return Finding(Code.NOT_AN_IMAGE, f"it is {what}")
    if not (facts.header.get("Rows") and facts.header.get("Columns")):
        return Finding(Code.NOT_AN_IMAGE, "it has no Rows and Columns")
    return FITS


def decodable(facts: FileFacts) -> Finding:
    """Object to a transfer syntax for which no decoder is here, so that rendering does not fail on it."""
    syntax = facts.pixel_data.transfer_syntax_uid if facts.pixel_data else ""
    if syntax and not _has_decoder(syntax):
        return Finding(Code.CANNOT_DECODE, f"no decoder for {uid.UID(syntax).name}")
    return FITS


@lru_cache(maxsize=64)
def _has_decoder(transfer_syntax_uid: str) -> bool:
    try:
        return get_decoder(transfer_syntax_uid).is_available
    except NotImplementedError:
        return False


BY_ITSELF = (scanned, image_at_all, localizer, source_image, geometry, decodable)

LOOKED_AT_ALONE = (
    "SOPClassUID",
    "ImageType",
    "DerivationCodeSequence",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
)
"""What these rules read of a header, beside Image Position (Patient), which is each image's own."""


def by_itself() -> Rule:
    """Return what :data:`BY_ITSELF` says, asked once for all images alike."""
    told: dict[tuple[object, ...], Finding] = {}

    def rule(facts: FileFacts) -> Finding:
        if facts.reason or not math.hypot(*_position(facts.header)) < FARTHEST_MM:
            return objection(facts, BY_ITSELF)
        syntax = facts.pixel_data and facts.pixel_data.transfer_syntax_uid
        alike = (syntax, facts.frame == 0, *map(facts.header.attributes.get, LOOKED_AT_ALONE))
        finding = told.get(alike)
        if finding is None:
            finding = told[alike] = objection(facts, BY_ITSELF)
        return finding

    return rule


def _position(header: Header) -> tuple[float, ...]:
    """Return Image Position (Patient), something that is not finite where it is no position."""
    position = header.numbers("ImagePositionPatient")
    return position if len(position) == 3 else (math.nan,)


def rejection(rejected: Collection[str]) -> Rule:
    """Return the rule that leaves out what a stored rejection note refers to (PS3.16 CID 7011)."""

    def rule(facts: FileFacts) -> Finding:
        if facts.sop_instance_uid in rejected:
            return Finding(Code.REJECTED, "a stored rejection note refers to it")
        return FITS

    return rule


def other_orientation(current: Header, other: Header) -> Finding:
    """Object where row or column direction leaves the current image's by more than the tolerance."""
    ours, theirs = orientation(current), orientation(other)
    if ours == theirs:
        return FITS
    angle = max(_degrees(ours[:3], theirs[:3]), _degrees(ours[3:], theirs[3:]))
    if angle > ORIENTATION_DEGREES:
        return Finding(Code.OTHER_ORIENTATION, f"turned by {angle:.2f} degree")
    return FITS


def other_matrix(current: Header, other: Header) -> Finding:
    """Object where Rows or Columns differ."""
    ours, theirs = _matrix(current), _matrix(other)
    return FITS if ours == theirs else Finding(Code.OTHER_MATRIX, f"{theirs} is not {ours}")


def other_pixel_spacing(current: Header, other: Header) -> Finding:
    """Object where Pixel Spacing differs."""
    ours, theirs = current.numbers("PixelSpacing"), other.numbers("PixelSpacing")
    if all(abs(a - b) <= PIXEL_SPACING_RELATIVE * a for a, b in zip(ours, theirs, strict=True)):
        return FITS
    return Finding(Code.OTHER_PIXEL_SPACING, f"{theirs} mm is not {ours} mm")


def other_pixel_format(current: Header, other: Header) -> Finding:
    """Object where decoding cannot bring the pixels into one format."""
    ours, theirs = pixel_family(current), pixel_family(other)
    return FITS if ours == theirs else Finding(Code.OTHER_PIXEL_FORMAT, f"{theirs} is not {ours}")


BESIDE_CURRENT = (other_orientation, other_matrix, other_pixel_spacing, other_pixel_format)

LOOKED_AT_BESIDE = (
    "ImageOrientationPatient",
    "Rows",
    "Columns",
    "PixelSpacing",
    "PhotometricInterpretation",
    "SamplesPerPixel",
)
"""What these rules read."""


def beside(current: FileFacts) -> Rule:
    """Return the rule that compares geometry and pixels with the current image's."""

    def differs(other: Header) -> Finding:
        return next((found for check in BESIDE_CURRENT if (found := check(current.header, other))), FITS)

    return once_for_all_alike(LOOKED_AT_BESIDE, differs)


def frame_of_reference(current: FileFacts, images: Sequence[FileFacts]) -> tuple[Rule, str]:
    """Return the rule for Frame of Reference UIDs among *images*, and what is odd about them (or ``""``).

    Usually it leaves out every other frame of reference than the current image's. Where the current image
    shares its own with nobody, a scanner may have given each slice its own: these stay then, and only
    those that share one are left out. No image having one at all is as odd, and leaves out nothing.
    """
    ours = current.header.text("FrameOfReferenceUID")
    uids = {image_key(image): image.header.text("FrameOfReferenceUID") for image in images}
    users = Counter(uids.values())
    lonely = bool(ours) and users[ours] == 1 and any(n == 1 for u, n in users.items() if u and u != ours)

    def differs(header: Header) -> Finding:
        theirs = header.text("FrameOfReferenceUID")
        if theirs == ours or (lonely and theirs and users[theirs] == 1):
            return FITS
        return Finding(Code.OTHER_FRAME_OF_REFERENCE, f"Frame of Reference UID {theirs or 'is missing'}")

    rule = once_for_all_alike(("FrameOfReferenceUID",), differs)
    if lonely:
        return rule, "each slice has a Frame of Reference UID of its own"
    return rule, "" if ours else "no slice has a Frame of Reference UID"


def other_contrast(current: Header, other: Header) -> Finding:
    """Object where an attribute that tells contrast has another value, and both images have one."""
    for keyword in CONTRAST_KEYWORDS:
        ours, theirs = current.get(keyword), other.get(keyword)
        if ours is None or theirs is None or ours == theirs:
            continue
        if not same_contrast(keyword, current, other):
            shown = f"{keyword} {other.text(keyword)} is not {current.text(keyword)}"
            return Finding(Code.OTHER_STACK, shown)
    return FITS


def contrast(current: FileFacts) -> Rule:
    """Return the rule that leaves out images of another contrast than the current one's."""
    return once_for_all_alike(CONTRAST_KEYWORDS, lambda header: other_contrast(current.header, header))


def same_contrast(keyword: str, one: Header, other: Header) -> bool:
    """Tell whether the values that both headers have of *keyword* agree, numbers within the tolerance."""
    ours, theirs = one.numbers(keyword), other.numbers(keyword)
    if ours and len(ours) == len(theirs):
        return all(math.isclose(a, b, rel_tol=CONTRAST_RELATIVE) for a, b in zip(ours, theirs, strict=True))
    if keyword == "ImageType":
        pairs = zip(
            one.texts(keyword)[:IMAGE_TYPE_VALUES], other.texts(keyword)[:IMAGE_TYPE_VALUES], strict=False
        )
        return all(a == b for a, b in pairs if a and b)
    return one.text(keyword).strip() == other.text(keyword).strip()


def orientation(header: Header) -> Orientation:
    """Return the cosines of Image Orientation (Patient); the caller knows that there are six."""
    a, b, c, d, e, f = header.numbers("ImageOrientationPatient")
    return a, b, c, d, e, f


def pixel_family(header: Header) -> str:
    """Return what the pixels are after decoding: ``colour``, or the Photometric Interpretation."""
    photometric = header.text("PhotometricInterpretation")
    samples = header.integer("SamplesPerPixel") or 1
    return PIXEL_FAMILY.get(photometric, f"{photometric or 'unknown'} x {samples}")


def _matrix(header: Header) -> str:
    return f"{header.get('Rows')} x {header.get('Columns')}"


def _degrees(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the angle between two directions, exact for small ones too."""
    return math.degrees(math.atan2(math.hypot(*cross(a, b)), dot(a, b)))


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the scalar product of two vectors of three."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Sequence[float], b: Sequence[float]) -> Vector:
    """Return the cross product: of row and column cosines, the normal of the image."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
