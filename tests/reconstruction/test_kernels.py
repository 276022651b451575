"""The kernels give the reference's pixels, whatever the plane: never more than one stored value apart.

Run once more with ``NUMBA_BOUNDSCHECK=1`` and a cache folder of its own: then a kernel that reads or writes
beside an array fails here, instead of later and elsewhere.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scp.model import Direction, Interpolation, Method, Operation, PlaneRequest
from scp.reconstruction import reference
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.planes import plan as planned
from scp.reconstruction.volume import NOWHERE
from tests.reconstruction.scenes import HOUNSFIELD, UNSIGNED, geometry, oriented, volume

compiled = pytest.importorskip("scp.reconstruction.compiled", reason="numba is not installed")

FAMILIES = {
    "render_rows": PlaneRequest(Direction.CORONAL),
    "render_tiles": PlaneRequest(Direction.SAGITTAL),
    "render_general": PlaneRequest(Direction.OBLIQUE, orientation=oriented((30, 20, 10))),
}

unit = st.floats(-1.0, 1.0, allow_nan=False, width=32)
angle = st.one_of(st.sampled_from([0.0, 90.0, 180.0, 1e-7, 0.02]), st.floats(-180, 180, allow_nan=False))


@st.composite
def volumes(draw):
    """Small volumes of noise: even, tilted or uneven; with padding, padded slices, or neither."""
    count, rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    seed = draw(st.integers(0, 2**16))
    random = np.random.default_rng(seed)
    kind = draw(st.sampled_from(["even", "tilted", "uneven"]))
    steps = random.uniform(0.4, 3.0, count) if kind == "uneven" else np.full(count, random.uniform(0.4, 3.0))
    heights = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    tilt = random.uniform(-0.5, 0.5, 2) * draw(st.sampled_from([0, 1])) if kind != "even" else np.zeros(2)
    shape = geometry(
        rows,
        columns,
        heights=heights.tolist(),
        orientation=draw(st.sampled_from([oriented((0, 0, 0)), oriented((90, 0, 0)), oriented((7, -4, 30))])),
        spacing=draw(st.sampled_from([(1.0, 1.0), (0.7, 1.3)])),
        drift=np.outer(heights, tilt).tolist(),
    )
    pixel_format = draw(st.sampled_from([HOUNSFIELD, UNSIGNED]))
    low, high = pixel_format.limits
    values = random.integers(low, high + 1, (count, rows, columns))
    padding = draw(st.sampled_from([NOWHERE, pixel_format.padding_value]))
    if padding != NOWHERE:
        values[random.random(values.shape) < 0.2] = padding
    usable = random.random(count) > draw(st.sampled_from([0.0, 0.3]))
    return volume(shape, values, pixel_format, padding=padding, usable=usable.tolist())


@st.composite
def plans(draw, shape):
    """Planes of any kind near the volume: also ones that miss it, hardly move, or have one pixel."""
    turned = oriented((draw(angle), draw(angle), draw(angle)))
    row, column = np.array(turned[:3]), np.array(turned[3:])
    rows, columns, count = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    spacing = draw(st.sampled_from([1.0, 0.5, 2.5, 1e-4, 0.9999999]))
    corner = np.array(shape.positions[draw(st.integers(0, shape.slices - 1))])
    start = corner + np.array(
        [draw(st.sampled_from([0.0, 1.0, -0.5, 2.25, 60.0])) + draw(unit) for _ in range(3)]
    )
    interval = draw(st.sampled_from([1.0, 0.3]))
    samples = draw(st.integers(1, 4))
    offsets = np.linspace(-1.5, 1.5, samples) if samples > 1 else np.zeros(1)
    weights = np.ones(samples) / samples
    method = draw(st.sampled_from(Method))
    request = PlaneRequest(Direction.OBLIQUE, turned, None, Operation.SLAB, 3.0, interval, method)
    positions = [tuple((start + place * interval * np.cross(row, column)).tolist()) for place in range(count)]
    return PlanePlan(
        request, tuple(row), tuple(column), spacing, rows, columns, tuple(positions), interval, 3.0,
        tuple(offsets.tolist()), tuple(weights.tolist()), ((),) * count, ((),) * count,
        draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3), (3, 2)])),
    )  # fmt: skip


def both(scene, plan, interpolation):
    """Return all planes by the kernels and by the reference, as whole numbers that can be subtracted."""
    return tuple(made(render, scene, plan, interpolation) for render in (compiled, reference))


def made(engine, scene, plan, interpolation=Interpolation.LINEAR):
    planes = np.full((len(plan.positions), plan.rows, plan.columns), 12345, np.int16)
    engine.render_chunk(scene, plan, range(len(planes)), interpolation, 0, planes)
    return planes.view(scene.dtype).astype(int)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize("interpolation", Interpolation)
def test_kernels_agree_with_the_reference_within_one_value(data, interpolation):
    scene = data.draw(volumes())
    plan = data.draw(plans(scene.geometry))
    fast, true = both(scene, plan, interpolation)
    assert np.abs(fast - true).max() <= 1


def noise(shape, seed=1):
    return np.random.default_rng(seed).integers(-1000, 3000, (shape.slices, shape.rows, shape.columns))


SHAPES = {
    "even": geometry(31, 29, spacing=(0.8, 0.8)),
    "tilted": geometry(31, 29, drift=[(0.0, 0.7 * k) for k in range(12)]),
    "tilted sideways": geometry(31, 29, drift=[(0.7 * k, 0.0) for k in range(12)]),
    "uneven": geometry(31, 29, heights=[0, 2, 4, 6, 7, 12, 17, 22, 27, 32, 37, 42]),
    "anisotropic": geometry(31, 29, spacing=(1.0, 0.6)),
    "coronal": geometry(31, 29, orientation=(1, 0, 0, 0, 0, -1)),
    "sagittal": geometry(31, 29, orientation=(0, 1, 0, 0, 0, -1)),
    "prone": geometry(31, 29, orientation=(-1, 0, 0, 0, -1, 0)),
    "double oblique": geometry(31, 29, orientation=oriented((20, -15, 40))),
    "one slice": geometry(31, 29, heights=[0]),
    "one row": geometry(1, 29, spacing=(0.7, 1.3)),
}


SLABS_OF = ("tilted", "uneven", "coronal")
"""Shapes of which slabs are compared in every run; those of the others take long by the reference."""

PLANNED = [
    pytest.param(name, operation, marks=pytest.mark.long)
    if operation is Operation.SLAB and name not in SLABS_OF
    else (name, operation)
    for name in SHAPES
    for operation in Operation
]


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(("name", "operation"), PLANNED)
def test_planned_planes_agree_with_the_reference(name, direction, operation):
    shape = SHAPES[name]
    orientation = oriented((30, 20, 10)) if direction is Direction.OBLIQUE else None
    request = PlaneRequest(direction, orientation, None, operation, 5.0, 3.1, Method.MAXIMUM_IP)
    planes = planned(shape, request)
    for padding in (NOWHERE, -1000):
        values = noise(shape)
        if padding != NOWHERE:
            values[:, :4, :9] = padding
        scene = volume(shape, values, padding=padding)
        for interpolation in Interpolation:
            fast, true = both(scene, planes, interpolation)
            assert np.abs(fast - true).max() <= 1


@pytest.mark.parametrize("kernel", FAMILIES)
def test_each_kernel_has_its_planes(kernel):
    shape = SHAPES["tilted"]
    planes = planned(shape, FAMILIES[kernel])
    scene = volume(shape, noise(shape))
    steps = compiled.walk(planes, range(1), planes.samples()[0], scene.table)[1]
    assert compiled.kernel_of(scene, planes, steps, Interpolation.LINEAR).__name__ == kernel


def right(kernel):
    return kernel


def a_row_off(kernel):
    """Return a mistake: every row of voxels taken for the one before it."""
    return lambda volume, *rest: kernel(np.roll(volume, 1, axis=1), *rest)


def a_slice_off(kernel):
    return lambda volume, *rest: kernel(np.roll(volume, 1, axis=0), *rest)


def weights_shifted(kernel):
    """Return a mistake: of two voxels the one weighs a hundredth too much, along each axis."""
    return lambda volume, starts, *rest: kernel(volume, starts + 0.01, *rest)


def planes_exchanged(kernel):
    return lambda volume, starts, *rest: kernel(volume, starts[::-1].copy(), *rest)


MISTAKES = [a_row_off, a_slice_off, weights_shifted, planes_exchanged]


def apart_from_the_general_kernel(monkeypatch, name, family, mistake):
    """Return by how much the planes of *family*, with a mistake, are off those of the general kernel."""
    shape = SHAPES[name]
    planes, scene = planned(shape, FAMILIES[family]), volume(shape, noise(shape))
    stacks = []
    for kernel in (mistake(getattr(compiled, family)), compiled.render_general):
        monkeypatch.setattr(compiled, "kernel_of", lambda *_, kernel=kernel: kernel)
        stacks.append(made(compiled, scene, planes))
    return np.abs(stacks[0] - stacks[1]).max()


@pytest.mark.parametrize("family", ["render_rows", "render_tiles"])
@pytest.mark.parametrize("name", ["tilted", "uneven"])
def test_rows_and_tiles_agree_with_the_general_kernel_within_one_value(monkeypatch, name, family):
    assert apart_from_the_general_kernel(monkeypatch, name, family, right) <= 1


@pytest.mark.parametrize("family", ["render_rows", "render_tiles"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_general_kernel_shows_each_mistake(monkeypatch, mistake, family):
    assert apart_from_the_general_kernel(monkeypatch, "tilted", family, mistake) > 10


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_reference_shows_each_mistake_of_a_kernel(monkeypatch, mistake, family):
    shape = SHAPES["tilted"]
    planes, scene = planned(shape, FAMILIES[family]), volume(shape, noise(shape))
    broken = mistake(getattr(compiled, family))
    monkeypatch.setattr(compiled, "kernel_of", lambda *_: broken)
    fast, true = both(scene, planes, Interpolation.LINEAR)
    assert np.abs(fast - true).max() > 10


def test_nothing_beside_the_output_is_written():
    shape = SHAPES["double oblique"]
    planes = planned(shape, FAMILIES["render_general"])
    scene = volume(shape, noise(shape))
    whole = np.full((5, planes.rows, planes.columns), 777, np.int16)
    compiled.render_chunk(scene, planes, range(3), Interpolation.LINEAR, 0, whole[1:4])
    assert (whole[0] == 777).all()
    assert (whole[4] == 777).all()
