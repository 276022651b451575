"""Answers are encoded as pydicom encodes them, and what an archive holds can always be told (PS3.5 7.1)."""

from collections.abc import Generator, Mapping, Sequence
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from scp.archive.answers import Answers, Encoder, Values, data_set
from scp.model import UNDECODABLE, Value
from scp.part10 import encoding_of

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
OWN = {"RetrieveAETitle": "NODE", "QueryRetrieveLevel": "STUDY"}

INTEGERS = {
    "US": (0, 0xFFFF),
    "SS": (-0x8000, 0x7FFF),
    "UL": (0, 0xFFFFFFFF),
    "SL": (-1 << 31, (1 << 31) - 1),
}
KEYWORDS = {
    "AE": "StationAETitle",
    "AS": "PatientAge",
    "CS": "ImageType",
    "DA": "StudyDate",
    "DS": "ImagePositionPatient",
    "DT": "AcquisitionDateTime",
    "FD": "DiffusionBValue",
    "FL": "RecommendedDisplayFrameRateInFloat",
    "IS": "SeriesNumber",
    "LO": "StudyDescription",
    "LT": "PatientComments",
    "OB": "ICCProfile",
    "PN": "PatientName",
    "SH": "AccessionNumber",
    "SL": "ReferencePixelX0",
    "SQ": "ProcedureCodeSequence",
    "SS": "TagAngleSecondAxis",
    "ST": "InstitutionAddress",
    "TM": "StudyTime",
    "UC": "LongCodeValue",
    "UI": "StudyInstanceUID",
    "UL": "RegionFlags",
    "UR": "RetrieveURL",
    "US": "Rows",
    "UT": "ImageProcessingDescription",
    "US or SS": "PixelPaddingValue",
}

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20).map(str.strip)
NAMES = st.text(alphabet="aÜ山^= ", min_size=1, max_size=12).map(str.strip)
NUMBERS = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False)


def values(vr: str) -> st.SearchStrategy[Any]:
    """Return what an index may hold under a VR, if only by a file that has no right to it."""
    if vr in INTEGERS:
        one: st.SearchStrategy[Any] = st.integers(*INTEGERS[vr])
    elif vr in ("FL", "FD"):
        one = st.floats(width=32 if vr == "FL" else 64)
    elif vr in ("IS", "DS"):
        one = NUMBERS | st.sampled_from(["2B", "1e", "--"])
    else:
        one = TEXT | NAMES | st.just(f"{UNDECODABLE}e4fc41")
    return st.none() | one.filter(lambda each: each != "") | st.lists(one, min_size=2, max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(KEYWORDS)), unique=True, max_size=8).flatmap(
        lambda vrs: st.tuples(st.just(vrs), st.tuples(*map(values, vrs)))
    ),
    st.sampled_from(SYNTAXES),
)
def test_an_answer_is_encoded_as_pydicom_encodes_it(asked: tuple[list[str], Values], syntax: UID) -> None:
    vrs, told = {KEYWORDS[vr]: vr for vr in asked[0]}, asked[1]
    encoded = Encoder(vrs, encoding_of(syntax), OWN).encoded(told)
    assert encoded == by_pydicom(vrs, told, syntax)


@pytest.mark.filterwarnings("ignore:The value for the data element")
@pytest.mark.parametrize("count", [65_534, 65_535])
def test_a_value_too_long_for_its_vr_is_told_as_of_an_unknown_one(count: int) -> None:
    vrs, told = {"StudyDescription": "LO"}, ["x" * count]
    for syntax in SYNTAXES:
        encoded = Encoder(vrs, encoding_of(syntax), OWN).encoded(told)
        assert encoded == by_pydicom(vrs, told, syntax)
        assert told[0].encode() in encoded


@pytest.mark.parametrize(
    ("vr", "value", "shown"),
    [
        ("LO", f"{UNDECODABLE}e4fc41", "??A"),
        ("IS", f"{UNDECODABLE}ff31", "?1"),
        ("CS", "Größe", "Gr??e"),
        ("US", -5, None),
        ("US", 1.5, None),
        ("FL", 1e300, None),
        ("US", "5", None),
        ("PN", "Yamada==", "Yamada"),
    ],
)
def test_what_a_vr_cannot_hold_is_told_as_far_as_it_goes(vr: str, value: Value, shown: Any) -> None:
    """As a key asked with another VR than the dictionary's, or a value that its file had no right to."""
    vrs, told = {KEYWORDS[vr]: vr}, [value]
    for syntax in SYNTAXES:
        encoded = Encoder(vrs, encoding_of(syntax), OWN).encoded(told)
        if vr != "IS":  # pydicom decodes no such number
            assert (decoded(encoded, syntax)[KEYWORDS[vr]].value or None) == shown
        assert encoded == by_pydicom(vrs, told, syntax)
    assert (data_set("STUDY", vrs, told)[KEYWORDS[vr]].value or None) == shown


def test_utf_8_is_declared_by_the_answers_that_need_it_alone() -> None:
    encoder = Encoder({"PatientName": "PN"}, encoding_of(ExplicitVRLittleEndian), OWN)
    plain, other = (decoded(encoder.encoded([name]), ExplicitVRLittleEndian) for name in ("Roe", "Müller"))
    assert "SpecificCharacterSet" not in plain
    assert (other.SpecificCharacterSet, other.PatientName) == ("ISO_IR 192", "Müller")


def test_answers_come_one_by_one_or_in_the_batches_in_which_they_are_found() -> None:
    def found() -> Generator[list[Values], None, None]:
        yield [["1.1"]]
        yield []
        yield [["1.2"], ["1.3"]]

    def answers() -> Answers:
        return Answers("STUDY", {"StudyInstanceUID": "UI"}, found())

    assert [answer.StudyInstanceUID for answer in answers()] == ["1.1", "1.2", "1.3"]
    batches = list(answers().encoded(encoding_of(ExplicitVRLittleEndian), {"RetrieveAETitle": "NODE"}))
    assert [len(batch) for batch in batches] == [1, 0, 2]
    assert decoded(batches[2][1], ExplicitVRLittleEndian).StudyInstanceUID == "1.3"


def by_pydicom(vrs: Mapping[str, str], told: Sequence[Value | None], syntax: UID) -> bytes | None:
    answer = data_set("STUDY", vrs, told)
    answer.RetrieveAETitle = OWN["RetrieveAETitle"]
    encoded: bytes | None = encode(answer, syntax.is_implicit_VR, syntax.is_little_endian)
    return encoded


def decoded(encoded: bytes, syntax: UID) -> Dataset:
    return read_dataset(BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian)
