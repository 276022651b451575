"""Images alike in what a rule reads are judged once; so the lists of what rules read must be whole."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from scp.model import CONTRAST_KEYWORDS, FileFacts, Header, PixelData, Value
from scp.selection import fitness, identity
from scp.selection.sorting import FITS, Finding, once_for_all_alike
from tests.selection.slices import RULES, slice_at

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


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

LISTED = [
    pytest.param(
        {*identity.LOOKED_AT, *RULES.auxiliary},
        lambda facts: identity.belongs(CURRENT, facts.header, RULES),
        id="identity",
    ),
    pytest.param(
        {*fitness.LOOKED_AT_ALONE, "ImagePositionPatient"},
        lambda facts: [rule(facts) for rule in fitness.BY_ITSELF],
        id="by itself",
    ),
    pytest.param(
        {*fitness.LOOKED_AT_BESIDE},
        lambda facts: [rule(CURRENT, facts.header) for rule in fitness.BESIDE_CURRENT],
        id="beside the current image",
    ),
    pytest.param(
        {*CONTRAST_KEYWORDS}, lambda facts: fitness.other_contrast(CURRENT, facts.header), id="contrast"
    ),
]


@pytest.mark.parametrize(("listed", "judge"), LISTED)
def test_rules_read_nothing_but_what_is_listed(
    listed: set[str], judge: Callable[[FileFacts], object]
) -> None:
    facts = slice_at(1)  # to which no rule objects, so that each of them reads all it ever does
    read = Read(facts.header.attributes)
    judge(replace(facts, header=Header(read), pixel_data=PixelData(EXPLICIT_LITTLE_ENDIAN, 0, 0)))
    assert read.keywords <= listed


def test_images_alike_are_judged_once() -> None:
    judged = []

    def judge(header: Header) -> Finding:
        judged.append(header.text("Modality"))
        return FITS if header.text("Modality") == "CT" else Finding("other", header.text("Modality"))

    rule = once_for_all_alike(("Modality", "Rows"), judge)
    images = [slice_at(k, Modality="CT" if k % 2 else "MR") for k in range(6)]
    assert [rule(image).detail for image in images] == ["MR", "", "MR", "", "MR", ""]
    assert judged == ["MR", "CT"]


def test_images_alike_in_all_but_their_place_are_judged_by_it() -> None:
    rule = fitness.by_itself()
    assert not rule(slice_at(0))
    assert rule(slice_at(1, ImagePositionPatient=(0.0, 0.0, float("inf"))))
    assert rule(slice_at(2, ImagePositionPatient=None))
    assert not rule(slice_at(3))
