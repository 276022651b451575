"""Contact sheets: the right way up, in the right shape, through the object's own window."""

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from scp.cli import contact_sheet
from scp.cli.contact_sheet import MARGIN, TILE, directions
from tests.builders import image, series, write


def sheet_of(tmp_path, *datasets, **options) -> np.ndarray:
    paths = [write(ds, tmp_path / f"{number:03d}.dcm") for number, ds in enumerate(datasets)]
    contact_sheet.write(paths, len(paths), tmp_path / "sheet.png", **options)
    with Image.open(tmp_path / "sheet.png") as sheet:
        return np.asarray(sheet.convert("L"))


def pictured(sheet: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the first picture of *sheet*, whose own margin is known."""
    left = (max(width, contact_sheet.LABEL_WIDTH) + 2 * MARGIN - width) // 2
    return sheet[30 + MARGIN : 30 + MARGIN + height, left : left + width]


@pytest.mark.parametrize(
    ("vector", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "H"),
        ((0, 0, -1), "F"),
        ((0, 0.5, -0.87), "FP"),
        ((0.8, -0.6, 0), "LA"),
        ((0.99, 0.1, 0), "L"),
    ],
)
def test_letters_name_the_patients_directions_the_nearest_first(vector, letters):
    assert directions(vector) == letters


def test_the_first_pixel_is_at_the_upper_left(tmp_path):
    pixels = np.zeros((8, 8), np.int16)
    pixels[:2, :3] = 1000
    picture = pictured(
        sheet_of(tmp_path, image(pixels=pixels, WindowCenter=500, WindowWidth=1000)), TILE, TILE
    )
    assert picture[10, 10] == 255
    assert picture[10, -10] == picture[-10, 10] == picture[-10, -10] == 0


def test_pixel_spacing_gives_the_shape(tmp_path):
    pixels = np.full((8, 8), 1000, np.int16)
    flat = image(pixels=pixels, spacing=(1.0, 2.0), WindowCenter=0, WindowWidth=1000)
    sheet = sheet_of(tmp_path, flat)
    assert (pictured(sheet, TILE // 2, TILE) == 255).all()


def test_grey_follows_the_window_and_the_rescale(tmp_path):
    pixels = np.array([[0, 50, 100]] * 3, np.int16)
    ds = image(pixels=pixels, RescaleIntercept="-50", WindowCenter="0", WindowWidth="100")
    picture = pictured(sheet_of(tmp_path, ds), TILE, TILE)
    assert (picture[100, 5], picture[100, -5]) == (0, 255)
    assert abs(int(picture[100, TILE // 2]) - 127) <= 1


def test_without_a_window_the_values_themselves_make_one_and_padding_does_not_count(tmp_path):
    pixels = np.linspace(100, 200, 64).reshape(8, 8).astype(np.int16)
    pixels[0] = -2000
    ds = image(pixels=pixels, PixelPaddingValue=-2000)
    picture = pictured(sheet_of(tmp_path, ds), TILE, TILE)
    assert picture[-5, -5] == 255
    assert 10 < picture[45, TILE // 2] < 60


def test_planes_without_a_window_share_one_so_that_noise_does_not_look_like_tissue(tmp_path):
    noise, tissue = (np.linspace(0, top, 64).reshape(8, 8).astype(np.int16) for top in (20, 1000))
    first = pictured(sheet_of(tmp_path, image(1, pixels=noise), image(2, pixels=tissue)), TILE, TILE)
    assert first.max() < 10


def test_colour_is_shown_as_colour(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 200
    ds = image(
        pixels=pixels,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        RescaleType=None,
        RescaleSlope=None,
        RescaleIntercept=None,
    )
    write(ds, tmp_path / "rgb.dcm")
    contact_sheet.write([tmp_path / "rgb.dcm"], 1, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.getpixel((120, 150)) == (200, 0, 0)


def test_of_many_planes_the_middle_ones_of_even_parts_are_shown(tmp_path, monkeypatch):
    shown = []
    tile = contact_sheet._tile
    monkeypatch.setattr(contact_sheet, "_tile", lambda ds: shown.append(ds.InstanceNumber) or tile(ds))
    sheet_of(tmp_path, *series(9), most=3)
    assert shown == [2, 5, 8]


def test_planes_may_be_made_while_the_sheet_reads_them(tmp_path):
    made = (write(ds, tmp_path / f"{ds.InstanceNumber}.dcm") for ds in series(9))
    contact_sheet.write(made, 9, tmp_path / "sheet.png", most=3)
    assert (tmp_path / "sheet.png").read_bytes()


def test_no_plane_is_no_sheet(tmp_path):
    with pytest.raises(ValueError, match="no plane"):
        contact_sheet.write([], 0, tmp_path / "sheet.png")


def test_the_title_tells_the_interval_of_the_planes_and_not_their_thickness(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(contact_sheet, "_with_title", lambda grid, title: titles.append(title) or grid)
    planes = [
        write(image(k, step=0.68, spacing=(0.49, 0.49), SliceThickness=5, SeriesDescription="COR"), path)
        for k in range(12)
        for path in [tmp_path / f"{k:02d}.dcm"]
    ]
    contact_sheet.write(planes, len(planes), tmp_path / "sheet.png")
    contact_sheet.write(planes[:1], 1, tmp_path / "one.png")
    assert titles == [
        "COR   12 planes every 0.68 mm, pixels of 0.49 mm",
        "COR   1 plane, pixels of 0.49 mm",
    ]


def test_each_frame_of_a_multi_frame_object_has_a_place_of_its_own(tmp_path, monkeypatch):
    seen = []

    def label(ds: Dataset) -> str:
        seen.append((ds.InstanceNumber, ds.ImagePositionPatient[2]))
        return ""

    monkeypatch.setattr(contact_sheet, "_label", label)
    whole = Dataset()
    whole.update(image(0))
    whole.file_meta = image(0).file_meta
    whole.NumberOfFrames, whole.SharedFunctionalGroupsSequence = 3, [Dataset()]
    whole.PixelData = whole.PixelData * 3
    whole.PerFrameFunctionalGroupsSequence = [at(z) for z in (0, 2, 4)]
    contact_sheet.write([write(whole, tmp_path / "whole.dcm")], 1, tmp_path / "sheet.png")
    assert seen == [(1, 0), (2, 2), (3, 4)]


@pytest.mark.parametrize(
    ("orientation", "position", "label"),
    [
        ((0, 1, 0, 0, 0, -1), (-95, 0, 80), "7   R 95.0 mm"),  # a sagittal plane, on the patient's right
        ((0, 1, 0, 0, 0, -1), (95, 0, 80), "7   L 95.0 mm"),
        ((1, 0, 0, 0, 0, -1), (3, -20, 4), "7   A 20.0 mm"),
        ((1, 0, 0, 0, 1, 0), (3, -20, 4), "7   H 4.0 mm"),
        ((1, 0, 0, 0, 1, 0), (3, -20, 4.68), "7   H 4.68 mm"),  # as fine as planes may follow each other
    ],
)
def test_a_label_says_to_which_side_a_plane_lies(orientation, position, label):
    ds = Dataset()
    ds.InstanceNumber, ds.ImageOrientationPatient, ds.ImagePositionPatient = (
        7,
        list(orientation),
        list(position),
    )
    assert contact_sheet._label(ds) == label


def at(z: float) -> Dataset:
    """Return the functional groups of a frame at *z* (mm)."""
    position, groups = Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, z]
    groups.PlanePositionSequence = [position]
    return groups
