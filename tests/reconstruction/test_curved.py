"""A picture along a line shows what lies on the line, at its true arc length."""

import dataclasses

import numpy as np
import pytest

from scp.errors import BadRequest
from scp.model import Interpolation
from scp.reconstruction.curved import CurvedPlan, curved_plan, render_curved
from tests.reconstruction.scenes import UNSIGNED, geometry, linear_ramp, volume

SHAPE = geometry(60, 60, heights=[float(k) for k in range(30)])
UP = (0.0, 0.0, 1.0)
CENTRE, RADIUS = np.array([30.0, 30.0]), 20.0


def arc(degrees=180, steps=720):
    """Return points on a circle around the axis of the tube."""
    angles = np.deg2rad(np.linspace(0, degrees, steps + 1))
    return [
        (30.0 + RADIUS * x, 30.0 + RADIUS * y, 14.0)
        for x, y in zip(np.cos(angles), np.sin(angles), strict=True)
    ]


def tube(places):
    """Return a wall of a cylinder that is brightest at its radius and fades to both sides of it."""
    away = np.linalg.norm(places[..., :2] - CENTRE, axis=-1) - RADIUS
    return 1000 * np.exp(-((away / 6) ** 2))


def test_along_the_wall_of_a_tube_the_picture_is_constant():
    pixels = render_curved(volume(SHAPE, tube), curved_plan(SHAPE, arc(), UP, 20.0), Interpolation.LINEAR)
    assert pixels.shape[0] == 21
    assert pixels.min() > 970
    assert np.ptp(pixels, axis=0).max() == 0


def test_beside_the_wall_it_is_not():
    """The control: a line off by 3 mm leaves it."""
    line = [(x + 3.0, y, z) for x, y, z in arc()]
    pixels = render_curved(volume(SHAPE, tube), curved_plan(SHAPE, line, UP, 20.0), Interpolation.LINEAR)
    assert pixels.min() < 850


def test_a_sphere_on_the_line_lies_at_its_arc_length_and_height():
    centre = np.array([30.0, 50.0, 18.0])  # a quarter of the circle on, 4 mm above the line

    def ball(places):
        return 1000 * np.clip(4.5 - np.linalg.norm(places - centre, axis=-1), 0, 1)

    planned = curved_plan(SHAPE, arc(), UP, 20.0, 0.5)
    pixels = render_curved(volume(SHAPE, ball), planned, Interpolation.LINEAR).clip(0).astype(float)
    rows, columns = np.indices(pixels.shape)
    assert (pixels * columns).sum() / pixels.sum() * 0.5 == pytest.approx(np.pi / 2 * RADIUS, abs=0.1)
    assert ((planned.rows - 1) / 2 - (pixels * rows).sum() / pixels.sum()) * 0.5 == pytest.approx(4, abs=0.1)


def test_columns_are_at_equal_arc_length_round_every_corner():
    line = [(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (10.0, 0.0, 0.0), (10.0, 7.3, 0.0)]
    planned = curved_plan(SHAPE, line, UP, 4.0, 0.5)
    assert planned.length_mm == pytest.approx(17.3)
    assert planned.columns == 35
    assert planned.along[20] == pytest.approx((10, 0, 0))
    assert planned.along[-1] == pytest.approx((10, 7, 0))


def test_rows_run_downwards_with_the_line_in_their_middle():
    ramp = linear_ramp((0.0, 0.0, 10.0))
    planned = curved_plan(SHAPE, [(10.0, 10.0, 14.0), (40.0, 12.0, 14.0)], (0.0, 0.0, 2.5), 6.0)
    column = render_curved(volume(SHAPE, ramp), planned, Interpolation.LINEAR)[:, 5]
    assert column.tolist() == [170, 160, 150, 140, 130, 120, 110]


def test_a_straight_line_along_voxels_is_their_plane_bit_for_bit():
    values = np.random.default_rng(2).integers(0, 65536, (30, 60, 60))
    scene = volume(SHAPE, values, UNSIGNED)
    planned = curved_plan(SHAPE, [(0.0, 7.0, 14.5), (59.0, 7.0, 14.5)], UP, 29.0)
    for interpolation in Interpolation:
        assert (render_curved(scene, planned, interpolation) == values[::-1, 7]).all()


def test_what_lies_outside_is_padding():
    planned = curved_plan(SHAPE, [(50.0, 7.0, 14.0), (70.0, 7.0, 14.0)], UP, 4.0)
    pixels = render_curved(volume(SHAPE, np.full((30, 60, 60), 5)), planned, Interpolation.LINEAR)
    assert set(pixels[:, :10].ravel()) == {5}
    assert set(pixels[:, 10:].ravel()) == {-1000}


def test_a_curved_picture_claims_no_place_in_the_patient():
    """PS3.3 C.7.6.2 describes flat images only."""
    names = {field.name for field in dataclasses.fields(CurvedPlan)}
    assert not names & {"positions", "row_cosine", "column_cosine", "request"}


@pytest.mark.parametrize(
    ("line", "up", "height", "said"),
    [
        ([], UP, 10.0, "no length"),
        ([(1.0, 2.0, 3.0)] * 3, UP, 10.0, "no length"),
        ([(0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0)], UP, 10.0, "not finite"),
        ([(0.0, 0.0, 0.0), (9.0, 0.0, 0.0)], (0.0, 0.0, 0.0), 10.0, "no direction"),
        ([(0.0, 0.0, 0.0), (9.0, 0.0, 0.0)], (2.0, 0.0, 0.0), 10.0, "another direction"),
        ([(0.0, 0.0, 0.0), (9.0, 0.0, 0.0)], UP, 0.0, "above zero"),
        ([(0.0, 0.0, 0.0), (1e6, 0.0, 0.0)], UP, 10.0, "at most 4096"),
    ],
)
def test_what_makes_no_picture_is_a_bad_request(line, up, height, said):
    with pytest.raises(BadRequest, match=said):
        curved_plan(SHAPE, line, up, height)
