"""The functional groups of an enhanced multi-frame image, as the attributes a classic image would have.

Shared and per-frame groups (PS3.3 C.7.6.16) hold position, orientation, spacing, rescale and contrast
in sequences; one frame's values come out under the keywords of the classic modules (C.7.6.2, C.8), so
that a frame is judged as any other image is. What the table does not name is left out.
"""

from collections.abc import Iterator
from typing import Final

from pydicom.datadict import tag_for_keyword

from scp.model import Value
from scp.part10.header import RawElement, items, walk_item
from scp.part10.values import CharacterSets, decode, vr_of

SHARED_FUNCTIONAL_GROUPS: Final = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS: Final = 0x52009230

_CLASSIC_KEYWORDS: Final = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {
        "PixelSpacing": "PixelSpacing",
        "SliceThickness": "SliceThickness",
        "SpacingBetweenSlices": "SpacingBetweenSlices",
    },
    "PixelValueTransformationSequence": {
        "RescaleIntercept": "RescaleIntercept",
        "RescaleSlope": "RescaleSlope",
        "RescaleType": "RescaleType",
    },
    "FrameVOILUTSequence": {
        "WindowCenter": "WindowCenter",
        "WindowWidth": "WindowWidth",
        "WindowCenterWidthExplanation": "WindowCenterWidthExplanation",
        "VOILUTFunction": "VOILUTFunction",
    },
    "FrameContentSequence": {
        "FrameAcquisitionNumber": "AcquisitionNumber",
        "FrameAcquisitionDateTime": "AcquisitionDateTime",
        "TemporalPositionIndex": "TemporalPositionIdentifier",
        "InStackPositionNumber": "InstanceNumber",
    },
    "FrameAnatomySequence": {"FrameLaterality": "ImageLaterality"},
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "CTXRayDetailsSequence": {"KVP": "KVP", "FilterType": "FilterType"},
    "CTAcquisitionDetailsSequence": {"GantryDetectorTilt": "GantryDetectorTilt"},
    "MRImageFrameTypeSequence": {
        "FrameType": "ImageType",
        "ComplexImageComponent": "ComplexImageComponent",
    },
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "MRTimingAndRelatedParametersSequence": {
        "RepetitionTime": "RepetitionTime",
        "EchoTrainLength": "EchoTrainLength",
    },
    "MRModifierSequence": {"InversionTimes": "InversionTime"},
    "MRDiffusionSequence": {"DiffusionBValue": "DiffusionBValue"},
    "CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": "TriggerTime"},
    "PETFrameTypeSequence": {"FrameType": "ImageType"},
}
"""Functional group -> attribute in it -> the classic attribute that says the same."""


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(f"{keyword} is no keyword of PS3.6")
    return tag


_GROUPS: Final = {
    _tag(group): {_tag(written): classic for written, classic in attributes.items()}
    for group, attributes in _CLASSIC_KEYWORDS.items()
}


def frame_attributes(
    shared: RawElement | None, per_frame: RawElement, encodings: CharacterSets
) -> Iterator[dict[str, Value]]:
    """Yield the classic attributes of each frame in its order; raises ``NotDicom``."""
    of_all: dict[str, Value] = {}
    for content in items(shared) if shared else ():
        of_all.update(_group_attributes(content, shared, encodings))
    for content in items(per_frame):
        yield {**of_all, **_group_attributes(content, per_frame, encodings)}


def _group_attributes(
    content: bytes, within: RawElement | None, encodings: CharacterSets
) -> dict[str, Value]:
    attributes: dict[str, Value] = {}
    if within is None:
        return attributes
    for group, sequence in walk_item(content, within.encoding, _GROUPS).items():
        for item in items(sequence)[:1]:
            for tag, element in walk_item(item, sequence.encoding, _GROUPS[group]).items():
                vr = vr_of(tag, element.vr, signed=False)
                value = decode(vr, element.value, element.encoding.order, encodings)
                if value is not None:
                    attributes[_GROUPS[group][tag]] = value
    return attributes
