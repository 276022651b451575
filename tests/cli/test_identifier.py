"""Identifiers from ``-k``: they arrive as they were typed, in the VR of the dictionary."""

import pytest
import typer
from pydicom.dataset import Dataset

from scp.cli.identifier import answer_lines, as_mapping, identifier


def test_a_key_is_given_by_keyword_or_by_tag():
    assert identifier(["PatientID=7"]) == identifier(["0010,0020=7"]) == identifier(["(0010,0020)=7"])


def test_a_key_without_a_value_asks_for_it():
    assert identifier(["PatientName"])["PatientName"].is_empty


def test_a_backslash_separates_values():
    ds = identifier(["SOPInstanceUID=1.2\\1.3", "ImageOrientationPatient=1\\0\\0\\0\\0\\-1"])
    assert list(ds.SOPInstanceUID) == ["1.2", "1.3"]
    assert list(ds.ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]


def test_binary_numbers_are_numbers():
    ds = identifier(["ReformattingThickness=2.5", "Rows=512"])
    assert (ds.ReformattingThickness, ds.Rows) == (2.5, 512)


def test_a_value_may_hold_an_equals_sign():
    assert identifier(["SeriesDescription=a=b"]).SeriesDescription == "a=b"


def test_values_go_out_as_typed_even_where_the_standard_forbids_them():
    assert identifier(["ReformattingOperationType=mip"]).ReformattingOperationType == "mip"


def test_text_beyond_ascii_names_its_character_set():
    assert identifier(["PatientName=Müller"]).SpecificCharacterSet == "ISO_IR 192"
    assert "SpecificCharacterSet" not in identifier(["PatientName=Mueller"])


NO_VALUES = [
    ["Rows=many"],
    ["SeriesNumber=two"],
    ["EncapsulatedDocument=report"],
    ["PixelData=0"],
    ["ImagePositionPatient=a\\b\\c"],
]


@pytest.mark.parametrize("keys", [[], None, ["Nonsense=1"], ["0010=1"], ["zz,zz"], *NO_VALUES])
def test_a_key_that_nobody_knows_or_that_does_not_suit_is_refused(keys):
    with pytest.raises(typer.BadParameter):
        identifier(keys)


def test_answers_are_shown_by_keyword_with_all_values():
    ds = Dataset()
    ds.PatientName, ds.PixelSpacing, ds.ReferencedImageSequence = "Roe^Jane", [0.5, 0.25], [Dataset()]
    ds.add_new(0x00091001, "LO", "private")
    assert as_mapping(ds) == {
        "PatientName": "Roe^Jane",
        "PixelSpacing": "0.5\\0.25",
        "ReferencedImageSequence": "1 items",
        "0009,1001": "private",
    }
    assert "PatientName              Roe^Jane" in list(answer_lines(ds))
