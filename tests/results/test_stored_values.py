"""The stack is CT in Hounsfield units, without padding, unless a test says otherwise."""

import pytest

from scp.results import Encoder, ResultOptions, describe
from tests.results.planning import all_stating, one_stating, planned, selected, stored_as

NO_RESCALE = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType"))


def told(stack) -> list[str]:
    """What Derivation Description says, clause by clause."""
    series = describe(selected(stack), planned(count=1), stored_as(stack), ResultOptions())
    return Encoder(series).header(0).DerivationDescription.split("; ")


def test_an_intercept_that_was_added_is_told_of(stack):
    words = told(all_stating(stack, RescaleIntercept=-1024.0))
    assert "Rescale Intercept of the sources added to stored values" in words


def test_values_that_are_the_sources_own_need_no_word(stack):
    for own in (stack, all_stating(stack, Modality="MR", **NO_RESCALE)):
        assert not [clause for clause in told(own) if "Rescale" in clause or "MONOCHROME" in clause]


@pytest.mark.parametrize(("bits", "total"), [(16, 65535), (12, 4095)])
def test_grey_levels_that_were_turned_round_are_told_of_with_how(stack, bits, total):
    negative = {"PhotometricInterpretation": "MONOCHROME1", "PixelRepresentation": 0, "BitsStored": bits}
    words = told(all_stating(stack, Modality="MR", **negative, **NO_RESCALE))
    assert f"grey levels turned round from MONOCHROME1, v to {total} - v" in words


def test_hounsfield_units_under_another_interpretation_are_told_to_be_the_same(stack):
    words = told(all_stating(stack, PhotometricInterpretation="MONOCHROME1"))
    assert "MONOCHROME1 became MONOCHROME2, values as they were" in words


def test_rounding_to_a_common_slope_is_told_of(stack):
    pet = all_stating(stack, Modality="PT", RescaleSlope=0.25, RescaleIntercept=0.0, RescaleType=None)
    assert not any("rounded" in clause for clause in told(pet))
    words = told(one_stating(pet, 3, RescaleSlope=0.5))
    assert (
        "rescales of the sources, slope 0.25 to 0.5, brought to one: values rounded to steps of 0.5" in words
    )


def test_the_value_of_what_is_no_voxel_is_told_of(stack):
    assert "-1000 stored where no source reaches" in told(stack)
    padded = all_stating(stack, RescaleIntercept=-1024.0, PixelPaddingValue=-2000)
    assert "-3024 stored for padding of the sources and where no source reaches" in told(padded)


def test_colours_that_were_changed_are_told_of(stack):
    def coloured(photometric: str) -> list[str]:
        return told(all_stating(stack, PhotometricInterpretation=photometric, SamplesPerPixel=3))

    assert "RGB made of YBR_FULL_422" in coloured("YBR_FULL_422")
    assert not any("RGB" in clause for clause in coloured("RGB"))
