"""Images alike in what a rule reads are judged once; so the lists of what rules read must be whole."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pydicom import uid

from scp.errors import Code
from scp.model import CONTRAST_KEYWORDS, FileFacts, Header, PixelData, Value
from scp.selection import fitness, identity
from scp.selection.sorting import FITS, Finding, objection, once_for_all_alike
from tests.selection.slices import RULES, slice_at


class Read(Mapping[str, Value]):
    """Attributes that remember which of them were asked for."""

    def __init__(self, attributes: Mapping[str, Value]) -> None:
        self._attributes = attributes
        self.keywords: set[str] = set()

    def __getitem__(self, keyword: str) -> Value:
        self.keywords.add(keyword)
        return self._attributes[keyword]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)


CURRENT = slice_at(0).header
STRICT = replace(RULES, auxiliary_missing="exclude")

Judge = Callable[[FileFacts], Finding]
JUDGES: dict[str, tuple[set[str], Judge]] = {
    "identity": (
        {*identity.LOOKED_AT, *STRICT.auxiliary},
        lambda facts: identity.belongs(CURRENT, facts.header, STRICT),
    ),
    "by itself": (
        {*fitness.LOOKED_AT_ALONE, "ImagePositionPatient"},
        lambda facts: objection(facts, fitness.BY_ITSELF),
    ),
    "beside the current image": (
        {*fitness.LOOKED_AT_BESIDE},
        lambda facts: objection(facts, [partial(_beside, rule) for rule in fitness.BESIDE_CURRENT]),
    ),
    "frame of reference": (
        {"FrameOfReferenceUID"},
        lambda facts: fitness.frame_of_reference(slice_at(0), [slice_at(0), slice_at(2)])[0](facts),
    ),
    "contrast": ({*CONTRAST_KEYWORDS}, lambda facts: fitness.other_contrast(CURRENT, facts.header)),
}
"""What a table of rules may read, and what its rules say of an image."""


def _beside(rule: Callable[[Header, Header], Finding], facts: FileFacts) -> Finding:
    return rule(CURRENT, facts.header)


OBJECTED: dict[str, list[dict[str, Any]]] = {
    "identity": [
        {"PatientName": "Doe^John"},
        {"PatientID": "P-2"},
        {"StudyInstanceUID": None},
        {"SeriesInstanceUID": None},
        {"SeriesInstanceUID": "9.9"},
        {"SeriesNumber": 3},
        {"Modality": None},
    ],
    "by itself": [
        {"SOPClassUID": str(uid.SegmentationStorage)},
        {"Rows": None},
        {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        {"SOPClassUID": str(uid.SecondaryCaptureImageStorage)},
        {"ImageType": ("DERIVED", "PRIMARY", "MAX_IP")},
        {"DerivationCodeSequence": '[{"00080100":{"Value":["113072"]}}]'},
        {"ImageType": ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")},
        {"NumberOfFrames": 30},
        {"ImageOrientationPatient": None},
        {"ImagePositionPatient": (0.0, 0.0, 1e9)},
        {"PixelSpacing": (0.0, 0.5)},
        {"ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 1.002, 0.0)},
        {"transfer_syntax_uid": "1.2.3.4"},
        {"reason": Code.CANNOT_DECODE},
    ],
    "beside the current image": [
        {"ImageOrientationPatient": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},
        {"Columns": 256},
        {"PixelSpacing": (0.5, 0.501)},
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
        {"PhotometricInterpretation": "MONOCHROME1"},
    ],
    "frame of reference": [{"FrameOfReferenceUID": "1.2.3.77"}, {"FrameOfReferenceUID": None}],
    "contrast": [
        {"ImageType": ("ORIGINAL", "PRIMARY", "PERFUSION")},
        {"KVP": 80},
        {"ConvolutionKernel": "SOFT"},
    ],
}
"""Images to which the rules of a table object: at least one for each rule and each way to object."""


def judged(table: str, changes: dict[str, Any]) -> tuple[Finding, set[str]]:
    """Return what the rules of *table* say of an image with *changes*, and what they read of its header."""
    others = {"transfer_syntax_uid": str(uid.ExplicitVRLittleEndian), "reason": ""}
    syntax, reason = (changes.get(name, default) for name, default in others.items())
    facts = slice_at(1, **{keyword: value for keyword, value in changes.items() if keyword not in others})
    read = Read(facts.header.attributes)
    _, judge = JUDGES[table]
    found = judge(replace(facts, header=Header(read), pixel_data=PixelData(syntax, 0, 0), reason=reason))
    return found, read.keywords


@pytest.mark.parametrize("table", JUDGES)
def test_rules_that_do_not_object_read_nothing_but_what_is_listed(table: str) -> None:
    found, read = judged(table, {})
    listed, _ = JUDGES[table]
    assert not found
    assert read <= listed


@pytest.mark.parametrize(
    ("table", "changes"),
    [(table, changes) for table, every in OBJECTED.items() for changes in every],
    ids=str,
)
def test_rules_that_object_read_nothing_but_what_is_listed(table: str, changes: dict[str, Any]) -> None:
    found, read = judged(table, changes)
    listed, _ = JUDGES[table]
    assert found
    assert read <= listed


def test_images_alike_are_judged_once() -> None:
    asked = []

    def judge(header: Header) -> Finding:
        asked.append(header.text("Modality"))
        return FITS if header.text("Modality") == "CT" else Finding("other", header.text("Modality"))

    rule = once_for_all_alike(("Modality", "Rows"), judge)
    images = [slice_at(k, Modality="CT" if k % 2 else "MR") for k in range(6)]
    assert [rule(image).detail for image in images] == ["MR", "", "MR", "", "MR", ""]
    assert asked == ["MR", "CT"]


def test_images_alike_in_all_but_their_place_are_judged_by_it() -> None:
    rule = fitness.by_itself()
    assert not rule(slice_at(0))
    assert rule(slice_at(1, ImagePositionPatient=(0.0, 0.0, float("inf"))))
    assert rule(slice_at(2, ImagePositionPatient=None))
    assert not rule(slice_at(3))
