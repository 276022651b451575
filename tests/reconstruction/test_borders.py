"""What lies at an end: of the volume, of the values that can be stored, beside padding. By both engines."""

import numpy as np
import pytest

from scp.errors import BadRequest
from scp.model import Direction, Interpolation, PlaneRequest
from scp.reconstruction import engine, reference
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import plan
from tests.reconstruction.scenes import HOUNSFIELD, UNSIGNED, geometry, one_plane, oriented, volume

ENGINES = {"reference": reference.render_chunk, "kernels": engine.render_chunk}
COLOUR = PixelFormat(False, 3, "RGB", None, None, "", 0)
REQUESTS = {
    "coronal": PlaneRequest(Direction.CORONAL),
    "sagittal": PlaneRequest(Direction.SAGITTAL),
    "transverse": PlaneRequest(Direction.TRANSVERSE, interval_mm=0.5),
    "oblique": PlaneRequest(Direction.OBLIQUE, oriented((33, -21, 12))),
}
CUBE = geometry(12, 12, heights=[float(k) for k in range(12)])
"""Voxels of 1 mm."""


@pytest.fixture(params=ENGINES, autouse=True)
def chosen(request, monkeypatch):
    monkeypatch.setattr(engine, "render_chunk", ENGINES[request.param])


def planes_of(scene, request, interpolation, spacing=0.0):
    planned = plan(scene.geometry, request, spacing, interpolation)
    return np.array([one_plane(scene, planned, n, interpolation) for n in range(len(planned.positions))])


def noise(seed=1, low=-900, high=3000):
    return np.random.default_rng(seed).integers(low, high, (12, 12, 12))


def with_padding(number, where):
    values = noise()
    values[where] = number
    return volume(CUBE, values, padding=number)


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("view", REQUESTS)
def test_the_number_that_padding_has_changes_no_pixel(view, interpolation):
    where = np.random.default_rng(2).random((12, 12, 12)) < 0.1
    where[:3, :5] = True
    low, high = (
        planes_of(with_padding(number, where), REQUESTS[view], interpolation, 0.7)
        for number in (-2000, 32767)
    )
    assert (low == high).all()


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("view", REQUESTS)
def test_the_values_of_a_slice_that_is_padding_change_no_pixel(view, interpolation):
    values = noise()
    usable = [k not in (0, 4, 5) for k in range(12)]
    one = planes_of(volume(CUBE, values, usable=usable), REQUESTS[view], interpolation, 0.7)
    values[[0, 4, 5]] = 32767
    assert (one == planes_of(volume(CUBE, values, usable=usable), REQUESTS[view], interpolation, 0.7)).all()


def test_cubic_is_linear_where_the_weights_of_padding_cancel():
    """In the middle of eight voxels one that weighs -81/4096 and nine of 9/4096 make nothing together."""
    values = noise()
    values[4, 5, 5] = -2000
    values[5:7, 4:8:3, 4:8:3] = values[4, 5, 4] = -2000
    scene = volume(CUBE, values, padding=-2000)
    at = PlaneRequest(Direction.CORONAL, position=(5.5, 5.5, 5.5))
    cubic, linear = (planes_of(scene, at, how, 0.5)[0] for how in (Interpolation.CUBIC, Interpolation.LINEAR))
    assert cubic[11, 11] == linear[11, 11] == np.floor(values[5:7, 5:7, 5:7].mean() + 0.5)


FORMATS = {"int16": HOUNSFIELD, "uint16": UNSIGNED, "RGB": COLOUR}


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("view", REQUESTS)
@pytest.mark.parametrize("name", FORMATS)
def test_cubic_overshoot_stays_at_the_ends_of_what_can_be_stored(name, view, axis):
    """An edge from the lowest to the highest value: what was wrapped would lie on its wrong side."""
    low, high = FORMATS[name].limits
    lies_high = np.indices((12, 12, 12))[axis] >= 6
    scene = volume(CUBE, np.where(lies_high, high, low), FORMATS[name])
    planned = plan(CUBE, REQUESTS[view], 0.7)
    for index in range(len(planned.positions)):
        place = scene.table.index_of(reference.plane_points(planned, index))
        inside = ((place >= 0) & (place <= 11)).all(axis=-1) & (abs(place[..., axis] - 5.5) > 0.01)
        pixels = one_plane(scene, planned, index, Interpolation.CUBIC)[inside]
        is_high = (place[..., axis] > 5.5)[inside]
        assert (pixels[is_high] > (low + high) / 2).all()
        assert (pixels[~is_high] < (low + high) / 2).all()


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("direction", [Direction.CORONAL, Direction.SAGITTAL, Direction.TRANSVERSE])
def test_half_a_voxel_beyond_the_centres_the_value_of_the_border_holds(direction, interpolation):
    scene = volume(CUBE, noise())

    def at(place):
        return planes_of(scene, PlaneRequest(direction, position=(place,) * 3), interpolation)

    assert (at(-0.499) == at(0.0)).all()
    assert (at(11.499) == at(11.0)).all()
    for beyond in (-0.501, 11.501):
        with pytest.raises(BadRequest, match="no plane"):
            at(beyond)


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("direction", [Direction.CORONAL, Direction.SAGITTAL, Direction.TRANSVERSE])
@pytest.mark.parametrize("shape", [(1, 9, 7), (8, 1, 7), (8, 9, 1), (1, 1, 7), (8, 1, 1), (1, 1, 1)])
def test_a_volume_one_voxel_wide_gives_its_voxels(shape, direction, interpolation):
    slices, rows, columns = shape
    values = np.random.default_rng(3).integers(-900, 3000, shape)
    scene = volume(geometry(rows, columns, heights=[float(k) for k in range(slices)]), values)
    upright = {
        Direction.CORONAL: values[::-1].transpose(1, 0, 2),
        Direction.SAGITTAL: values[::-1].transpose(2, 0, 1),
        Direction.TRANSVERSE: values[::-1],
    }
    assert (planes_of(scene, PlaneRequest(direction), interpolation) == upright[direction]).all()
