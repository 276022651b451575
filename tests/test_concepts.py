"""Coded concepts: the words of the standard, as pydicom has them."""

import pytest
from pydicom.sr.codedict import codes

from scp.model import concepts
from scp.model.concepts import Concept

OURS = {name: each for name, each in vars(concepts).items() if isinstance(each, Concept)}


@pytest.mark.parametrize("name", OURS)
def test_a_concept_says_what_the_controlled_terminology_says(name: str) -> None:
    concept = OURS[name]
    theirs = getattr(codes.DCM, name.title().replace("_", ""))
    stated = theirs.value, theirs.meaning, theirs.scheme_designator
    assert (concept.value, concept.meaning, concept.scheme_designator) == stated
