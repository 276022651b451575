"""However the patient lay, the letters L, A and H come out upright at the left, front and head of the body.

The body is drawn as a function of the place, with letters of bright voxels on three sides. Each acquisition
is reconstructed, and the letters are read from the pixels: where they are, and that they are not mirrored.
"""

import dataclasses

import numpy as np
import pytest

from examples import phantom
from scp.model import Direction, Interpolation, PlaneRequest, Policy
from scp.part10 import read_facts
from scp.reconstruction import reference
from scp.reconstruction.pixels import pixel_format
from scp.reconstruction.planes import plan
from scp.reconstruction.volume import read_volume
from tests.reconstruction.scenes import along_normal, one_plane

ACQUISITIONS = {
    "axial": phantom.Acquisition(),
    "sagittal": phantom.Acquisition("sagittal"),
    "coronal": phantom.Acquisition("coronal"),
    "feet first": phantom.Acquisition(position="FFS"),
    "prone": phantom.Acquisition(position="HFP"),
    "feet first, prone": phantom.Acquisition(position="FFP"),
    "on the right side": phantom.Acquisition(position="HFDR"),
    "on the left side": phantom.Acquisition(position="HFDL"),
    "tilted forwards": phantom.Acquisition(tilt_deg=18.0),
    "tilted backwards": phantom.Acquisition(tilt_deg=-18.0),
}

CORONAL, SAGITTAL, TRANSVERSE = (
    PlaneRequest(Direction.CORONAL, position=(0.0, 0.0, 84.0)),
    PlaneRequest(Direction.SAGITTAL, position=(0.0, 0.0, 84.0)),
    PlaneRequest(Direction.TRANSVERSE, position=(0.0, 0.0, 84.0)),
)

CENTRES = {
    "coronal L": (128, 0, 84),
    "coronal H": (-40, 0, 329),
    "sagittal A": (0, -104, 84),
    "sagittal H": (0, -46, 329),
}


@pytest.fixture(scope="module", params=ACQUISITIONS)
def scene(request, tmp_path_factory):
    acquisition = ACQUISITIONS[request.param]
    coarse = phantom.Acquisition(acquisition.plane, acquisition.position, acquisition.tilt_deg, 3.0, 3.0)
    paths = phantom.write(tmp_path_factory.mktemp("phantom"), coarse)
    stack = along_normal([facts for path in paths for facts in read_facts(path)])
    return read_volume(stack, (), Policy.REFUSE, pixel_format(stack))


def plane_of(scene, request, spacing_mm=0.0):
    """Return the pixels of one plane, and the places of their centres."""
    planned = plan(scene.geometry, request, spacing_mm)
    return one_plane(scene, planned, 0, Interpolation.LINEAR), reference.plane_points(planned, 0)


def glyph_at(pixels, row, column):
    """Return the 7 x 5 dots of a letter around a pixel of 1 mm, read downwards and to the right as shown."""
    step = int(phantom.DOT_MM)
    dots = pixels[
        row - 3 * step : row + 3 * step + 1 : step, column - 2 * step : column + 2 * step + 1 : step
    ]
    return tuple("".join("X" if dot > 1750 else "." for dot in line) for line in dots)


@pytest.mark.parametrize(
    ("request_", "name"),
    [(CORONAL, "coronal L"), (CORONAL, "coronal H"), (SAGITTAL, "sagittal A"), (SAGITTAL, "sagittal H")],
)
def test_letters_read_upright_where_they_belong(scene, request_, name):
    pixels, places = plane_of(scene, request_, 1.0)
    away = np.linalg.norm(places - CENTRES[name], axis=-1)
    row, column = np.unravel_index(away.argmin(), away.shape)
    assert glyph_at(pixels, row, column) == phantom.GLYPHS[name[-1]]


def test_letters_of_a_mirrored_volume_do_not_read(scene):
    pixels, places = plane_of(mirrored(scene), CORONAL, 1.0)
    away = np.linalg.norm(places - CENTRES["coronal L"], axis=-1)
    row, column = np.unravel_index(away.argmin(), away.shape)
    assert glyph_at(pixels, row, column) != phantom.GLYPHS["L"]


def test_left_is_right_and_the_head_above_in_a_coronal_plane(scene):
    pixels, _ = plane_of(scene, CORONAL)
    rows, columns = np.nonzero(pixels > 1800)
    assert columns.max() > 0.9 * pixels.shape[1]  # the L
    assert rows.min() < 0.2 * pixels.shape[0]  # the H
    assert columns[rows < 0.2 * pixels.shape[0]].mean() < 0.5 * pixels.shape[1]  # which stands to the right


def test_the_front_is_left_and_the_head_above_in_a_sagittal_plane(scene):
    pixels, _ = plane_of(scene, SAGITTAL)
    rows, columns = np.nonzero(pixels > 1800)
    assert columns.min() < 0.1 * pixels.shape[1]  # the A
    assert rows.min() < 0.2 * pixels.shape[0]  # the H


def test_left_is_right_and_the_front_above_in_a_transverse_plane(scene):
    pixels, places = plane_of(scene, TRANSVERSE)
    bright = pixels > 1800
    assert bright[places[..., 0] > 110].any()  # the stem of the L
    assert bright[places[..., 1] < -80].any()  # the bar or the legs of the A
    rows, columns = np.nonzero(bright)
    assert columns.max() > 0.85 * pixels.shape[1]
    assert rows.min() < 0.2 * pixels.shape[0]
    assert not bright[:, : int(0.3 * pixels.shape[1])].any()


def mirrored(scene):
    """Return a mistake: left and right exchanged."""
    return dataclasses.replace(scene, values=scene.values[..., ::-1].copy())


def wrong_share(scene):
    """Return which part of the pixels is not as drawn; where tissue changes within a voxel none counts."""
    worst = 0.0
    for request in (CORONAL, SAGITTAL, TRANSVERSE):
        pixels, places = plane_of(scene, request)
        index = scene.table.index_of(places)
        inside = ((index >= 1) & (index <= np.array(scene.values.shape[1:]) - 2)).all(axis=-1)
        steps = [np.array(v) for v in ((3, 0, 0), (0, 3, 0), (0, 0, 3), (-3, 0, 0), (0, -3, 0), (0, 0, -3))]
        truth = phantom.hounsfield(places)
        uniform = np.all([phantom.hounsfield(places + 2 * step) == truth for step in steps], axis=0)
        uniform &= np.all([phantom.hounsfield(places + step) == truth for step in steps], axis=0)
        assert (inside & uniform).sum() > 2000
        worst = max(worst, np.mean((pixels != truth)[inside & uniform]))
    return worst


def test_every_plane_shows_the_body_as_it_was_drawn(scene):
    assert wrong_share(scene) <= 0.01


@pytest.mark.parametrize("scene", ["axial"], indirect=True)
def test_planes_of_a_mirrored_body_are_not_as_it_was_drawn(scene):
    assert wrong_share(mirrored(scene)) > 0.03
