"""What one file tells of itself, whatever it is: the header scan against pydicom, and against damage."""

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from scp.errors import Code, NotDicom
from scp.model import HEADER_KEYWORDS, UNDECODABLE, FileFacts, FileStamp
from scp.part10 import file_head, file_ref, read_facts
from scp.part10.header import DEEPEST_NESTING, FIRST_WINDOW_BYTES
from tests.builders import image, write

REAL_CASES = ("syntaxes_mr_mosaic", "syntaxes_mr_4slices", "enhanced_multiframe", "oddities_dicom2nifti")

SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def facts_of(path: Path) -> FileFacts:
    """Return the facts of a file that holds one image."""
    (facts,) = read_facts(path)
    return facts


def as_big_endian(ds: Dataset, path: Path) -> Path:
    """Write *ds* in explicit big endian, its pixels swapped as that syntax has them."""
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.save_as(path, little_endian=False, implicit_vr=False, enforce_file_format=True)
    return path


def written(ds: Dataset, path: Path, transfer_syntax_uid: str) -> Path:
    if transfer_syntax_uid == ExplicitVRBigEndian:
        return as_big_endian(ds, path)
    return write(ds, path, transfer_syntax_uid=transfer_syntax_uid)


def bytes_of(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


# what is read


@pytest.mark.parametrize("transfer_syntax_uid", SYNTAXES)
def test_the_header_reads_alike_in_every_encoding(tmp_path: Path, transfer_syntax_uid: str) -> None:
    expected = facts_of(write(image(3), tmp_path / "plain.dcm")).header
    facts = facts_of(written(image(3), tmp_path / "other.dcm", transfer_syntax_uid))
    assert facts.reason == ""
    assert dict(facts.header.attributes) == dict(expected.attributes)
    assert facts.pixel_data is not None
    assert facts.pixel_data.transfer_syntax_uid == transfer_syntax_uid


def test_numbers_text_and_lists_have_the_types_of_their_vr(tmp_path: Path) -> None:
    header = facts_of(write(image(3, WindowCenter=[40, 50]), tmp_path / "a.dcm")).header
    assert header.get("Rows") == 8
    assert header.get("InstanceNumber") == 4
    assert header.get("ImagePositionPatient") == (0.0, 0.0, 6.0)
    assert header.get("WindowCenter") == (40.0, 50.0)
    assert header.get("ImageType") == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert header.get("PatientName") == "Roe^Jane"


def test_what_is_empty_is_absent(tmp_path: Path) -> None:
    header = facts_of(write(image(PatientSex="", StudyID=None), tmp_path / "a.dcm")).header
    assert "PatientSex" not in header
    assert "StudyID" not in header


@pytest.mark.parametrize("transfer_syntax_uid", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_pixel_data_lies_where_the_facts_say(tmp_path: Path, transfer_syntax_uid: str) -> None:
    ds = image(2)
    path = write(ds, tmp_path / "a.dcm", transfer_syntax_uid=transfer_syntax_uid)
    pixel_data = facts_of(path).pixel_data
    assert pixel_data is not None
    raw = path.read_bytes()[pixel_data.offset : pixel_data.offset + pixel_data.length]
    assert raw == ds.PixelData


def test_encapsulated_pixel_data_runs_to_the_end_of_its_delimiter(tmp_path: Path) -> None:
    ds = image(BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = encapsulate([b"fragment"])
    ds["PixelData"].is_undefined_length = True
    path = write(ds, tmp_path / "a.dcm", transfer_syntax_uid=RLELossless)
    with path.open("ab") as file:  # Data Set Trailing Padding
        file.write(struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 4) + bytes(4))
    pixel_data = facts_of(path).pixel_data
    assert pixel_data is not None
    assert pixel_data.offset + pixel_data.length == path.stat().st_size - 16


def test_padding_value_written_unsigned_stays_as_written(tmp_path: Path) -> None:
    ds = image()
    ds.add_new("PixelPaddingValue", "US", 63536)
    assert facts_of(write(ds, tmp_path / "a.dcm")).header.get("PixelPaddingValue") == 63536


def test_padding_value_without_vr_takes_its_sign_from_pixel_representation(tmp_path: Path) -> None:
    ds = image()
    ds.add_new("PixelPaddingValue", "SS", -2000)
    path = write(ds, tmp_path / "a.dcm", transfer_syntax_uid=ImplicitVRLittleEndian)
    assert facts_of(path).header.get("PixelPaddingValue") == -2000


def test_a_sequence_comes_as_dicom_json(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        "113072",
        "DCM",
        "Multiplanar reformatting",
    )
    ds = image(DerivationCodeSequence=Sequence([code]))
    expected = Dataset.from_json({"00089215": {"vr": "SQ", "Value": [code.to_json_dict()]}})
    for number, syntax in enumerate(SYNTAXES):
        text = facts_of(written(ds, tmp_path / f"{number}.dcm", syntax)).header.text("DerivationCodeSequence")
        assert Dataset.from_json(f'{{"00089215": {{"vr": "SQ", "Value": {text}}}}}') == expected


def test_sequences_of_undefined_length_are_stepped_over(tmp_path: Path) -> None:
    inner = Dataset()
    inner.PatientName = "Another^One"
    inner.InstanceNumber = 999
    ds = image()
    ds.ReferencedStudySequence = Sequence([inner, inner])
    ds["ReferencedStudySequence"].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    header = facts_of(write(ds, tmp_path / "a.dcm")).header
    assert (header.text("PatientName"), header.integer("InstanceNumber")) == ("Roe^Jane", 1)


def test_a_long_private_element_before_pixel_data_is_stepped_over(tmp_path: Path) -> None:
    ds = image()
    ds.add_new(0x00191001, "OB", b"\1" * (3 * FIRST_WINDOW_BYTES))
    facts = facts_of(write(ds, tmp_path / "a.dcm"))
    assert facts.reason == ""
    assert facts.header.integer("Rows") == 8


def test_an_extra_keyword_is_decoded_when_asked_for(tmp_path: Path) -> None:
    path = write(image(OperatorsName="Doe^John"), tmp_path / "a.dcm")
    assert "OperatorsName" not in facts_of(path).header
    assert read_facts(path, extra=["OperatorsName"])[0].header.text("OperatorsName") == "Doe^John"


def test_group_length_elements_in_a_data_set_are_tolerated(case: Callable[[str], Path]) -> None:
    path = next(case("mr_brain_ge_axial_jitter").rglob("brain_001.dcm"))
    assert facts_of(path).reason == ""


# text


@pytest.mark.parametrize("path", get_charset_files("chr*.dcm"), ids=lambda path: Path(path).stem)
def test_names_decode_under_their_character_set(path: str) -> None:
    expected = str(pydicom.dcmread(path).get("PatientName", ""))
    assert read_facts(Path(path))[0].header.text("PatientName").rstrip("=") == expected


def test_bytes_that_are_not_of_the_character_set_are_marked_and_kept(tmp_path: Path) -> None:
    raw = write(image(), tmp_path / "a.dcm").read_bytes()
    path = tmp_path / "b.dcm"
    path.write_bytes(raw.replace(b"Roe^Jane", b"Roe^\xcd\xe5\xf2!"))
    assert facts_of(path).header.text("PatientName") == UNDECODABLE + b"Roe^\xcd\xe5\xf2!".hex()


def test_two_unlabelled_names_of_another_alphabet_never_become_equal(tmp_path: Path) -> None:
    raw = write(image(), tmp_path / "a.dcm").read_bytes()
    names = []
    for number, name in enumerate((b"\xc8\xe2\xe0\xed\xee\xe2  ", b"\xcf\xe5\xf2\xf0\xee\xe2  ")):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(raw.replace(b"Roe^Jane", name))
        names.append(facts_of(path).header.text("PatientName"))
    assert names[0] != names[1]


def test_an_unknown_character_set_decodes_plain_letters_only(tmp_path: Path) -> None:
    raw = write(image(), tmp_path / "a.dcm").read_bytes().replace(b"ISO_IR 192", b"ISO_IR 999")
    (tmp_path / "b.dcm").write_bytes(raw)
    (tmp_path / "c.dcm").write_bytes(raw.replace(b"Roe^Jane", b"Roe^Jan\xe9"))
    assert facts_of(tmp_path / "b.dcm").header.text("PatientName") == "Roe^Jane"
    assert facts_of(tmp_path / "c.dcm").header.text("PatientName").startswith(UNDECODABLE)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b"1.0 ", 1), (b"+7  ", 7), (b"1e9 ", 1_000_000_000), (b"12A ", "12A"), (b"9" * 64, int("9" * 64))],
)
def test_an_integer_string_is_a_number_where_it_can_be_one(
    tmp_path: Path, raw: bytes, expected: object
) -> None:
    ds = image(InstanceNumber=None)
    ds.add_new(0x00200013, "LO", raw.decode())
    path = write(ds, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"\x20\x00\x13\x00LO", b"\x20\x00\x13\x00IS"))
    assert facts_of(path).header.get("InstanceNumber") == expected


# what is told of a file


def test_a_data_set_without_preamble_is_recognised_in_every_encoding(tmp_path: Path) -> None:
    for number, (implicit, little) in enumerate([(True, True), (False, True), (False, False)]):
        bare = Dataset(image(1))
        path = tmp_path / f"{number}"
        bare.save_as(path, implicit_vr=implicit, little_endian=little)
        facts = facts_of(path)
        assert (facts.reason, facts.preamble) == ("", False)
        assert facts.header.integer("Rows") == 8


def test_even_implicit_big_endian_without_preamble_is_recognised(tmp_path: Path) -> None:
    elements = ((0x00080016, b"1.2.840.10008.5.1.4.1.1.2\0"), (0x00280010, struct.pack(">H", 8)))
    packed = (struct.pack(">HHI", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in elements)
    (tmp_path / "a").write_bytes(b"".join(packed))
    assert facts_of(tmp_path / "a").header.integer("Rows") == 8


@pytest.mark.parametrize("name", ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_published_files_without_file_meta_information_are_read(name: str) -> None:
    facts = facts_of(Path(str(get_testdata_file(name))))
    assert facts.sop_instance_uid == pydicom.dcmread(str(get_testdata_file(name)), force=True).SOPInstanceUID


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Code.UNREADABLE),
        (b"hello, this is no image" * 20, Code.NOT_DICOM),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), Code.NOT_DICOM),
        (bytes(200), Code.NOT_DICOM),
        (bytes(128) + b"DICM", Code.UNREADABLE),
        (bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff1.2", Code.UNREADABLE),
        (bytes(128) + b"DICM" + b"\xff" * 300, Code.UNREADABLE),
    ],
)
def test_what_is_no_dicom_is_told_from_what_does_not_parse(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert facts_of(path).reason == reason


def test_pixel_data_that_is_cut_off_is_truncated(tmp_path: Path) -> None:
    path = write(image(), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-1])
    facts = facts_of(path)
    assert facts.reason == Code.TRUNCATED
    assert facts.header.integer("Rows") == 8


def test_pixel_data_shorter_than_the_image_is_truncated(tmp_path: Path) -> None:
    assert facts_of(write(image(Rows=9), tmp_path / "a.dcm")).reason == Code.TRUNCATED


def test_fewer_fragments_than_frames_is_truncated(tmp_path: Path) -> None:
    ds = image(NumberOfFrames=2)
    ds.PixelData = encapsulate([b"only one"])
    ds["PixelData"].is_undefined_length = True
    assert facts_of(write(ds, tmp_path / "a.dcm", transfer_syntax_uid=RLELossless)).reason == Code.TRUNCATED


@pytest.mark.parametrize("cut", [8, 12])
def test_a_fragment_or_delimiter_that_is_cut_off_is_truncated(tmp_path: Path, cut: int) -> None:
    ds = image()
    ds.PixelData = encapsulate([b"fragment"])
    ds["PixelData"].is_undefined_length = True
    path = write(ds, tmp_path / "a.dcm", transfer_syntax_uid=RLELossless)
    path.write_bytes(path.read_bytes()[:-cut])
    assert facts_of(path).reason == Code.TRUNCATED


def test_an_image_without_pixel_data_says_so(tmp_path: Path) -> None:
    assert facts_of(write(image(PixelData=None), tmp_path / "a.dcm")).reason == Code.NO_PIXEL_DATA


def test_a_report_and_a_dicomdir_are_not_images(case: Callable[[str], Path]) -> None:
    reasons = {facts_of(path).reason for path in case("nonimage_private").rglob("*") if path.is_file()}
    assert reasons == {Code.NOT_AN_IMAGE}
    dicomdir = next(case("ct_study_philips_headphantom").rglob("DICOMDIR"))
    assert facts_of(dicomdir).reason == Code.NOT_AN_IMAGE


def test_nothing_but_a_regular_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("fifo", "socket"):
            assert facts_of(tmp_path / name).reason == Code.NOT_A_FILE


def test_a_link_is_followed_only_within_its_bounds(tmp_path: Path) -> None:
    target = write(image(), tmp_path / "elsewhere" / "a.dcm")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "away").symlink_to(target)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "nowhere").symlink_to(folder / "nothing")
    assert {facts_of(path).reason for path in folder.iterdir()} == {Code.NOT_A_FILE}
    assert read_facts(folder / "away", within=tmp_path)[0].reason == ""


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    assert facts_of(tmp_path / "nothing").reason == Code.UNREADABLE


@pytest.mark.parametrize(("times", "reason"), [(1, ""), (2, Code.UNREADABLE)])
def test_a_file_that_changes_while_it_is_read_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, reason: str
) -> None:
    path = write(image(), tmp_path / "a.dcm")
    left = [times]
    real = os.pread

    def disturbing(descriptor: int, size: int, offset: int) -> bytes:
        data = real(descriptor, size, offset)
        if left[0] and offset > 0:
            left[0] -= 1
            os.utime(path, ns=(1, left[0] + 1))
        return data

    monkeypatch.setattr(os, "pread", disturbing)
    assert facts_of(path).reason == reason


def test_the_stamp_is_that_of_the_file(tmp_path: Path) -> None:
    path = write(image(), tmp_path / "a.dcm")
    assert facts_of(path).stamp == FileStamp.of(path.stat())


# multi-frame


def enhanced(frames: int) -> Dataset:
    """Return an enhanced MR whose frame n lies at z = 2 n and has its own rescale slope."""
    ds = image(SOPClassUID=EnhancedMRImageStorage, ImagePositionPatient=None, ImageOrientationPatient=None)
    ds.PixelSpacing = None
    ds.NumberOfFrames = frames
    ds.PixelData = ds.PixelData * frames
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing = [0.5, 0.25]
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_frame(n) for n in range(frames)])
    return ds


def _frame(number: int) -> Dataset:
    groups, position, values, content = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, 2 * number]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = number + 1, 0, "US"
    content.InStackPositionNumber = 10 + number
    groups.PlanePositionSequence = Sequence([position])
    groups.PixelValueTransformationSequence = Sequence([values])
    groups.FrameContentSequence = Sequence([content])
    return groups


@pytest.mark.parametrize("transfer_syntax_uid", [*SYNTAXES[:2], DeflatedExplicitVRLittleEndian])
def test_each_frame_has_the_attributes_of_a_classic_image(tmp_path: Path, transfer_syntax_uid: str) -> None:
    frames = read_facts(write(enhanced(3), tmp_path / "a.dcm", transfer_syntax_uid=transfer_syntax_uid))
    assert [facts.frame for facts in frames] == [1, 2, 3]
    for number, facts in enumerate(frames):
        assert facts.header.get("ImagePositionPatient") == (0.0, 0.0, 2.0 * number)
        assert facts.header.get("PixelSpacing") == (0.5, 0.25)
        assert facts.header.number("RescaleSlope") == number + 1
        assert facts.instance_number == 10 + number


def test_frames_without_geometry_of_their_own_are_one_image(tmp_path: Path) -> None:
    ds = image(NumberOfFrames=2)
    ds.PixelData = ds.PixelData * 2
    facts = facts_of(write(ds, tmp_path / "a.dcm"))
    assert (facts.frame, facts.reason) == (0, "")


def test_frames_of_a_real_enhanced_image_lie_where_the_classic_slices_lie(
    case: Callable[[str], Path],
) -> None:
    folder = case("mr_phantom_siemens_sag_classic_enhanced")
    read = [read_facts(path) for path in folder.rglob("*") if path.is_file()]
    (frames,) = [facts for facts in read if len(facts) > 1]
    classic = [facts for (facts,) in (each for each in read if len(each) == 1)]
    keyword = "ImagePositionPatient"
    expected = sorted(facts.header.numbers(keyword) for facts in classic)
    found = sorted(facts.header.numbers(keyword) for facts in frames)
    assert [pytest.approx(position, abs=1e-3) for position in expected] == found
    assert {f.header.numbers("PixelSpacing") for f in frames} == {
        f.header.numbers("PixelSpacing") for f in classic
    }


# heads and references


def test_a_written_head_makes_a_file_that_others_read(tmp_path: Path) -> None:
    ds = image()
    data_set = bytes_of(ds)[file_ref(write(ds, tmp_path / "a.dcm")).offset :]
    path = tmp_path / "b.dcm"
    path.write_bytes(
        file_head(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian, "SENDER") + data_set
    )
    read = pydicom.dcmread(path)
    assert read == Dataset(ds)
    assert read.file_meta.SourceApplicationEntityTitle == "SENDER"
    assert read.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_a_reference_bounds_the_data_set(tmp_path: Path) -> None:
    path = write(image(), tmp_path / "a.dcm", transfer_syntax_uid=ImplicitVRLittleEndian)
    ref = file_ref(path)
    raw = path.read_bytes()
    assert ref.transfer_syntax_uid == ImplicitVRLittleEndian
    assert ref.offset + ref.length == len(raw)
    assert raw[ref.offset : ref.offset + 4] == b"\x08\x00\x05\x00"


def test_a_reference_to_what_is_no_dicom_raises(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing" * 100)
    with pytest.raises(NotDicom):
        file_ref(tmp_path / "x")


@pytest.mark.parametrize(
    ("begin", "kind"), [(b"PK\x03\x04", "zip archive"), (b"\x1f\x8b\x08\0", "gzip file")]
)
def test_a_packed_file_is_told_to_be_unpacked(tmp_path: Path, begin: bytes, kind: str) -> None:
    (tmp_path / "x").write_bytes(begin + bytes(1000))
    (facts,) = read_facts(tmp_path / "x")
    assert (facts.reason, facts.detail) == (Code.NOT_DICOM, f"a {kind}; unpack it")


# against pydicom, and against damage


@pytest.mark.parametrize("name", REAL_CASES)
def test_real_headers_read_as_pydicom_reads_them(case: Callable[[str], Path], name: str) -> None:
    compared = 0
    for path in (each for each in case(name).rglob("*") if each.is_file()):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        header = read_facts(path)[0].header
        for keyword in set(HEADER_KEYWORDS) & set(ds.dir()):
            element = ds[keyword]
            if (
                element.VR in ("DS", "IS", "US", "SS", "FD", "FL")
                and element.VM
                and not read_facts(path)[0].frame
            ):
                expected = tuple(map(float, element.value if element.VM > 1 else [element.value]))
                assert header.numbers(keyword) == pytest.approx(expected), (path, keyword)
                compared += 1
            elif element.VR in ("UI", "CS", "DA") and element.VM == 1 and keyword not in ("ImageType",):
                assert header.text(keyword) == str(element.value), (path, keyword)
                compared += 1
    assert compared > 100


def _element(tag: int, vr: bytes, length: int) -> bytes:
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)


@pytest.mark.parametrize(
    ("depth", "reason"),
    [(DEEPEST_NESTING, ""), (DEEPEST_NESTING + 1, Code.UNREADABLE), (100_000, Code.UNREADABLE)],
)
def test_sequences_are_walked_to_a_bounded_depth(tmp_path: Path, depth: int, reason: str) -> None:
    raw = write(image(), tmp_path / "a.dcm").read_bytes()
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    bomb = (_element(0x00081110, b"SQ", 0xFFFFFFFF) + item) * depth + ends * depth
    start = raw.index(b"\x08\x00\x20\x00DA")
    (tmp_path / "b.dcm").write_bytes(raw[:start] + bomb + raw[start:])
    assert facts_of(tmp_path / "b.dcm").reason == reason


def test_an_element_that_claims_gigabytes_is_refused_without_reading_them(tmp_path: Path) -> None:
    raw = write(image(), tmp_path / "a.dcm").read_bytes()
    start = raw.index(b"\x08\x00\x20\x00DA")
    (tmp_path / "b.dcm").write_bytes(raw[:start] + _element(0x00081111, b"OB", 0xFFFFFFF0) + raw[start:])
    facts = facts_of(tmp_path / "b.dcm")
    assert (facts.reason, "4294967280" in facts.detail) == (Code.UNREADABLE, True)


def test_a_deflated_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scp.part10.data_set.MOST_INFLATED_BYTES", 1 << 22)
    path = write(image(), tmp_path / "a.dcm", transfer_syntax_uid=DeflatedExplicitVRLittleEndian)
    ref = file_ref(path)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path.write_bytes(path.read_bytes()[: ref.offset] + deflater.compress(bytes(1 << 24)) + deflater.flush())
    assert facts_of(path).reason == Code.UNREADABLE


def test_an_image_of_65535_squared_is_truncated_and_nothing_is_allocated(tmp_path: Path) -> None:
    assert facts_of(write(image(Rows=65535, Columns=65535), tmp_path / "a.dcm")).reason == Code.TRUNCATED


def _seeds() -> list[bytes]:
    implicit = image()
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    nested = image(DerivationCodeSequence=Sequence([Dataset(image(PixelData=None))]))
    nested["DerivationCodeSequence"].is_undefined_length = True
    compressed = image()
    compressed.file_meta.TransferSyntaxUID = RLELossless
    compressed.PixelData = encapsulate([b"fragment", b"another."])
    compressed["PixelData"].is_undefined_length = True
    japanese = Path(next(path for path in get_charset_files("chrH31.dcm"))).read_bytes()
    return [*map(bytes_of, (image(), implicit, nested, compressed, enhanced(2))), japanese]


SEEDS = _seeds()
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(("set", "cut", "insert", "delete", "length")),
        st.integers(0, 1 << 16),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def mutated(seed: bytes, mutations: list[tuple[str, int, bytes]]) -> bytes:
    data = bytearray(seed)
    for kind, at, new in mutations:
        at = at % max(len(data), 1)
        if kind == "set":
            data[at : at + len(new)] = new
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = new
        elif kind == "delete":
            del data[at : at + len(new)]
        else:
            data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.sampled_from(SEEDS), mutations=MUTATIONS)
def test_damaged_files_get_a_reason_or_facts_and_never_an_exception(
    tmp_path: Path, seed: bytes, mutations: list[tuple[str, int, bytes]]
) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(mutated(seed, mutations))
    for facts in read_facts(path):
        assert facts.path == path
        if not facts.reason:
            assert facts.pixel_data is not None
            assert facts.pixel_data.offset + facts.pixel_data.length <= path.stat().st_size


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=2000), preamble=st.booleans())
def test_arbitrary_bytes_never_raise(tmp_path: Path, content: bytes, preamble: bool) -> None:
    path = tmp_path / "anything"
    path.write_bytes(bytes(128) + b"DICM" + content if preamble else content)
    assert read_facts(path)
