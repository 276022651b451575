"""How the values of the result are stored, from headers alone."""

from pathlib import Path

import pytest

from scp.errors import Refused
from scp.model import FileFacts, Header
from scp.reconstruction.pixels import conversion, decoded_bytes, pixel_format

CT16 = {
    "Modality": "CT",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "PixelRepresentation": 1,
    "RescaleSlope": 1.0,
    "RescaleIntercept": -1024.0,
    "RescaleType": "HU",
    "PhotometricInterpretation": "MONOCHROME2",
}
MR = {"Modality": "MR", "BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 0}
PET = {
    "Modality": "PT",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "PixelRepresentation": 1,
    "RescaleSlope": 0.5,
    "RescaleIntercept": 0.0,
    "SmallestImagePixelValue": 0,
}


def stack(*headers):
    return [FileFacts(Path(f"{n}.dcm"), header=Header(header)) for n, header in enumerate(headers)]


def described(*headers):
    return pixel_format(stack(*headers))


def test_ct_is_stored_as_hounsfield_units():
    found = described(CT16, CT16)
    assert (found.signed, found.rescale_slope, found.rescale_intercept) == (True, 1.0, 0.0)
    assert (found.rescale_type, found.padding_value) == ("HU", -1000)


def test_a_map_that_a_ct_made_is_padded_by_its_lowest_value_and_not_by_air():
    flow = {**CT16, "RescaleType": "US", "RescaleIntercept": 0, "SmallestImagePixelValue": 5}
    assert described(flow, flow).padding_value == 5


def test_ct_that_does_not_fit_keeps_its_intercept():
    found = described({**CT16, "PixelRepresentation": 0})
    assert (found.signed, found.rescale_intercept, found.padding_value) == (False, -1024.0, 24)


def test_ct_with_another_slope_keeps_its_values():
    found = described({**CT16, "RescaleSlope": 0.5})
    assert (found.rescale_slope, found.rescale_intercept, found.padding_value) == (0.5, -1024.0, 48)


def test_hounsfield_is_supplied_for_ct_unless_multi_energy():
    bare = {keyword: value for keyword, value in CT16.items() if keyword != "RescaleType"}
    assert described(bare).rescale_type == "HU"
    assert described({**bare, "MultienergyCTAcquisition": "YES"}).rescale_type == "US"


def test_mr_without_a_modality_lut_gets_none():
    found = described(MR, MR)
    assert (found.rescale_slope, found.rescale_intercept, found.rescale_type) == (None, None, "")
    assert (found.signed, found.padding_value) == (False, 0)


def test_padding_written_with_the_wrong_vr_is_read_as_it_was_meant():
    assert described({**CT16, "PixelPaddingValue": 63536}).padding_value == -2000 - 1024


def test_padding_that_does_not_fit_is_the_lowest_value():
    assert described({**CT16, "PixelPaddingValue": -32768}).padding_value == -32768


def test_pet_slices_get_the_coarsest_slope_in_common():
    found = described(PET, {**PET, "RescaleSlope": 2.0}, {**PET, "RescaleSlope": 1.0})
    assert (found.rescale_slope, found.rescale_intercept, found.signed) == (2.0, 0.0, True)
    change = conversion(Header(PET), found)
    assert (change.slope, change.intercept) == (0.25, 0.0)


def test_slices_with_their_own_intercepts_are_spread_over_all_values():
    one, other = (
        {**MR, "RescaleSlope": 0.01, "RescaleIntercept": 30.0},
        {**MR, "RescaleSlope": 0.02, "RescaleIntercept": -7.0},
    )
    found = described(one, other)
    for header in (one, other):
        change = conversion(Header(header), found)
        assert change.intercept >= 0.999
        assert change.slope * 4095 + change.intercept <= 65535.5
    assert found.padding_value in (0, 1)


def test_the_smallest_stated_value_is_what_is_outside_of_mr():
    found = described(
        {**MR, "PixelRepresentation": 1, "SmallestImagePixelValue": -7},
        {**MR, "PixelRepresentation": 1, "SmallestImagePixelValue": -3},
    )
    assert found.padding_value == -7


@pytest.mark.parametrize("modality", ["MR", "NM", "PT"])
def test_no_signal_is_what_is_outside_of_signed_images_that_state_no_smallest_value(modality):
    assert described({**MR, "Modality": modality, "PixelRepresentation": 1}).padding_value == 0


@pytest.mark.parametrize("photometric", ["RGB", "PALETTE COLOR", "YBR_FULL_422", "YBR_ICT"])
def test_colour_is_stored_as_rgb(photometric):
    found = described({"PhotometricInterpretation": photometric, "BitsAllocated": 8, "BitsStored": 8})
    assert (found.photometric_interpretation, found.samples_per_pixel) == ("RGB", 3)


def test_gray_and_colour_together_are_refused():
    with pytest.raises(Refused, match="mixes"):
        described(MR, {**MR, "PhotometricInterpretation": "RGB"})


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, 2 * 64),
        ({"BitsAllocated": 8}, 64),
        ({"BitsAllocated": 1, "NumberOfFrames": 5}, 5 * 64),
        ({"BitsAllocated": 8, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, 3 * 64),
        ({"BitsAllocated": 8, "SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422"}, 3 * 64),
        ({"BitsAllocated": 8, "PhotometricInterpretation": "PALETTE COLOR"}, 3 * 64),
    ],
)
def test_decoded_pixels_have_all_their_samples_in_whole_bytes(changes, needed):
    assert decoded_bytes(Header({"Rows": 8, "Columns": 8, **MR, **changes})) == needed
