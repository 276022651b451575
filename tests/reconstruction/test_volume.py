"""Reading pixels: every way of storing a known ramp gives that ramp; what cannot be had is said."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from scp.errors import DecodingFailed, Refused
from scp.model import Interpolation, Missing, PlaneRequest, Policy
from scp.part10 import read_facts
from scp.reconstruction.geometry import slice_table, volume_geometry
from scp.reconstruction.pixels import pixel_format
from scp.reconstruction.planes import plan
from scp.reconstruction.volume import NOWHERE, read_volume
from tests.builders import image, ramp, series, write, write_series
from tests.reconstruction.scenes import one_plane


def facts_of(datasets, folder):
    return [read_facts(path)[0] for path in write_series(datasets, folder)]


def read(stack, missing=(), policy=Policy.REFUSE):
    return read_volume(stack, missing, policy, pixel_format(stack))


def stored(scene):
    return scene.values[0].astype(int) + scene.bias


RAMP = np.array([ramp(k, 8, 10) for k in range(3)]).astype(int)


@pytest.mark.parametrize(
    "syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_every_syntax_gives_the_stored_values(tmp_path, syntax):
    datasets = series(3)
    for ds in datasets:
        if syntax == RLELossless:
            ds.compress(RLELossless, encoding_plugin="pydicom")
        elif syntax == ExplicitVRBigEndian:
            ds.PixelData = ds.pixel_array.astype(">i2").tobytes()
        if syntax is not None:
            ds.file_meta.TransferSyntaxUID = syntax
    assert (stored(read(facts_of(datasets, tmp_path))) == RAMP).all()


@pytest.mark.parametrize(("signed", "bits"), [(0, 12), (1, 12), (0, 16), (1, 16), (0, 10)])
def test_bits_that_are_not_pixels_are_masked_and_signs_extended(tmp_path, signed, bits):
    values = np.array([[0, 1, 5], [-3 if signed else 3, (1 << (bits - 1)) - 1, 2]])
    cells = values.astype(np.int16).view(np.uint16) & ((1 << bits) - 1)
    junk = (0xA5A5 << bits) & 0xFFFF
    datasets = [
        image(
            k,
            pixels=(cells | junk).astype(np.uint16),
            Modality="MR",
            RescaleSlope=None,
            RescaleIntercept=None,
            RescaleType=None,
            BitsStored=bits,
            HighBit=bits - 1,
            PixelRepresentation=signed,
        )
        for k in range(2)
    ]
    assert (stored(read(facts_of(datasets, tmp_path))) == values).all()


def test_eight_bits_are_read_as_values(tmp_path):
    pixels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    assert (stored(read(facts_of([image(k, pixels=pixels) for k in range(2)], tmp_path))) == pixels).all()


def test_the_intercept_of_ct_is_added(tmp_path):
    scene = read(facts_of(series(3, RescaleIntercept="-1024"), tmp_path))
    assert (stored(scene) == RAMP - 1024).all()


def test_hounsfield_units_below_16_bits_saturate_and_all_others_are_exact(tmp_path):
    pixels = np.array([[-32768, -31745], [-31744, 32767]], np.int16)
    scene = read(facts_of([image(k, pixels=pixels, RescaleIntercept="-1024") for k in range(2)], tmp_path))
    assert stored(scene)[0].tolist() == [[-32768, -32768], [-32768, 31743]]


def test_monochrome1_is_turned_round_where_no_rescale_gives_a_meaning(tmp_path):
    bare = {"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}
    pixels = np.arange(80, dtype=np.uint16).reshape(8, 10)
    scene = read(
        facts_of(
            [image(k, pixels=pixels, PhotometricInterpretation="MONOCHROME1", **bare) for k in range(2)],
            tmp_path,
        )
    )
    assert (stored(scene) == 65535 - pixels).all()
    ct = facts_of(series(2, PhotometricInterpretation="MONOCHROME1"), tmp_path / "ct")
    assert (stored(read(ct)) == RAMP[:2]).all()


def test_each_slice_is_rescaled_by_its_own_values(tmp_path):
    pixels = np.full((4, 4), 1000, np.int16)
    slopes = [0.5, 2.0, 1.0]
    datasets = [image(k, pixels=pixels, Modality="PT", RescaleSlope=str(s)) for k, s in enumerate(slopes)]
    scene = read(facts_of(datasets, tmp_path))
    assert stored(scene)[:, 0, 0].tolist() == [250, 1000, 500]


def test_padding_is_known_whatever_its_vr_and_range(tmp_path):
    pixels = ramp(0, 8, 10)
    pixels[0] = [-2000, -1990, -1985, 7, 8, 9, 10, 11, 12, 13]
    datasets = [image(k, pixels=pixels.copy()) for k in range(2)]
    for ds in datasets:
        ds.add_new("PixelPaddingValue", "US", 63536)
        ds.add_new("PixelPaddingRangeLimit", "US", 63546)
    scene = read(facts_of(datasets, tmp_path))
    assert scene.padding == scene.pixel_format.padding_value == -2000
    assert stored(scene)[0, 0].tolist() == [-2000, -2000, -1985, 7, 8, 9, 10, 11, 12, 13]


def test_a_declared_padding_that_no_voxel_has_costs_nothing(tmp_path):
    scene = read(facts_of(series(2, PixelPaddingValue=-2000), tmp_path))
    assert scene.padding == NOWHERE
    assert not scene.has_holes


def test_colour_is_three_channels_and_renders_as_rgb(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    colour = {
        "PhotometricInterpretation": "RGB",
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "BitsStored": 8,
        "BitsAllocated": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }
    stack = facts_of([image(k, pixels=pixels, step=1.0, **colour) for k in range(3)], tmp_path)
    scene = read(stack)
    planned = plan(scene.geometry, PlaneRequest())
    plane = one_plane(scene, planned, 4, Interpolation.LINEAR)
    assert plane.dtype == np.uint8
    assert (plane == np.broadcast_to(pixels[4], (3, 7, 3))).all()


def test_palette_colour_is_expanded(tmp_path):
    indices = np.array([[0, 1], [2, 3]], np.uint8)
    datasets = [image(k, pixels=indices, PhotometricInterpretation="PALETTE COLOR") for k in range(2)]
    for ds in datasets:
        for place, name in enumerate(("Red", "Green", "Blue")):
            setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
            table = (np.arange(4) * 1000 * (place + 1)).astype("<u2")
            setattr(ds, f"{name}PaletteColorLookupTableData", table.tobytes())
    scene = read(facts_of(datasets, tmp_path))
    expected = [[[0, 1000], [2000, 3000]], [[0, 2000], [4000, 6000]], [[0, 3000], [6000, 9000]]]
    assert (scene.values[:, 0] == np.array(expected) >> 8).all()


def hole(position, before):
    return Missing(instance_number=3, position_mm=position[2], image_position_patient=position, before=before)


def test_a_missing_slice_is_made_of_its_neighbours_at_their_true_distances(tmp_path):
    stack = facts_of([image(k) for k in (0, 1, 4)], tmp_path)
    scene = read(stack, (hole((0.0, 0.0, 4.0), 2),), Policy.INTERPOLATE)
    assert scene.geometry.stack_index == (0, 1, -1, 2)
    assert (stored(scene)[2] == np.floor(RAMP[0] + 100 + 100 + 0.5)).all()


def test_a_missing_slice_may_be_padding_that_counts_as_outside(tmp_path):
    stack = facts_of([image(k) for k in (0, 1, 3)], tmp_path)
    scene = read(stack, (hole((0.0, 0.0, 4.0), 2),), Policy.PAD)
    assert scene.usable.tolist() == [True, True, False, True]
    planned = plan(scene.geometry, PlaneRequest())
    plane = one_plane(scene, planned, 5, Interpolation.LINEAR)
    assert plane[:, 0].tolist() == [350, 350, -1000, 150, 150, 100, 50]


def test_a_hole_is_refused_where_the_policy_says_so(tmp_path):
    stack = facts_of([image(k) for k in (0, 1, 3)], tmp_path)
    with pytest.raises(Refused, match="missing"):
        read(stack, (hole((0.0, 0.0, 4.0), 2),))


def test_lost_ends_become_no_slices(tmp_path):
    stack = facts_of(series(3), tmp_path)
    ends = (hole((0.0, 0.0, -2.0), 0), hole((0.0, 0.0, 6.0), 3), Missing(instance_number=9))
    assert volume_geometry(stack, ends).stack_index == (0, 1, 2)


def test_slices_out_of_order_are_refused(tmp_path):
    with pytest.raises(Refused, match="order"):
        volume_geometry(facts_of(series(3), tmp_path)[::-1])


@pytest.mark.parametrize(("off", "even"), [(0.004, True), (0.05, False)])
def test_slices_within_a_hundredth_are_even_and_others_keep_their_places(tmp_path, off, even):
    datasets = series(4)
    datasets[1].ImagePositionPatient = [0.0, 0.0, 2.0 + off]
    table = slice_table(volume_geometry(facts_of(datasets, tmp_path)))
    assert table.is_even is even
    assert table.heights_mm.tolist() == pytest.approx([0, 2.0 if even else 2.0 + off, 4, 6])


def test_a_file_that_changed_since_its_header_was_read_is_not_used(tmp_path):
    stack = facts_of(series(2), tmp_path)
    with stack[0].path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DecodingFailed, match="changed"):
        read(stack)


def test_a_file_that_is_gone_is_named(tmp_path):
    stack = facts_of(series(2), tmp_path)
    stack[1].path.unlink()
    with pytest.raises(DecodingFailed, match=r"0002\.dcm"):
        read(stack)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_was_replaced_since_its_header_was_read_is_not_read(tmp_path, compressed):
    datasets, others = series(2), [image(k + 5) for k in range(2)]
    for ds in [*datasets, *others] if compressed else []:
        ds.compress(RLELossless, encoding_plugin="pydicom")
    stack = facts_of(datasets, tmp_path)
    assert read(stack) is not None
    write(others[1], stack[1].path)
    os.utime(stack[1].path, ns=(0, 0))
    with pytest.raises(DecodingFailed, match="changed since its header was read") as told:
        read(stack)
    assert told.value.paths == (stack[1].path,)


def test_all_files_that_cannot_be_had_are_told_at_once(tmp_path):
    stack = facts_of(series(7), tmp_path)
    lost = [facts.path for facts in stack[1:6]]
    for path in lost[:3]:
        path.unlink()
    for path in lost[3:]:
        os.truncate(path, path.stat().st_size - 20)
    with pytest.raises(DecodingFailed, match=r"5 of 7 .*0002\.dcm.*0003\.dcm.*0004\.dcm.*and 2 more") as told:
        read([replace(facts, stamp=None) for facts in stack])
    assert told.value.paths == tuple(lost)
    assert "0005" not in str(told.value)


def test_a_file_of_many_frames_is_told_once(tmp_path):
    stack = facts_of(series(2), tmp_path)
    frames = [replace(stack[0], frame=1), replace(stack[1], path=stack[0].path, frame=2)]
    stack[0].path.unlink()
    with pytest.raises(DecodingFailed) as told:
        read(frames)
    assert told.value.paths == (stack[0].path,)


def test_a_failure_crosses_processes_with_its_paths():
    failure = pickle.loads(pickle.dumps(DecodingFailed("a and b do not decode", Path("a"), Path("b"))))
    assert (str(failure), failure.paths) == ("a and b do not decode", (Path("a"), Path("b")))


def test_too_little_memory_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError
        yield

    datasets = series(2)
    for ds in datasets:
        ds.compress(RLELossless, encoding_plugin="pydicom")
    stack = facts_of(datasets, tmp_path)
    monkeypatch.setattr("scp.reconstruction.frames.iter_pixels", exhausted)
    with pytest.raises(MemoryError):
        read(stack)


def test_a_file_that_ends_too_early_is_named(tmp_path):
    stack = facts_of(series(2), tmp_path)
    os.truncate(stack[1].path, stack[1].path.stat().st_size - 20)
    with pytest.raises(DecodingFailed, match="ends 20 bytes"):
        read([replace(facts, stamp=None) for facts in stack])


def test_pixels_that_do_not_decode_are_an_error_that_names_the_file(tmp_path):
    datasets = series(2)
    for ds in datasets:
        ds.compress(RLELossless, encoding_plugin="pydicom")
    stack = facts_of(datasets, tmp_path)
    raw = bytearray(Path(stack[0].path).read_bytes())
    offset = stack[0].pixel_data.offset
    raw[offset + 24 : offset + 60] = b"\xff" * 36
    stack[0].path.write_bytes(raw)
    with pytest.raises(DecodingFailed, match=r"0001\.dcm"):
        read([replace(facts, stamp=None) for facts in stack])
