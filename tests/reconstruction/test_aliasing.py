"""Pixels larger than voxels show the mean of their area, not whatever voxel lies in their middle."""

import numpy as np
import pytest

from scp.errors import BadRequest
from scp.model import Direction, Interpolation, Method, Operation, PlaneRequest
from scp.reconstruction import engine, reference
from scp.reconstruction.planes import plan
from tests.reconstruction.scenes import geometry, linear_ramp, one_plane, oriented, volume

ENGINES = {"reference": reference.render_chunk, "kernels": engine.render_chunk}
FINE = geometry(36, 40, heights=[float(k) for k in range(30)])
DIRECTIONS = [Direction.CORONAL, Direction.SAGITTAL, Direction.TRANSVERSE]


@pytest.fixture(params=ENGINES, autouse=True)
def chosen(request, monkeypatch):
    monkeypatch.setattr(engine, "render_chunk", ENGINES[request.param])


def stripes(places):
    """Return 1000 where x + y + z is even, else 0: nothing is left of it at half its resolution."""
    return 1000.0 * (np.rint(places.sum(axis=-1)) % 2 == 0)


def planes_of(scene, request, spacing, interpolation=Interpolation.LINEAR):
    planned = plan(scene.geometry, request, spacing, interpolation)
    pixels = [one_plane(scene, planned, n, interpolation) for n in range(len(planned.positions))]
    return planned, np.array(pixels).astype(float)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_pattern_finer_than_the_pixels_becomes_its_mean(direction):
    _, pixels = planes_of(volume(FINE, stripes), PlaneRequest(direction, interval_mm=3.0), 4.0)
    inner = pixels[:, 1:-1, 1:-1]
    assert inner.min() >= 400
    assert inner.max() <= 600


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_nearest_voxel_stays_one_voxel(direction):
    request = PlaneRequest(direction, interval_mm=3.0)
    planned, pixels = planes_of(volume(FINE, stripes), request, 4.0, Interpolation.NEAREST)
    assert planned.footprint == (1, 1)
    assert set(np.unique(pixels)) == {0.0, 1000.0}


@pytest.mark.parametrize("orientation", [None, oriented((30, -20, 10))])
def test_the_mean_lies_at_the_centre_of_the_pixel(orientation):
    ramp = linear_ramp((5.0, -3.0, 4.0))
    direction = Direction.OBLIQUE if orientation else Direction.CORONAL
    planned, pixels = planes_of(
        volume(FINE, ramp), PlaneRequest(direction, orientation, interval_mm=4.0), 3.0
    )
    for index, plane in enumerate(pixels):
        places = reference.plane_points(planned, index)
        voxels = volume(FINE, ramp).table.index_of(places)
        inside = ((voxels >= 3) & (voxels <= np.array([26, 32, 36]))).all(axis=-1)
        assert np.abs(plane - ramp(places))[inside].max(initial=0) <= 1.0


@pytest.mark.parametrize(
    ("spacing", "expected"), [(1.0, (1, 1)), (1.5, (1, 1)), (1.6, (1, 2)), (3.0, (1, 3)), (9.0, (3, 9))]
)
def test_samples_are_as_many_as_voxels_are_crossed_along_each_side(spacing, expected):
    thick = geometry(36, 40, heights=[3.0 * k for k in range(10)])
    assert plan(thick, PlaneRequest(Direction.CORONAL), spacing).footprint == expected


def test_padding_has_no_part_in_the_mean():
    values = np.full((30, 36, 40), 500)
    values[:, :, 20:] = -2000
    _, pixels = planes_of(volume(FINE, values, padding=-2000), PlaneRequest(interval_mm=5.0), 4.0)
    assert set(np.unique(pixels)) == {500.0, -1000.0}


def test_the_maximum_of_a_slab_is_that_of_the_whole_box():
    values = np.zeros((30, 36, 40))
    values[14, 18, 21] = 900
    request = PlaneRequest(
        operation=Operation.SLAB, thickness_mm=36.0, interval_mm=17.5, method=Method.MAXIMUM_IP
    )
    _, pixels = planes_of(volume(FINE, values), request, 4.0)
    assert pixels[1].max() > 100
    assert (pixels[1] > 0).sum() <= 4


def test_slices_that_only_the_area_of_a_pixel_reaches_are_sources():
    """Slices are 1 mm apart, the centre of the lowest pixel is at 5 mm and its lowest sample at 1.5 mm."""
    planned = plan(FINE, PlaneRequest(Direction.CORONAL, position=(0.0, 10.0, 0.0)), 8.0)
    assert planned.sources == (tuple(range(1, 30)),)


def test_more_samples_than_can_be_are_a_bad_request():
    request = PlaneRequest(operation=Operation.SLAB, thickness_mm=400.0)
    with pytest.raises(BadRequest, match="samples"):
        plan(FINE, request, 20.0)
