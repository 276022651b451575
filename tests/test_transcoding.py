"""Instances for who does not take them as they are stored: the same pixels and attributes."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from scp.config import Config, Limits
from scp.errors import Cancelled, DecodingFailed, Refused
from scp.isolation import local
from scp.isolation.budget import MemoryBudget
from scp.model import never
from scp.part10 import file_ref
from scp.results.compression import COMPRESS
from scp.transcoding import Transcoding
from tests.builders import image, write


@pytest.fixture(scope="module", autouse=True)
def children() -> None:
    local.start("scp.transcoding")


@pytest.fixture
def transcoding() -> Transcoding:
    return Transcoding(Config(), MemoryBudget(1 << 30))


def original(folder: Path) -> Path:
    ds = image(3, rows=64, columns=64, pixels=np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64))
    item = Dataset()
    item.add_new(0x00283006, "OW", np.array([1, 2, 65535], "<u2").tobytes())
    item.LUTDescriptor = [3, 0, 16]
    ds.ModalityLUTSequence = Sequence([item])
    ds.add_new(0x00091010, "OF", np.array([1.5, -2.25], "<f4").tobytes())
    ds.add_new(0x00090010, "LO", "HOUSE")
    return write(ds, folder / "original.dcm")


def stored_as(path: Path, syntax: UID) -> Path:
    ds = dcmread(path)
    pixels = ds.pixel_array
    ds.PixelData = encapsulate([COMPRESS[syntax](pixels)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path.with_suffix(f".{syntax}"))
    return path.with_suffix(f".{syntax}")


def decoded(transcoding: Transcoding, path: Path, target: UID) -> Dataset:
    stream, length = transcoding.data_set(file_ref(path), target, never)
    with stream:
        data = stream.read()
    assert len(data) == length
    ds = read_dataset(DicomBytesIO(data), target.is_implicit_VR, True)
    return Dataset(ds)


def same(one: Dataset, other: Dataset) -> bool:
    """Tell whether all elements agree but in what describes the encoding of Pixel Data."""
    keys = {element.tag for element in one} | {element.tag for element in other}
    return all(one[key].value == other[key].value for key in keys)


@pytest.mark.parametrize("target", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("stored", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_what_is_compressed_arrives_decoded_and_otherwise_as_it_was(
    transcoding: Transcoding, tmp_path: Path, stored: UID, target: UID
) -> None:
    path = original(tmp_path)
    assert same(decoded(transcoding, stored_as(path, stored), target), dcmread(path))


@pytest.mark.foreign
@pytest.mark.parametrize("target", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("option", "syntax"), [("+tb", ExplicitVRBigEndian), ("+td", DeflatedExplicitVRLittleEndian)]
)
def test_what_dcmtk_made_big_endian_or_deflated_comes_back_as_it_was(
    transcoding: Transcoding,
    tmp_path: Path,
    program: Callable[[str], str],
    option: str,
    syntax: UID,
    target: UID,
) -> None:
    path = original(tmp_path)
    other = tmp_path / "other.dcm"
    subprocess.run([program("dcmconv"), option, path, other], check=True)
    assert dcmread(other).file_meta.TransferSyntaxUID == syntax
    assert same(decoded(transcoding, other, target), dcmread(path))


def test_colour_is_decoded_to_rgb(transcoding: Transcoding, tmp_path: Path) -> None:
    ds = image()
    cells = np.random.default_rng(1).integers(0, 256, (8, 10, 3), np.uint8)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = cells.tobytes()
    path = stored_as(write(ds, tmp_path / "colour.dcm"), RLELossless)
    found = decoded(transcoding, path, ExplicitVRLittleEndian)
    assert (found.PhotometricInterpretation, found.PlanarConfiguration) == ("RGB", 0)
    assert found.PixelData == cells.tobytes()


def test_what_does_not_decode_says_so(transcoding: Transcoding, tmp_path: Path) -> None:
    path = stored_as(original(tmp_path), JPEG2000Lossless)
    ds = dcmread(path)
    ds.PixelData = ds.PixelData[:40] + bytes(len(ds.PixelData) - 40)
    ds.save_as(path)
    with pytest.raises(DecodingFailed):
        decoded(transcoding, path, ExplicitVRLittleEndian)


def test_what_nobody_waits_for_is_not_decoded(transcoding: Transcoding, tmp_path: Path) -> None:
    path = stored_as(original(tmp_path), RLELossless)
    with pytest.raises(Cancelled):
        transcoding.data_set(file_ref(path), ExplicitVRLittleEndian, lambda: True)


def test_an_image_that_needs_more_than_all_memory_is_refused(tmp_path: Path) -> None:
    path = stored_as(original(tmp_path), RLELossless)
    small = Transcoding(Config(), MemoryBudget(1 << 20))
    with pytest.raises(Refused, match=r"needs .* MiB"):
        small.data_set(file_ref(path), ExplicitVRLittleEndian, never)


def test_a_decoder_that_hangs_is_ended_at_the_deadline(tmp_path: Path) -> None:
    hurried = Transcoding(Config(limits=Limits(message_deadline=0.001)), MemoryBudget(1 << 30))
    with pytest.raises(Refused, match=r"not done within .*limits\.message_deadline"):
        hurried.data_set(file_ref(stored_as(original(tmp_path), RLELossless)), ExplicitVRLittleEndian, never)


def test_the_node_decodes_nothing_itself(
    transcoding: Transcoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a function that is only patched here, in this process, is not called."""
    called = threading.Event()
    monkeypatch.setattr(Dataset, "decompress", lambda *_, **__: called.set())
    path = stored_as(original(tmp_path), RLELossless)
    assert decoded(transcoding, path, ExplicitVRLittleEndian).PixelData
    assert not called.is_set()


def test_what_is_uncompressed_needs_no_child(
    transcoding: Transcoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "run", None)
    path = original(tmp_path)
    assert same(decoded(transcoding, path, ImplicitVRLittleEndian), dcmread(path))
