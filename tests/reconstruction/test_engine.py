"""What callers of the engine rely on: shapes, types, buffers, its name."""

import numpy as np
import pytest

from scp.model import Direction, Interpolation, PlaneRequest
from scp.reconstruction import engine
from scp.reconstruction.planes import plan
from tests.reconstruction.scenes import HOUNSFIELD, UNSIGNED, geometry, one_plane, volume


def scene(pixel_format=HOUNSFIELD):
    return volume(geometry(), np.arange(12 * 24 * 20).reshape(12, 24, 20), pixel_format)


@pytest.mark.parametrize(("pixel_format", "dtype"), [(HOUNSFIELD, np.int16), (UNSIGNED, np.uint16)])
def test_a_plane_has_the_type_of_its_pixel_format(pixel_format, dtype):
    seen = scene(pixel_format)
    plane = one_plane(seen, plan(seen.geometry, PlaneRequest()), 0, Interpolation.LINEAR)
    assert (plane.dtype, plane.shape) == (dtype, (23, 20))


def test_unsigned_values_above_32767_come_back_whole():
    seen = volume(geometry(), np.full((12, 24, 20), 65000), UNSIGNED)
    plane = one_plane(seen, plan(seen.geometry, PlaneRequest()), 3, Interpolation.LINEAR)
    assert (plane == 65000).all()


def test_a_stream_of_planes_can_be_left_early():
    seen = scene()
    planned = plan(seen.geometry, PlaneRequest(Direction.SAGITTAL))
    stream = engine.render_stack(seen, planned, Interpolation.LINEAR, 2)
    first = next(stream).copy()
    stream.close()
    assert (first == one_plane(seen, planned, 0, Interpolation.LINEAR)).all()


def test_the_engine_has_a_name_and_a_version_and_can_be_warmed():
    engine.warm()
    name, version = engine.ENGINE.rsplit(" ", 1)
    assert name.startswith("mpr-scp")
    assert version.isdigit()
