"""Names in any character set come back from a result as the sources had them."""

from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scp.model import UNDECODABLE
from scp.part10 import read_facts
from scp.results import Encoder, ResultOptions, describe
from tests.builders import series, write_series
from tests.results.planning import (
    CT,
    all_stating,
    built_stack,
    facts_of,
    files_of,
    pixels_of,
    planned,
    selected,
)

WRITTEN = {
    "latin": ("ISO_IR 100", "Müller^Jörg"),
    "cyrillic": ("ISO_IR 144", "Люксембург"),
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "katakana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "utf-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
}


def first_object(stack, **options):
    plan = planned(count=1)
    encoder = Encoder(describe(selected(stack), plan, CT, ResultOptions(**options)))
    return files_of(encoder, pixels_of(plan))[0]


@pytest.mark.parametrize(("terms", "name"), WRITTEN.values(), ids=WRITTEN)
def test_a_name_keeps_its_character_set_and_its_bytes(tmp_path, terms, name):
    sources = series(12, SpecificCharacterSet=terms, PatientName=name)
    stack = built_stack(tmp_path, sources)
    ds = pydicom.dcmread(BytesIO(first_object(stack)))
    stated = (
        [ds.SpecificCharacterSet] if isinstance(ds.SpecificCharacterSet, str) else ds.SpecificCharacterSet
    )
    assert list(stated) == ([terms] if isinstance(terms, str) else terms)
    assert ds.PatientName == name
    assert str(ds.PatientName) == str(sources[0].PatientName)


def test_an_undecodable_name_comes_back_byte_for_byte(tmp_path):
    sources = series(12, SpecificCharacterSet="ISO_IR 192")
    for path in write_series(sources, tmp_path):
        path.write_bytes(path.read_bytes().replace(b"Roe^Jane", b"\xc8\xe2\xe0\xedf^Jn"))
    stack = facts_of(sorted(tmp_path.iterdir()))
    assert stack[0].header.text("PatientName").startswith(UNDECODABLE)
    assert b"PN\x08\x00\xc8\xe2\xe0\xedf^Jn" in first_object(stack)


LETTERS = st.characters(
    exclude_categories=("Cc", "Cs", "Cn", "Co", "Zs", "Zl", "Zp"), exclude_characters="\\=^\uf8ff"
)
NAMES = st.text(LETTERS, min_size=1, max_size=20)


@settings(max_examples=40)
@given(family=NAMES, given_name=NAMES, study=NAMES)
@pytest.mark.parametrize(
    "terms", ["ISO_IR 100", "ISO_IR 192", None, ("", "ISO 2022 IR 87"), "GB18030", "NONSENSE"]
)
def test_any_name_comes_back_whatever_the_sources_character_set(stack, terms, family, given_name, study):
    name = f"{family}^{given_name}"
    changed = all_stating(stack, SpecificCharacterSet=terms, PatientName=name, StudyDescription=study)
    ds = pydicom.dcmread(BytesIO(first_object(changed)))
    assert str(ds.PatientName) == name
    assert ds.StudyDescription == study


@settings(max_examples=60)
@given(text=st.text(LETTERS, max_size=90))
def test_any_series_description_fits_and_keeps_ours_whole(stack, text):
    ds = pydicom.dcmread(BytesIO(first_object(all_stating(stack, SeriesDescription=text or None))))
    assert ds.SeriesDescription.startswith("COR 0.7 MPR")
    assert len(ds.SeriesDescription) <= 64


def test_our_own_scanner_reads_a_result_as_its_sources(tmp_path, stack):
    path = tmp_path / "result.dcm"
    path.write_bytes(first_object(all_stating(stack, PatientName="山田^太郎")))
    (facts,) = read_facts(path)
    assert not facts.reason
    assert facts.header.text("PatientName") == "山田^太郎"
    assert facts.header.text("StudyInstanceUID") == stack[0].header.text("StudyInstanceUID")
