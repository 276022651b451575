"""Group C: what an image is by itself and beside the others."""

import math
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    BasicTextSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from scp.errors import Code
from tests.builders import uid
from tests.cases.registry import case
from tests.cases.scenes import COUNT, Scene, Whose, among, lay, scan, slice_at

OTHER = Whose.ANOTHER_IMAGE


def beyond(*, at: float = COUNT, **attributes: Any) -> Dataset:
    """Return a stranger of the series, by default where the next slice would be."""
    return slice_at(at, OTHER, "beyond", InstanceNumber=90, **attributes)


@case("C1", "a structured report and a key object note of the series", left_out={Code.NOT_AN_IMAGE: 2})
def _(folder: Path) -> Scene:
    notes = []
    for sop_class, modality in ((BasicTextSRStorage, "SR"), (KeyObjectSelectionDocumentStorage, "KO")):
        ds = slice_at(0, name=modality, SOPClassUID=sop_class)
        for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
            delattr(ds, keyword)
        del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing
        notes.append(ds)
    return among(folder, notes)


@case("C2", "a localizer in the series", left_out={Code.LOCALIZER: 1})
def _(folder: Path) -> Scene:
    coronal = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    scout = slice_at(
        0,
        OTHER,
        "scout",
        orientation=coronal,
        origin=(0, 4, 24),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    return among(folder, [scout])


@case("C2 current", "the current image is a localizer", Code.LOCALIZER)
def _(folder: Path) -> Scene:
    coronal = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    scout = slice_at(
        0,
        OTHER,
        "scout",
        orientation=coronal,
        origin=(0, 4, 24),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    lay(folder, scan())
    return Scene(lay(folder, [scout], "scout.dcm")[0])


@case(
    "C3",
    "a secondary capture, a dose page, a reformat, all with a position",
    left_out={Code.NOT_A_SOURCE_IMAGE: 3},
)
def _(folder: Path) -> Scene:
    capture = beyond(SOPClassUID=SecondaryCaptureImageStorage)
    page = slice_at(13, OTHER, "page", ImageType=["DERIVED", "SECONDARY", "DOSE_INFO"])
    reformat = slice_at(14, OTHER, "reformat", ImageType=["DERIVED", "PRIMARY", "MAX_IP"])
    return among(folder, [capture, page, reformat])


@case("C4", "an image without Image Position (Patient)", left_out={Code.NO_GEOMETRY: 1})
def _(folder: Path) -> Scene:
    return among(folder, [beyond(ImagePositionPatient=None)])


@case("C4 cosines", "an image whose cosines are not orthonormal", left_out={Code.NO_GEOMETRY: 1})
def _(folder: Path) -> Scene:
    stranger = beyond()
    stranger.ImageOrientationPatient = [1, 0, 0, 0.2, 0.9, 0]
    return among(folder, [stranger])


@case("C5", "an image turned by 5 degrees", left_out={Code.OTHER_ORIENTATION: 1})
def _(folder: Path) -> Scene:
    angle = math.radians(5)
    turned = (1.0, 0.0, 0.0, 0.0, math.cos(angle), math.sin(angle))
    return among(folder, [beyond(orientation=turned)])


@case("C6", "an image of another size", left_out={Code.OTHER_MATRIX: 1})
def _(folder: Path) -> Scene:
    return among(folder, [beyond(rows=16, columns=20)])


@case("C7", "an image of half the pixel size", left_out={Code.OTHER_PIXEL_SPACING: 1})
def _(folder: Path) -> Scene:
    return among(folder, [beyond(spacing=(0.5, 0.5))])


@case("C8", "an RGB image in a grey series", left_out={Code.OTHER_PIXEL_FORMAT: 1})
def _(folder: Path) -> Scene:
    return among(folder, [_coloured(beyond())])


def _coloured(ds: Dataset) -> Dataset:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = bytes([200]) * (ds.Rows * ds.Columns * 3)
    return ds


@case("C9", "Rescale Slope and Intercept of its own for each slice, as in PET")
def _(folder: Path) -> Scene:
    slices = [
        slice_at(k, RescaleSlope=f"{0.5 + 0.01 * k:.2f}", RescaleIntercept=str(-20 * k)) for k in range(COUNT)
    ]
    return among(folder, [], slices)


@case("C10", "an image in another Frame of Reference", left_out={Code.OTHER_FRAME_OF_REFERENCE: 1})
def _(folder: Path) -> Scene:
    return among(folder, [beyond(FrameOfReferenceUID=uid("another frame"))])


@case("C11", "a Frame of Reference UID of its own on each slice", notes={Code.FRAME_OF_REFERENCE_PER_SLICE})
def _(folder: Path) -> Scene:
    return among(folder, [], [slice_at(k, FrameOfReferenceUID=uid("frame", k)) for k in range(COUNT)])


@case("C11 none", "no Frame of Reference UID at all", notes={Code.FRAME_OF_REFERENCE_PER_SLICE})
def _(folder: Path) -> Scene:
    return among(folder, [], scan(FrameOfReferenceUID=None))


@case("C12", "an image in a video syntax that nobody decodes as a slice", left_out={Code.CANNOT_DECODE: 1})
def _(folder: Path) -> Scene:
    film = beyond()
    film.PixelData = encapsulate([b"\x00\x00\x01\xb3" + bytes(200)])
    film["PixelData"].VR = "OB"
    film.file_meta.TransferSyntaxUID = MPEG2MPML
    return among(folder, [film])


@case("C13", "a mosaic among the slices", left_out={Code.NO_GEOMETRY: 1})
def _(folder: Path) -> Scene:
    return among(folder, [beyond(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])])


@case("C13 current", "the current image has frames without a geometry for each", Code.NO_GEOMETRY)
def _(folder: Path) -> Scene:
    many = slice_at(0)
    many.NumberOfFrames = 12
    many.PixelData = b"".join(ds.PixelData for ds in scan())
    return Scene(lay(folder, [many])[0])


@case("C14", "an enhanced CT: twelve frames in one file")
def _(folder: Path) -> Scene:
    enhanced = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        scan(), uid("enhanced series"), 3, uid("enhanced"), 1
    )
    return Scene(lay(folder, [enhanced], "enhanced.dcm")[0])


@case("C15", "3 slices more, of another convolution kernel", left_out={Code.OTHER_STACK: 3})
def _(folder: Path) -> Scene:
    lung = [slice_at(k, OTHER, "lung", ConvolutionKernel="LUNG", InstanceNumber=k + 1) for k in range(12, 15)]
    return among(folder, lung, scan(ConvolutionKernel="SOFT"))


@case("C16", "a palette colour series, its colours grey")
def _(folder: Path) -> Scene:
    slices = [_with_palette(slice_at(k)) for k in range(COUNT)]
    return Scene(lay(folder, slices)[5], scale=TEN)


TEN = 10
"""Eight bits hold a tenth of what the voxels of the other cases tell."""


def _with_palette(ds: Dataset) -> Dataset:
    """Return the image as 8 bit indices into a palette that is a ramp of grey."""
    stored = np.frombuffer(ds.PixelData, np.int16)
    ds.PixelData = np.round(stored / TEN).astype(np.uint8).tobytes()
    ds.PhotometricInterpretation = "PALETTE COLOR"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(ds, keyword)
    grey = bytes(range(256))
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(ds, f"{colour}PaletteColorLookupTableData", grey)
    return ds
