import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from scp.errors import Refused
from scp.model import UNDECODABLE
from scp.results.elements import data_set
from scp.results.values import character_set, decimal_string, element, geometry_string, put, sequence_items

FINITE = st.floats(-1e300, 1e300, allow_subnormal=False)


@given(FINITE)
def test_a_decimal_string_has_at_most_16_characters(value):
    text = decimal_string(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8)


@given(st.floats(-9999, 9999))
def test_a_length_within_ten_metres_is_kept_to_a_millionth_of_a_micrometre(value):
    assert abs(float(geometry_string(value)) - value) <= 1e-9


@given(st.floats(-1, 1))
def test_a_cosine_keeps_twelve_decimals(value):
    assert abs(float(geometry_string(value)) - value) <= 1e-12


@pytest.mark.parametrize("noise", [1e-17, -1e-17, -0.0, 0.0])
def test_noise_and_negative_zero_are_zero(noise):
    assert geometry_string(noise) == "0"


def test_the_noise_of_float64_does_not_reach_the_text():
    assert geometry_string(0.1 + 0.2) == "0.3"


@pytest.mark.parametrize(
    ("signed", "vr", "value"), [(True, "SS", -2000), (False, "US", 63536)], ids=["signed", "unsigned"]
)
def test_an_open_representation_follows_the_pixels(signed, vr, value):
    padding = element("PixelPaddingValue", value, signed=signed)
    assert (padding.VR, padding.value) == (vr, value)


def test_bytes_that_do_not_decode_go_out_as_they_came():
    ds = Dataset()
    put(ds, "PatientName", UNDECODABLE + "c8e2e0edf7")
    assert bytes.fromhex("c8e2e0edf7") in data_set(ds)


def test_a_number_that_is_none_is_copied_as_it_was_written():
    ds = Dataset()
    put(ds, "PatientWeight", "70 kg")
    assert b"70 kg" in data_set(ds)


def test_a_value_longer_than_its_representation_allows_is_copied_whole():
    ds = Dataset()
    put(ds, "StudyID", "longer than sixteen")
    assert b"longer than sixteen" in data_set(ds)


def test_a_sequence_comes_back_from_its_json_with_names_binaries_and_nesting():
    text = json.dumps(
        [
            {
                "00100020": {"vr": "LO", "Value": ["P-2"]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Ideographic": "山田^太郎"}]},
                "00400032": {"vr": "UT"},
                "00091010": {"vr": "UN", "InlineBinary": "AQI="},
                "00090010": {"vr": "LO", "Value": ["MAKER"]},
                "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]},
                "00280009": {"vr": "AT", "Value": ["00181063"]},
            }
        ]
    )
    (item,) = sequence_items(text)
    assert item.PatientID == "P-2"
    assert item.PatientName == "Doe^J=山田^太郎"
    assert item[0x00091010].value == b"\1\2"
    assert item.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert item.FrameIncrementPointer == 0x00181063


def named(*names: str) -> Dataset:
    ds = Dataset()
    for keyword, name in zip(("PatientName", "ReferringPhysicianName"), names, strict=False):
        put(ds, keyword, name)
    return ds


def test_the_sources_character_set_is_kept_where_it_holds_every_text():
    assert character_set(named("Müller^Jörg"), ("ISO_IR 100",)) == ("ISO_IR 100",)


def test_text_beyond_the_sources_character_set_turns_all_into_utf_8():
    assert character_set(named("Müller^Jörg", "山田^太郎"), ("ISO_IR 100",)) == ("ISO_IR 192",)


def test_plain_ascii_needs_no_character_set():
    assert character_set(named("Roe^Jane"), ()) == ()


def test_text_beyond_ascii_without_a_stated_character_set_gets_one():
    assert character_set(named("Müller^Jörg"), ()) == ("ISO_IR 192",)


def test_an_unknown_character_set_is_replaced():
    assert character_set(named("Müller^Jörg"), ("LATIN ONE",)) == ("ISO_IR 192",)


def test_a_sequence_is_looked_into_for_text():
    ds = Dataset()
    put(ds, "OtherPatientIDsSequence", [named("山田^太郎")])
    assert character_set(ds, ("ISO_IR 100",)) == ("ISO_IR 192",)


def test_bytes_that_do_not_decode_keep_the_stated_character_set():
    assert character_set(named(UNDECODABLE + "c8e2"), ("ISO_IR 192",)) == ("ISO_IR 192",)


def test_bytes_that_do_not_decode_beside_text_that_does_not_fit_are_refused():
    with pytest.raises(Refused, match="Specific Character Set"):
        character_set(named(UNDECODABLE + "c8e2", "山田^太郎"), ("ISO_IR 100",))
