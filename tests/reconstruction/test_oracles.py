"""Pictures whose every pixel is known beforehand, by both engines; each with the mistake that it would show.

The mistakes (controls): a volume that is flipped, shifted by half a voxel, stretched by two percent, taken
for evenly spaced or for straight, or whose padding is taken for tissue.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scp.model import Direction, Interpolation, Method, Operation, PlaneRequest
from scp.reconstruction import engine, reference
from scp.reconstruction.geometry import SliceTable
from scp.reconstruction.planes import plan
from scp.reconstruction.volume import NOWHERE
from tests.reconstruction.scenes import (
    HOUNSFIELD,
    flipped,
    geometry,
    half_a_voxel_off,
    linear_ramp,
    one_plane,
    oriented,
    rotation,
    volume,
    voxel_centres,
)

ENGINES = {"reference": reference.render_chunk, "kernels": engine.render_chunk}
UNEVEN = [0.0, 4.0, 8.0, 12.0, 13.1, 20.1, 27.1, 34.1, 41.1]
OBLIQUE = oriented((33, -21, 12))
GRADIENT = (7.0, 5.0, -9.0)


@pytest.fixture(params=ENGINES, autouse=True)
def chosen(request, monkeypatch):
    monkeypatch.setattr(engine, "render_chunk", ENGINES[request.param])


ONE_ENGINE = pytest.mark.parametrize("chosen", ["kernels"], indirect=True)
"""For controls: they try the oracle, not the engine."""

TOLERANCE = {Interpolation.LINEAR: 1.0, Interpolation.CUBIC: 1.5}
"""The pixel is rounded by 0.5, and its voxels were: by 0.5 again, which cubic weights can double."""


def rendered(scene, request, interpolation=Interpolation.LINEAR, places=None):
    """Return plan, pixels (planes, rows, columns) and which of them lie at least one voxel inside."""
    planned = plan(scene.geometry, request)
    pixels = np.array([one_plane(scene, planned, n, interpolation) for n in range(len(planned.positions))])
    return planned, pixels.astype(float), interior(scene, planned)


def points(planned):
    return np.array([reference.plane_points(planned, n) for n in range(len(planned.positions))])


def interior(scene, planned, margin=1.0):
    place = scene.table.index_of(points(planned))
    last = np.array(scene.values.shape[1:]) - 1
    half = planned.thickness_mm / 2 / min(scene.geometry.row_spacing_mm, scene.table.step_mm)
    return ((place >= margin + half) & (place <= last - margin - half)).all(axis=-1)


def mean_spaced(scene):
    table = scene.table
    even = np.linspace(0, table.heights_mm[-1], len(table.heights_mm))
    wrong = SliceTable(table.origin, table.frame, table.spacing_mm, even, table.drift)
    return dataclasses.replace(scene, table=wrong)


def stretched(scene):
    table = scene.table
    return dataclasses.replace(
        scene, table=dataclasses.replace(table, heights_mm=table.heights_mm * 1.02, drift=table.drift * 1.02)
    )


def straight(scene):
    return dataclasses.replace(
        scene, table=dataclasses.replace(scene.table, drift=np.zeros_like(scene.table.drift))
    )


def right(made):
    return made


def differ(one, other):
    """Tell whether any pixel of two stacks of planes differs."""
    return bool((np.asarray(one) != np.asarray(other)).any())


def noise(shape, seed):
    return np.random.default_rng(seed).integers(-1000, 2000, shape)


STACKS = {
    "axial": {},
    "tilted": {"drift": [(0.0, 0.66 * k) for k in range(12)]},
    "uneven": {"heights": UNEVEN},
    "uneven and tilted": {"heights": UNEVEN, "drift": [(0.0, 0.33 * t) for t in UNEVEN]},
    "jittered": {"heights": [2.0 * k + 0.15 * (-1) ** k for k in range(12)]},
    "turned": {"orientation": oriented((12, 25, -40)), "origin": (-40.0, 17.0, 3.0)},
    "anisotropic": {"spacing": (0.8, 1.7)},
}


@pytest.mark.parametrize("interpolation", [Interpolation.LINEAR, Interpolation.CUBIC])
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("stack", STACKS)
def test_a_linear_ramp_stays_one_within_one_value(stack, direction, interpolation):
    ramp = linear_ramp(GRADIENT, 100.0)
    scene = volume(geometry(**STACKS[stack]), ramp)
    request = PlaneRequest(direction, OBLIQUE if direction is Direction.OBLIQUE else None, interval_mm=4.0)
    planned, pixels, inside = rendered(scene, request, interpolation)
    assert inside.sum() > 200
    assert np.abs(pixels - ramp(points(planned)))[inside].max() <= TOLERANCE[interpolation]


@ONE_ENGINE
@pytest.mark.parametrize("mistake", [flipped, half_a_voxel_off, mean_spaced])
def test_a_ramp_shows_each_mistake(mistake):
    ramp = linear_ramp((40.0, 30.0, 35.0), 100.0)
    scene = mistake(volume(geometry(heights=UNEVEN), ramp))
    planned, pixels, inside = rendered(scene, PlaneRequest(interval_mm=4.0))
    assert np.abs(pixels - ramp(points(planned)))[inside].max() > 10.0


@ONE_ENGINE
def test_taking_uneven_slices_for_even_misplaces_by_millimetres():
    ramp = linear_ramp((0.0, 0.0, 100.0))
    scene = volume(geometry(heights=UNEVEN), ramp)
    planned, pixels, inside = rendered(mean_spaced(scene), PlaneRequest(interval_mm=4.0))
    assert np.abs(pixels / 100 - points(planned)[..., 2])[inside].max() > 5.0


@settings(max_examples=12, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)),
    step=st.floats(0.5, 5),
    tilt=st.floats(-0.4, 0.4),
)
@pytest.mark.parametrize("direction", [Direction.CORONAL, Direction.SAGITTAL, Direction.TRANSVERSE])
def test_a_ramp_stays_one_under_any_orientation_tilt_and_spacing(direction, angles, spacing, step, tilt):
    ramp = linear_ramp((3.0, -4.0, 5.0))
    shape = geometry(
        15,
        17,
        heights=[step * k for k in range(14)],
        orientation=oriented(angles),
        spacing=spacing,
        drift=[(0.0, tilt * step * k) for k in range(14)],
    )
    planned, pixels, inside = rendered(volume(shape, ramp), PlaneRequest(direction, interval_mm=5.0))
    if inside.any():
        assert np.abs(pixels - ramp(points(planned)))[inside].max() <= 1.0


def slab_error(method, mistake):
    """The mean is the ramp at the centre, the extrema lie |g.n| T/2 beside it."""
    ramp = linear_ramp(GRADIENT)
    scene = mistake(volume(geometry(rows=30, columns=30), ramp))
    request = PlaneRequest(Direction.OBLIQUE, OBLIQUE, None, Operation.SLAB, 6.0, 2.0, method)
    planned, pixels, inside = rendered(scene, request)
    away = {Method.AVERAGE_IP: 0.0, Method.MAXIMUM_IP: 3.0, Method.MINIMUM_IP: -3.0}[method]
    expected = ramp(points(planned)) + away * abs(np.dot(GRADIENT, planned.normal))
    assert inside.sum() > 200
    return np.abs(pixels - expected)[inside].max()


@pytest.mark.parametrize("method", Method)
def test_a_slab_of_a_ramp_is_its_centre_or_its_ends(method):
    assert slab_error(method, right) <= 1.0


@ONE_ENGINE
@pytest.mark.parametrize("mistake", [flipped, half_a_voxel_off])
def test_a_slab_shows_each_mistake(mistake):
    assert all(slab_error(method, mistake) > 2.0 for method in Method)


def slabs_are_in_order(mistake):
    """Tell whether minimum <= mean <= maximum everywhere; the mistake is in the plan of the mean."""
    scene = volume(geometry(), noise((12, 24, 20), 3))
    low, mean, high = (
        PlaneRequest(operation=Operation.SLAB, thickness_mm=4.0, method=method)
        for method in (Method.MINIMUM_IP, Method.AVERAGE_IP, Method.MAXIMUM_IP)
    )
    low, mean, high = (
        whole(scene, make(plan(scene.geometry, request)))
        for request, make in ((low, right), (mean, mistake), (high, right))
    )
    assert differ(low, mean)
    assert differ(mean, high)
    return bool(((low <= mean) & (mean <= high)).all())


def whole(scene, planned):
    count = len(planned.positions)
    return np.array([one_plane(scene, planned, n, Interpolation.LINEAR) for n in range(count)])


def beside_the_slab(planned):
    """Return a mistake: samples that are taken from beside the slab."""
    beside = tuple(offset + planned.thickness_mm for offset in planned.sample_offsets_mm)
    return dataclasses.replace(planned, sample_offsets_mm=beside)


def test_minimum_mean_and_maximum_are_in_order_everywhere():
    assert slabs_are_in_order(right)


@ONE_ENGINE
def test_the_order_of_slabs_shows_a_mean_of_other_samples():
    assert not slabs_are_in_order(beside_the_slab)


def constant_is_off(interpolation, mistake):
    scene = volume(geometry(), np.full((12, 24, 20), 321))
    request = PlaneRequest(Direction.OBLIQUE, OBLIQUE, interval_mm=4.0)
    planned, pixels, _ = rendered(mistake(scene), request, interpolation)
    place = scene.table.index_of(points(planned))
    inside = ((place >= -0.5) & (place <= np.array([12, 24, 20]) - 0.5)).all(axis=-1)
    return differ(pixels, np.where(inside, 321, scene.pixel_format.padding_value))


@pytest.mark.parametrize("interpolation", Interpolation)
def test_a_constant_stays_constant_up_to_the_half_voxel_border(interpolation):
    assert not constant_is_off(interpolation, right)


@ONE_ENGINE
@pytest.mark.parametrize("mistake", [half_a_voxel_off, stretched])
def test_a_constant_shows_a_border_in_the_wrong_place(mistake):
    assert all(constant_is_off(interpolation, mistake) for interpolation in Interpolation)


def axial_planes_are_off(stack, mistake):
    shape = geometry(**STACKS[stack])
    values = noise((shape.slices, 24, 20), 4)
    scene = mistake(volume(shape, values))
    off = []
    for k, position in enumerate(shape.positions):
        planned = plan(shape, PlaneRequest(Direction.TRANSVERSE, position=position))
        assert planned.sources == ((k,),)
        off.append(differ(one_plane(scene, planned, 0, Interpolation.LINEAR), values[k]))
    return all(off) if mistake is not right else any(off)


@pytest.mark.parametrize("stack", ["axial", "uneven"])
def test_axial_planes_at_the_slices_are_the_slices_bit_for_bit(stack):
    assert not axial_planes_are_off(stack, right)


@ONE_ENGINE
@pytest.mark.parametrize("mistake", [flipped, half_a_voxel_off])
def test_axial_planes_show_each_mistake(mistake):
    assert axial_planes_are_off("axial", mistake)


def coronal_planes_are_off(mistake):
    values = noise((12, 24, 20), 5)
    scene = volume(geometry(heights=[float(k) for k in range(12)]), values)
    return differ(rendered(mistake(scene), PlaneRequest())[1], values[::-1].transpose(1, 0, 2))


def transverse_planes_are_off(mistake):
    axial = noise((12, 24, 20), 6)
    shape = geometry(12, 20, heights=[float(k) for k in range(24)], orientation=(1, 0, 0, 0, 0, -1))
    scene = volume(shape, axial[::-1].transpose(1, 0, 2))
    return differ(rendered(mistake(scene), PlaneRequest(Direction.TRANSVERSE))[1], axial[::-1])


def test_coronal_planes_of_an_axial_stack_are_its_rows():
    assert not coronal_planes_are_off(right)


def test_transverse_planes_of_a_coronal_stack_give_the_axial_slices_back():
    assert not transverse_planes_are_off(right)


@ONE_ENGINE
@pytest.mark.parametrize("are_off", [coronal_planes_are_off, transverse_planes_are_off])
@pytest.mark.parametrize("mistake", [flipped, half_a_voxel_off, stretched])
def test_planes_along_the_voxels_show_each_mistake(are_off, mistake):
    assert are_off(mistake)


def with_true_positions(scene):
    """Return *scene* with the height and drift of each slice as its header has it, and no even line."""
    positions = np.array(scene.geometry.positions)
    local = (positions - positions[0]) @ scene.table.frame.T
    table = dataclasses.replace(
        scene.table, heights_mm=local[:, 0], drift=local[:, 1:] / scene.table.spacing_mm
    )
    return dataclasses.replace(scene, table=table)


@pytest.mark.parametrize(
    "request_", [PlaneRequest(), PlaneRequest(Direction.OBLIQUE, OBLIQUE, interval_mm=3.0)]
)
def test_a_tilt_by_true_positions_is_the_shear_affine_bit_for_bit(request_):
    shape = geometry(drift=[(0.0, 0.66 * k) for k in range(12)])
    scene = volume(shape, noise((12, 24, 20), 7))
    sheared = rendered(scene, request_)[1]
    assert not differ(sheared, rendered(with_true_positions(scene), request_)[1])
    assert differ(sheared, rendered(straight(scene), request_)[1])


def sphere_errors(mistake):
    """Return by which part of it the volume is off, and by how many mm the centre."""
    centre, radius = np.array([14.3, 15.1, 13.7]), 9.0

    def ball(places):
        return 1000 * np.clip(radius + 0.5 - np.linalg.norm(places - centre, axis=-1), 0, 1)

    scene = volume(
        geometry(30, 30, heights=[float(k) for k in range(29)], drift=[(0, 0.1 * k) for k in range(29)]), ball
    )
    request = PlaneRequest(Direction.OBLIQUE, OBLIQUE, interval_mm=1.0)
    planned, pixels, _ = rendered(mistake(scene), request)
    share = np.clip(pixels, 0, None) / 1000
    found = (share[..., np.newaxis] * points(planned)).sum(axis=(0, 1, 2)) / share.sum()
    return abs(share.sum() / (4 / 3 * np.pi * radius**3) - 1), np.linalg.norm(found - centre)


def test_a_sphere_keeps_its_volume_and_its_centre():
    volume_off, centre_off_mm = sphere_errors(right)
    assert volume_off < 0.005
    assert centre_off_mm < 0.05


@ONE_ENGINE
def test_a_sphere_shows_each_mistake():
    assert sphere_errors(half_a_voxel_off)[1] > 0.4
    assert sphere_errors(straight)[1] > 1.0
    assert sphere_errors(stretched)[0] > 0.015


def rod_error_deg(mistake):
    along = rotation((25, -35, 0)) @ np.array([0.0, 0.0, 1.0])
    middle = np.array([20.0, 20.0, 20.0])

    def rod(places):
        away = places - middle
        return 1000 * np.exp(-np.sum((away - (away @ along)[..., np.newaxis] * along) ** 2, axis=-1) / 8)

    scene = volume(geometry(41, 41, heights=[float(k) for k in range(41)]), rod)
    planned, pixels, _ = rendered(mistake(scene), PlaneRequest(interval_mm=1.0))
    share = np.clip(pixels, 0, None)
    places = points(planned) - middle
    near = share * (np.linalg.norm(places, axis=-1) < 15)
    spread = np.einsum("prc,prci,prcj->ij", near, places, places)
    found = np.linalg.eigh(spread)[1][:, -1]
    return np.rad2deg(np.arccos(min(abs(found @ along), 1.0)))


def test_a_rod_keeps_its_angle_within_a_tenth_of_a_degree():
    assert rod_error_deg(right) < 0.1


@ONE_ENGINE
@pytest.mark.parametrize("mistake", [flipped, stretched])
def test_a_rod_shows_each_mistake(mistake):
    assert rod_error_deg(mistake) > 0.3


def streams_differ(threads):
    """Tell for each kind of plane whether one of a stream is another than that which is made alone."""
    scene = volume(geometry(50, 40), noise((12, 50, 40), 8))
    found = []
    for request in (
        PlaneRequest(),
        PlaneRequest(Direction.SAGITTAL),
        PlaneRequest(Direction.OBLIQUE, OBLIQUE),
    ):
        planned = plan(scene.geometry, request)
        alone = whole(scene, planned)
        assert len({plane.tobytes() for plane in alone}) == len(planned.positions) > engine.CHUNK
        stream = engine.render_stack(scene, planned, Interpolation.LINEAR, threads)
        found.append(differ([plane.copy() for plane in stream], alone))
    return found


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_and_threads_change_no_bit(threads):
    assert not any(streams_differ(threads))


@ONE_ENGINE
def test_a_stream_shows_a_chunk_that_begins_one_plane_early(monkeypatch):
    render_planes = engine.render_planes

    def early(volume, plan, planes, *rest):
        first = max(planes.start - (len(planes) > 1), 0)
        render_planes(volume, plan, range(first, first + len(planes)), *rest)

    monkeypatch.setattr(engine, "render_planes", early)
    assert all(streams_differ(1))


def values_beside_padding(padding):
    """Return every value of planes through tissue of 500 and padding of -2000, stated or not."""
    values = np.full((12, 24, 20), 500)
    values[:, :6] = values[4:6, :, 3:9] = -2000
    scene = volume(geometry(), values, padding=padding)
    requests = (PlaneRequest(), PlaneRequest(Direction.SAGITTAL), PlaneRequest(Direction.OBLIQUE, OBLIQUE))
    planes = [rendered(scene, request, how)[1] for request in requests for how in Interpolation]
    return {float(value) for pixels in planes for value in np.unique(pixels)}


def test_padding_never_mixes_into_its_neighbours():
    assert values_beside_padding(-2000) == {500.0, float(HOUNSFIELD.padding_value)}


@ONE_ENGINE
def test_padding_that_nobody_states_mixes():
    assert len(values_beside_padding(NOWHERE)) > 10


def test_voxel_centres_of_the_scene_are_where_the_table_says():
    scene = volume(geometry(**STACKS["turned"]), np.zeros((12, 24, 20)))
    place = scene.table.index_of(voxel_centres(scene.geometry))
    assert np.abs(place - np.moveaxis(np.indices((12, 24, 20)), 0, -1)).max() < 1e-9
