"""Which planes a request means: grid, order, samples, touched slices, refusals."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scp.errors import BadRequest
from scp.model import Direction, Interpolation, Method, Operation, PlaneRequest
from scp.reconstruction import reference
from scp.reconstruction.planes import plan, travel_sign
from tests.reconstruction.scenes import geometry, oriented, volume, voxel_centres

TILTED = geometry(drift=[(0.0, 0.5 * k) for k in range(12)])
UNEVEN = geometry(heights=[0, 2, 4, 6, 7, 12, 17, 22, 27, 32])


def filled_at(shape, place):
    """Return *shape* with the slice *place* not a true one, but the first of the missing."""
    stack = [k - (k > place) for k in range(shape.slices)]
    stack[place] = -1
    missing = [0 if k == place else -1 for k in range(shape.slices)]
    return dataclasses.replace(shape, stack_index=tuple(stack), missing_index=tuple(missing))


@pytest.mark.parametrize(
    ("direction", "row", "column", "travel"),
    [
        (Direction.CORONAL, (1, 0, 0), (0, 0, -1), (0, 1, 0)),
        (Direction.SAGITTAL, (0, 1, 0), (0, 0, -1), (1, 0, 0)),
        (Direction.TRANSVERSE, (1, 0, 0), (0, 1, 0), (0, 0, -1)),
    ],
)
def test_planes_run_front_to_back_right_to_left_head_to_foot(direction, row, column, travel):
    planned = plan(geometry(), PlaneRequest(direction))
    assert planned.row_cosine == row
    assert planned.column_cosine == column
    steps = np.diff(np.array(planned.positions), axis=0)
    assert np.allclose(steps, np.array(travel) * planned.interval_mm)


@pytest.mark.parametrize("angles", [(80, 5, 3), (5, 80, 3), (12, -8, 30), (-100, 20, 0), (170, 4, 4)])
def test_obliques_run_as_the_nearest_named_direction(angles):
    planned = plan(geometry(), PlaneRequest(Direction.OBLIQUE, oriented(angles)))
    step = np.diff(np.array(planned.positions), axis=0)[0]
    nearest = int(np.argmax(np.abs(planned.normal)))
    assert np.sign(step[nearest]) == (1, 1, -1)[nearest]


def test_the_grid_starts_at_the_outermost_voxel_centres_and_stays_within_them():
    planned = plan(geometry(24, 20, origin=(5, -7, 9)), PlaneRequest())
    assert planned.positions[0] == (5.0, -7.0, 9.0 + 22.0)
    assert (planned.columns, planned.rows, len(planned.positions)) == (20, 23, 24)
    assert planned.positions[-1][1] == -7.0 + 23.0


def test_coronal_plane_k_of_an_axial_series_is_row_k():
    planned = plan(geometry(24, 20, spacing=(0.7, 0.7)), PlaneRequest())
    assert [p[1] for p in planned.positions] == pytest.approx([0.7 * k for k in range(24)])


def test_pixels_are_square_of_the_smallest_in_plane_spacing_or_as_asked():
    shape = geometry(spacing=(0.9, 0.6))
    assert plan(shape, PlaneRequest()).spacing_mm == 0.6
    assert plan(shape, PlaneRequest(), 1.5).spacing_mm == 1.5
    assert plan(shape, PlaneRequest()).interval_mm == 0.6


def test_a_slab_includes_both_ends_and_weighs_them_half():
    request = PlaneRequest(operation=Operation.SLAB, thickness_mm=3.5, method=Method.AVERAGE_IP)
    planned = plan(geometry(), request)
    assert planned.interval_mm == planned.thickness_mm == 3.5
    assert len(planned.sample_offsets_mm) == math.ceil(3.5 / 1.0) + 1
    assert (planned.sample_offsets_mm[0], planned.sample_offsets_mm[-1]) == (-1.75, 1.75)
    assert sum(planned.sample_weights) == pytest.approx(1.0)
    assert planned.sample_weights[0] == planned.sample_weights[-1] == planned.sample_weights[1] / 2


@given(
    counts=st.tuples(st.integers(2, 40), st.integers(2, 40), st.integers(2, 14)),
    spacing=st.floats(0.3, 3.0),
    gap=st.floats(0.5, 7.0),
    thickness=st.floats(1.0, 150.0),
    part=st.floats(0.2, 1.0),
    angles=st.tuples(*[st.integers(-180, 180)] * 3),
    direction=st.sampled_from(Direction),
)
@settings(max_examples=150, deadline=None)
def test_every_voxel_lies_in_a_slab_or_as_far_behind_the_last_as_the_plan_says(
    counts, spacing, gap, thickness, part, angles, direction
):
    rows, columns, slices = counts
    shape = geometry(rows, columns, heights=[gap * k for k in range(slices)], spacing=(spacing, spacing))
    orientation = oriented(angles) if direction is Direction.OBLIQUE else None
    request = PlaneRequest(direction, orientation, None, Operation.SLAB, thickness, thickness * part)
    planned = plan(shape, request)
    voxels = voxel_centres(shape).reshape(-1, 3) @ planned.normal
    planes = np.array(planned.positions) @ planned.normal
    nearest = np.abs(voxels[:, np.newaxis] - planes).min(axis=1)
    assert max(nearest.max() - thickness / 2, 0.0) == pytest.approx(planned.beyond_mm, abs=2e-3)
    assert part > 0.5 or planned.beyond_mm == 0


@pytest.mark.parametrize(
    "request_",
    [
        PlaneRequest(thickness_mm=4.0, interval_mm=9.0),
        PlaneRequest(operation=Operation.SLAB, thickness_mm=4.0, interval_mm=9.0),
        PlaneRequest(operation=Operation.SLAB, thickness_mm=4.0, position=(0.0, 4.0, 0.0)),
    ],
)
def test_gaps_and_single_planes_leave_out_what_was_asked_for(request_):
    assert plan(geometry(24), request_).beyond_mm == 0


def test_the_thickness_of_a_thin_plane_is_not_looked_at():
    planned = plan(geometry(), PlaneRequest(thickness_mm=8.0))
    assert (planned.thickness_mm, planned.sample_offsets_mm, planned.sample_weights) == (0.0, (0.0,), (1.0,))


def test_a_position_asks_for_one_plane_through_it():
    planned = plan(geometry(), PlaneRequest(Direction.TRANSVERSE, position=(3.0, 4.0, 9.0)))
    assert planned.positions == ((0.0, 0.0, 9.0),)
    assert planned.sources == ((4, 5),)


def brute_force(shape, planned, index):
    """Return the slices that any pixel of the plane reads, pixel by pixel."""
    scene = volume(shape, np.zeros((shape.slices, shape.rows, shape.columns)))
    found = set()
    for offset in planned.sample_offsets_mm:
        place = scene.table.index_of(reference.plane_points(planned, index) + offset * planned.normal)
        sizes = np.array(scene.values.shape[1:])
        inside = ((place >= -0.5) & (place <= sizes - 0.5)).all(axis=-1)
        k = np.clip(place[inside][:, 0], 0, shape.slices - 1)
        k = np.where(np.abs(k - np.round(k)) < 1e-4, np.round(k), k)
        found |= set(np.floor(k).astype(int)) | set(np.ceil(k).astype(int))
    return found


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("shape", [geometry(), TILTED, UNEVEN, geometry(orientation=oriented((10, 30, 5)))])
def test_sources_are_the_slices_that_pixels_read(shape, direction, operation):
    orientation = oriented((25, 15, 5)) if direction is Direction.OBLIQUE else None
    planned = plan(shape, PlaneRequest(direction, orientation, None, operation, 3.0, 2.3))
    for index, sources in enumerate(planned.sources):
        read = brute_force(shape, planned, index)
        assert read <= set(sources)
        assert set(range(min(read), max(read) + 1)) == set(sources)


def test_planes_that_touch_no_slice_are_not_made():
    shape = geometry(orientation=oriented((45, 0, 0)))
    planned = plan(shape, PlaneRequest(Direction.OBLIQUE, oriented((45, 45, 0)), interval_mm=0.2))
    assert all(planned.sources)
    box = np.ptp(np.array(planned.positions) @ (planned.normal * travel_sign(planned.normal)))
    assert box > 0


def test_cubic_planes_name_the_slices_beyond_the_two_around():
    at = PlaneRequest(Direction.TRANSVERSE, position=(0.0, 0.0, 9.0))
    assert plan(geometry(), at, interpolation=Interpolation.CUBIC).sources == ((3, 4, 5, 6),)
    assert plan(geometry(), at, interpolation=Interpolation.NEAREST).sources == ((5,),)


def test_a_filled_slice_is_named_and_its_true_neighbours_are_sources():
    shape = filled_at(geometry(), 5)
    (sources,), (filled,) = (
        getattr(plan(shape, PlaneRequest(Direction.TRANSVERSE, position=(0.0, 0.0, 10.0))), name)
        for name in ("sources", "filled")
    )
    assert sources == (4, 5)
    assert filled == (0,)
    assert all(f == (0,) for f in plan(shape, PlaneRequest()).filled)


@pytest.mark.parametrize(
    ("keyword", "request_"),
    [
        ("ImageOrientationPatient", PlaneRequest(Direction.OBLIQUE)),
        ("ImageOrientationPatient", PlaneRequest(Direction.OBLIQUE, (1.0, 0.0, 0.0, 0.5, 0.5, 0.0))),
        ("ImageOrientationPatient", PlaneRequest(Direction.OBLIQUE, (math.nan, 0.0, 0.0, 0.0, 1.0, 0.0))),
        ("ImageOrientationPatient", PlaneRequest(Direction.CORONAL, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))),
        ("ReformattingThickness", PlaneRequest(operation=Operation.SLAB)),
        ("ReformattingThickness", PlaneRequest(operation=Operation.SLAB, thickness_mm=-3.0)),
        ("ReformattingThickness", PlaneRequest(operation=Operation.SLAB, thickness_mm=5000.0)),
        ("ReformattingInterval", PlaneRequest(interval_mm=math.inf)),
        ("ReformattingInterval", PlaneRequest(interval_mm=0.001)),
        ("ImagePositionPatient", PlaneRequest(position=(0.0, 900.0, 0.0))),
        ("ImagePositionPatient", PlaneRequest(position=(0.0, math.nan, 0.0))),
    ],
)
def test_a_request_that_cannot_be_is_refused_by_keyword(keyword, request_):
    with pytest.raises(BadRequest) as refusal:
        plan(geometry(), request_)
    assert refusal.value.keyword == keyword


def test_more_than_4096_pixels_in_a_row_are_refused():
    with pytest.raises(BadRequest, match="4096"):
        plan(geometry(), PlaneRequest(), 0.004)


def test_a_named_direction_may_be_stated_as_cosines_too():
    stated = PlaneRequest(Direction.SAGITTAL, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    assert plan(geometry(), stated).positions == plan(geometry(), PlaneRequest(Direction.SAGITTAL)).positions
