import pickle
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest

from scp.reconstruction.pixels import PixelFormat
from scp.results import Encoder, ResultOptions, describe
from tests.results.planning import CT, all_stating, files_of, pixels_of, planned, selected

UNSIGNED = PixelFormat(False, 1, "MONOCHROME2", None, None, "", 0)
COLOUR = PixelFormat(False, 3, "RGB", None, None, "", 0)
FORMATS = {"signed": CT, "unsigned": UNSIGNED, "colour": COLOUR}
COMPRESSIONS = {
    "none": "1.2.840.10008.1.2.1",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg_ls": "1.2.840.10008.1.2.4.80",
    "jpeg_2000": "1.2.840.10008.1.2.4.90",
}


def described(stack, plan, stored=CT, **options):
    return describe(selected(stack), plan, stored, ResultOptions(**options))


def after_preamble(data: bytes) -> bytes:
    """The data set alone: File Meta Information is ours, byte for byte, and not pydicom's."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


@pytest.mark.parametrize("sop_class", ["secondary_capture", "source", "multiframe"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("stored", FORMATS.values(), ids=FORMATS)
def test_spliced_bytes_are_those_that_pydicom_saves(stack, sop_class, compression, stored):
    plan = planned(rows=32, columns=33)
    encoder = Encoder(described(stack, plan, stored, sop_class=sop_class, compression=compression))
    for data in files_of(encoder, pixels_of(plan, stored)):
        saved = BytesIO()
        pydicom.dcmread(BytesIO(data)).save_as(saved, enforce_file_format=True)
        assert after_preamble(saved.getvalue()) == after_preamble(data)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("stored", FORMATS.values(), ids=FORMATS)
def test_pixels_come_back_as_they_went(stack, compression, stored):
    plan = planned(rows=33, columns=65)
    pixels = pixels_of(plan, stored)
    encoder = Encoder(described(stack, plan, stored, compression=compression))
    for index, data in enumerate(files_of(encoder, pixels)):
        ds = pydicom.dcmread(BytesIO(data))
        assert ds.file_meta.TransferSyntaxUID == COMPRESSIONS[compression]
        np.testing.assert_array_equal(ds.pixel_array, pixels[index])


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("stored", FORMATS.values(), ids=FORMATS)
def test_frames_come_back_as_they_went_through_the_modality_lut(stack, compression, stored):
    plan = planned(rows=33, columns=65)
    pixels = pixels_of(plan, stored)
    (data,) = files_of(
        Encoder(described(stack, plan, stored, sop_class="multiframe", compression=compression)), pixels
    )
    ds = pydicom.dcmread(BytesIO(data))
    assert ds.NumberOfFrames == 4
    if stored is COLOUR:
        np.testing.assert_array_equal(ds.pixel_array, pixels)
    else:
        values = ds.pixel_array * ds.RescaleSlope + ds.RescaleIntercept
        np.testing.assert_array_equal(values, pixels)
        assert ds.PixelPaddingValue + ds.RescaleIntercept == stored.padding_value


def test_a_slope_scales_the_offset_of_frames(stack):
    plan, stored = planned(), replace(CT, rescale_slope=0.5, rescale_intercept=10.0)
    pixels = pixels_of(plan, stored)
    (data,) = files_of(Encoder(described(stack, plan, stored, sop_class="multiframe")), pixels)
    ds = pydicom.dcmread(BytesIO(data))
    np.testing.assert_array_equal(ds.pixel_array * ds.RescaleSlope + ds.RescaleIntercept, pixels * 0.5 + 10)


@pytest.mark.parametrize(
    ("rows", "columns", "compression"), [(31, 64, "none"), (64, 31, "none"), (32, 32, "jpeg_2000")]
)
def test_a_plane_too_small_for_jpeg_2000_is_not_compressed(stack, rows, columns, compression):
    plan = planned(rows=rows, columns=columns, count=1)
    (data,) = files_of(Encoder(described(stack, plan, compression="jpeg_2000")), pixels_of(plan))
    ds = pydicom.dcmread(BytesIO(data))
    assert ds.file_meta.TransferSyntaxUID == COMPRESSIONS[compression]
    np.testing.assert_array_equal(ds.pixel_array, pixels_of(plan)[0])


@pytest.mark.parametrize("stored", [CT, UNSIGNED], ids=["signed", "unsigned"])
def test_a_jpeg_2000_codestream_states_the_sign_of_its_samples(stack, stored):
    plan = planned(rows=32, columns=32, count=1)
    (data,) = files_of(
        Encoder(described(stack, plan, stored, compression="jpeg_2000")), pixels_of(plan, stored)
    )
    sizes = data.index(b"\xff\x4f\xff\x51")
    assert bool(data[sizes + 42] & 0x80) == stored.signed  # Ssiz, ISO/IEC 15444-1 A.5.1


@pytest.mark.parametrize("columns", [7, 8])
def test_pixel_data_of_odd_length_is_padded(stack, columns):
    plan = planned(rows=5, columns=columns, count=1)
    (data,) = files_of(Encoder(described(stack, plan, COLOUR)), pixels_of(plan, COLOUR))
    assert len(pydicom.dcmread(BytesIO(data)).PixelData) == (105 + 1 if columns == 7 else 120)


def test_the_pieces_of_a_multiframe_make_one_file(stack):
    plan = planned()
    encoder = Encoder(described(stack, plan, sop_class="multiframe"))
    pixels = pixels_of(plan)
    pieces = [encoder.encode(index, each) for index, each in enumerate(pixels)]
    frames = pydicom.dcmread(BytesIO(b"".join(pieces))).pixel_array
    assert np.array_equal(frames, np.array(pixels, int) + encoder.series.value_offset)
    assert len(pieces[1]) == pixels[1].nbytes


def test_planes_encoded_in_any_order_are_the_same_objects(stack):
    plan = planned()
    series, pixels = described(stack, plan), pixels_of(plan)
    one, other = Encoder(series), Encoder(pickle.loads(pickle.dumps(series)))
    for index in (3, 0, 2):
        assert one.encode(index, pixels[index]) == other.encode(index, pixels[index])


def test_instances_are_numbered_from_one_in_the_order_of_planes(stack):
    plan = planned()
    series = described(stack, plan)
    headers = [Encoder(series).header(index) for index in range(4)]
    assert [ds.InstanceNumber for ds in headers] == [1, 2, 3, 4]
    assert [tuple(ds.ImagePositionPatient) for ds in headers] == [tuple(p) for p in plan.positions]
    assert tuple(ds.SOPInstanceUID for ds in headers) == series.sop_instance_uids


def test_a_pet_image_counts_itself_in_image_index_too(stack):
    pet = all_stating(stack, SOPClassUID="1.2.840.10008.5.1.4.1.1.128", Modality="PT")
    encoder = Encoder(described(pet, planned(), sop_class="source"))
    assert [encoder.header(index).ImageIndex for index in range(4)] == [1, 2, 3, 4]
    assert encoder.header(0).NumberOfSlices == 4


WRONG = {
    "transposed": np.zeros((7, 6), "<i2"),
    "unsigned": np.zeros((6, 7), "<u2"),
    "wide": np.zeros((6, 7), "<i4"),
    "big endian": np.zeros((6, 7), ">i2"),
    "coloured": np.zeros((6, 7, 3), "u1"),
}


@pytest.mark.parametrize("pixels", WRONG.values(), ids=WRONG)
def test_pixels_of_another_shape_or_type_are_not_encoded(stack, pixels):
    with pytest.raises(ValueError, match="needed are int16"):
        Encoder(described(stack, planned())).encode(0, pixels)


def test_pixels_need_not_lie_in_one_piece(stack):
    plan = planned()
    pixels = np.asfortranarray(pixels_of(plan)[0])
    data = Encoder(described(stack, plan)).encode(0, pixels)
    np.testing.assert_array_equal(pydicom.dcmread(BytesIO(data)).pixel_array, pixels)
