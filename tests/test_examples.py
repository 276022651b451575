"""What the examples promise: the packed series is whole, and the phantom is where its headers say."""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from examples import phantom
from examples.phantom import Acquisition

EXAMPLES = Path(phantom.__file__).parent

ACQUISITIONS = [
    *(Acquisition(position=position, pixel_mm=6, step_mm=8) for position in phantom.ROW_AND_COLUMN),
    Acquisition("coronal", pixel_mm=6, step_mm=8),
    Acquisition("sagittal", pixel_mm=6, step_mm=8),
    Acquisition(tilt_deg=18.5, pixel_mm=6, step_mm=8),
]


def volume(acquisition: Acquisition) -> tuple[np.ndarray, np.ndarray]:
    """Return values and places (mm) of all voxels, as the headers of the images give them."""
    values, places = [], []
    for ds in phantom.series(acquisition):
        j, i = np.mgrid[0 : ds.Rows, 0 : ds.Columns]
        row, column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
        right, down = i[..., None] * ds.PixelSpacing[1] * row, j[..., None] * ds.PixelSpacing[0] * column
        places.append(np.array(ds.ImagePositionPatient, float) + right + down)
        values.append(np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns))
    return np.array(values), np.array(places)


@pytest.mark.parametrize("acquisition", ACQUISITIONS, ids=repr)
def test_the_letters_mark_left_anterior_and_head_in_every_acquisition(acquisition):
    values, places = volume(acquisition)
    bright = places[values == phantom.MARKER]
    left, anterior, head = bright[bright[:, 0] > 110], bright[bright[:, 1] < -85], bright[bright[:, 2] > 300]
    assert min(len(left), len(anterior), len(head)) > 20
    assert len(left) + len(anterior) + len(head) == len(bright)
    assert np.allclose(left.mean(axis=0), (122, 0, 78), atol=6)
    assert np.allclose(anterior.mean(axis=0), (0, -104, 86), atol=4)


@pytest.mark.parametrize("acquisition", ACQUISITIONS, ids=repr)
def test_the_body_is_covered_from_side_to_side(acquisition):
    places = volume(acquisition)[1].reshape(-1, 3)
    assert np.all(places.min(axis=0) <= np.array(phantom.BOX_MM[0]) + 1e-6)
    assert np.all(places.max(axis=0) >= np.array(phantom.BOX_MM[1]) - 1e-6)


def test_heart_and_liver_are_on_their_own_sides():
    heart, liver = phantom.hounsfield(np.array([[24.0, -20, 102], [-38, -4, 46]]))
    assert (heart, liver) == (160, 110)
    assert list(phantom.hounsfield(np.array([[-24.0, -20, 102], [38, -4, 46]]))) != [160, 110]


def test_the_letter_l_reads_upright_in_a_coronal_plane():
    right, down = np.meshgrid(np.arange(113.5, 143), np.arange(104.5, 62, -1))
    seen = phantom.hounsfield(np.stack([right, np.zeros_like(right), down], axis=-1)) == phantom.MARKER
    dots = seen[3::6, 3::6][:7, :5]
    assert ["".join("X" if dot else "." for dot in line) for line in dots] == list(phantom.GLYPHS["L"])


def test_a_tilted_gantry_shears_the_stack():
    first, second, *_ = phantom.series(Acquisition(tilt_deg=18.5, pixel_mm=20, step_mm=30))
    step = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient)
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(row, column)
    angle = np.degrees(np.arccos(step @ normal / np.linalg.norm(step)))
    assert angle == pytest.approx(18.5, abs=1e-6)


def test_the_same_acquisition_gives_the_same_bytes(tmp_path):
    coarse = Acquisition(pixel_mm=20, step_mm=60)
    digests = [
        [hashlib.sha256(path.read_bytes()).digest() for path in phantom.write(tmp_path / name, coarse)]
        for name in ("one", "two")
    ]
    assert digests[0] == digests[1]


def test_the_packed_head_is_one_whole_series_of_small_size(tmp_path):
    packed = EXAMPLES / "head_ct.tar.xz"
    assert packed.stat().st_size < 6 << 20
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in (tmp_path / "head_ct").iterdir()]
    assert len({ds.SeriesInstanceUID for ds in headers}) == 1
    assert sorted(ds.InstanceNumber for ds in headers) == list(range(1, 29))


def test_the_packed_head_carries_its_licence_and_its_origin():
    assert (
        "Redistribution and use in source and binary forms" in (EXAMPLES / "head_ct.LICENSE.txt").read_text()
    )
    assert "dcm_qa_ct" in (EXAMPLES / "head_ct.ORIGIN.md").read_text()


@pytest.mark.wire
def test_the_demo_goes_the_whole_way(tmp_path):
    phantom.write(tmp_path / "data", Acquisition(pixel_mm=8, step_mm=12))
    program = [sys.executable, EXAMPLES / "demo.py", "--data", tmp_path / "data", "--out", tmp_path / "out"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing-instances: 2 of 31" in done.stdout
    assert "used           31 of 31" in done.stdout
    for reason in ("not-dicom 2", "other-patient 1", "other-series-number 1"):
        assert reason in done.stdout
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
