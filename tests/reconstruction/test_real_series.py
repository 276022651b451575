"""Real series against programs that are not ours, against their own voxels, and against a closed form.

Every pixel of the volume is compared that no padding has a part in, in the half voxel at the border too; each
test prints how many these are (``pytest -s``).
"""

import dataclasses

import numpy as np
import pytest

from scp.errors import DecodingFailed, Refused
from scp.model import Direction, Interpolation, PlaneRequest, Policy
from scp.part10 import read_facts
from scp.reconstruction import reference
from scp.reconstruction.geometry import even_line
from scp.reconstruction.pixels import pixel_format
from scp.reconstruction.planes import plan
from scp.reconstruction.volume import read_volume
from tests.reconstruction.scenes import along_normal, flipped, half_a_voxel_off, one_plane, oriented

pytestmark = pytest.mark.data

REQUESTS = {
    "coronal": PlaneRequest(Direction.CORONAL),
    "sagittal": PlaneRequest(Direction.SAGITTAL),
    "transverse": PlaneRequest(Direction.TRANSVERSE),
    "oblique": PlaneRequest(Direction.OBLIQUE, oriented((70, 20, 10))),
}


DECIMALS = 1e-4
"""Voxels by which the first and last planes may lie beyond the centres: positions are decimal strings."""


def stack_of(folder):
    return along_normal(
        [facts for path in sorted(folder.iterdir()) for facts in read_facts(path) if not facts.reason]
    )


def volume_of(stack):
    return read_volume(stack, (), Policy.REFUSE, pixel_format(stack))


def chosen_planes(scene, request, count=5):
    """Yield plan, number, pixels and true places of planes all over the volume."""
    planned = plan(scene.geometry, request)
    for index in np.unique(np.linspace(0, len(planned.positions) - 1, count).astype(int)):
        pixels = one_plane(scene, planned, int(index), Interpolation.LINEAR)
        yield planned, int(index), pixels.astype(float), reference.plane_points(planned, int(index))


def inside(scene, places, beyond=0.5 - DECIMALS):
    """Tell which places lie between the outermost voxel centres, or up to *beyond* voxels outside of them."""
    index, last = scene.table.index_of(places), np.array(scene.values.shape[1:]) - 1
    return ((index >= -beyond) & (index <= last + beyond)).all(axis=-1)


def shown(scene, places, pixels):
    """Tell which pixels show the volume: they lie in it, and not in its padding."""
    return inside(scene, places) & ((pixels != scene.pixel_format.padding_value) | (not scene.has_holes))


def compared(name, differences, shows):
    """Return all *differences*, and print which part of the pixels that show the volume they are."""
    values, pixels = np.concatenate(differences), sum(map(np.count_nonzero, shows))
    above = np.mean(values > 0.5001)
    print(f"{name}: compared {values.size} of {pixels} pixels of the volume ({values.size / pixels:.1%})")
    print(f"{name}: worst {values.max():.4g}, above 0.5 {above:.3%}")
    assert values.size > 0.9 * pixels > 1000
    return values


def stored(scene, mask_padding=True):
    """Return voxels (slices, rows, columns) as whole numbers, and which are not padding."""
    values = scene.values[0].astype(int) + scene.bias
    true = scene.values[0] != scene.padding if mask_padding else np.ones(values.shape, bool)
    return values, true


def differences_from_simpleitk(name, scene, rendered, view):
    """Return by how much planes of *rendered* differ from those that SimpleITK makes of *scene*."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed: this test compares with it")
    values, true = stored(scene)
    image = sitk.GetImageFromArray(values.astype(np.float32))
    position = even_line(np.array(scene.geometry.positions))
    frame = np.array([scene.geometry.row_cosine, scene.geometry.column_cosine, scene.geometry.normal])
    image.SetOrigin(scene.geometry.positions[0])
    image.SetSpacing((scene.geometry.column_spacing_mm, scene.geometry.row_spacing_mm, scene.table.step_mm))
    image.SetDirection(frame.T.ravel().tolist())
    assert np.linalg.norm(position[1] - position[0]) == pytest.approx(scene.table.step_mm, abs=1e-6)
    whole = sitk.GetImageFromArray(true.astype(np.float32))
    whole.CopyInformation(image)
    differences, shows = [], []
    for planned, index, pixels, places in chosen_planes(rendered, REQUESTS[view]):
        expected, share = (simpleitk_plane(sitk, planned, index, source) for source in (image, whole))
        keep = inside(scene, places) & (share > 0.99999)
        differences.append(np.abs(pixels - expected)[keep])
        shows.append(shown(scene, places, pixels))
    return compared(f"{name} {view}", differences, shows)


@pytest.mark.parametrize("view", REQUESTS)
@pytest.mark.parametrize("name", ["ct_chest_cmb_crc_01068", "mr_abdomen_siemens_coronal_tcga_lihc"])
def test_linear_planes_equal_those_of_simpleitk(case, name, view):
    scene = volume_of(stack_of(case(name)))
    assert differences_from_simpleitk(name, scene, scene, view).max() <= 0.51


@pytest.mark.parametrize("mistake", [flipped, half_a_voxel_off])
def test_simpleitk_shows_each_mistake(case, mistake):
    name = "mr_abdomen_siemens_coronal_tcga_lihc"
    scene = volume_of(stack_of(case(name)))
    assert np.mean(differences_from_simpleitk(name, scene, mistake(scene), "coronal") > 0.51) > 0.5


def simpleitk_plane(sitk, planned, index, image):
    resample = sitk.ResampleImageFilter()
    resample.SetSize((planned.columns, planned.rows, 1))
    resample.SetOutputOrigin(planned.positions[index])
    resample.SetOutputSpacing((planned.spacing_mm, planned.spacing_mm, 1.0))
    axes = np.array([planned.row_cosine, planned.column_cosine, planned.normal])
    resample.SetOutputDirection(axes.T.ravel().tolist())
    resample.SetInterpolator(sitk.sitkLinear)
    resample.SetOutputPixelType(sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resample.Execute(image))[0].astype(float)


def evaluated(stack, values, true, places):
    """Return the linear value at each place straight from the headers, and whether no padding took part.

    Point by point: the two slices around it by their true heights, in each the place on the line between
    their first voxels. In the half voxel at the border the border's value holds.
    """
    cosines = np.array(stack[0].header.numbers("ImageOrientationPatient"))
    row, column = cosines[:3], cosines[3:]
    between_rows, between_columns = stack[0].header.numbers("PixelSpacing")
    firsts = np.array([facts.header.numbers("ImagePositionPatient") for facts in stack])
    normal = np.cross(row, column)
    heights = firsts @ normal
    above = np.clip(np.searchsorted(heights, places @ normal), 1, len(stack) - 1)
    weight = (places @ normal - heights[above - 1]) / (heights[above] - heights[above - 1])
    first = firsts[above - 1] + weight[:, np.newaxis] * (firsts[above] - firsts[above - 1])
    last = np.array(values.shape) - 1
    weight = np.clip(weight, 0, 1)
    j = np.clip((places - first) @ column / between_rows, 0, last[1])
    i = np.clip((places - first) @ row / between_columns, 0, last[2])
    j0, i0 = np.floor(j).astype(int), np.floor(i).astype(int)
    total, whole = np.zeros(len(places)), np.ones(len(places), bool)
    for dk, wk in ((-1, 1 - weight), (0, weight)):
        for dj, wj in ((0, 1 - (j - j0)), (1, j - j0)):
            for di, wi in ((0, 1 - (i - i0)), (1, i - i0)):
                voxel = above + dk, np.minimum(j0 + dj, last[1]), np.minimum(i0 + di, last[2])
                total += wk * wj * wi * values[voxel]
                whole &= true[voxel]
    return total, whole


@pytest.mark.parametrize("view", REQUESTS)
@pytest.mark.parametrize("name", ["ct_head_ge_tilt_varspacing", "mr_brain_ge_axial_jitter"])
def test_tilted_uneven_slices_are_read_at_their_true_positions(case, name, view):
    stack = stack_of(case(name))
    scene = volume_of(stack)
    differences, shows = [], []
    for _, _, pixels, places in chosen_planes(scene, REQUESTS[view]):
        keep = inside(scene, places)
        expected, whole = evaluated(stack, *stored(scene), places[keep])
        differences.append(np.abs(pixels[keep] - expected)[whole])
        shows.append(shown(scene, places, pixels))
    values = compared(f"{name} {view}", differences, shows)
    assert values.max() <= 1.0
    assert np.mean(values > 0.5001) < 0.001


def test_even_slices_would_be_wrong_for_the_uneven_head(case):
    stack = stack_of(case("ct_head_ge_tilt_varspacing"))
    scene = volume_of(stack)
    table = scene.table
    even = np.linspace(0, table.heights_mm[-1], len(stack))
    wrong = dataclasses.replace(scene, table=dataclasses.replace(table, heights_mm=even))
    planned = plan(scene.geometry, REQUESTS["coronal"])
    middle = len(planned.positions) // 2
    right, mistaken = (
        one_plane(v, planned, middle, Interpolation.LINEAR).astype(float) for v in (scene, wrong)
    )
    assert np.abs(right - mistaken).mean() > 20


@pytest.mark.parametrize("view", REQUESTS)
def test_the_digital_phantom_has_its_closed_form_everywhere_inside(case, view):
    """Its voxel at column i, row j, 2 mm apart, and z = -2 k is i + j + k: a ramp of (x + y - z) / 2."""
    scene = volume_of(stack_of(case("phantom_ibsi2_digital") / "orientation"))
    origin = np.array(scene.geometry.positions[-1])
    differences, shows = [], []
    for _, _, pixels, places in chosen_planes(scene, REQUESTS[view], 1000):
        away = places - origin
        expected = (away[..., 0] + away[..., 1] - away[..., 2]) / 2
        differences.append(np.abs(pixels - expected)[inside(scene, places, DECIMALS)])
        shows.append(shown(scene, places, pixels))
    assert compared(f"phantom {view}", differences, shows).max() <= 0.51


@pytest.mark.parametrize("mistake", [flipped, half_a_voxel_off])
def test_the_digital_phantom_shows_each_mistake(case, mistake):
    scene = volume_of(stack_of(case("phantom_ibsi2_digital") / "orientation"))
    origin = np.array(scene.geometry.positions[-1])
    worst = []
    for _, _, pixels, places in chosen_planes(mistake(scene), REQUESTS["coronal"]):
        away = places - origin
        expected = (away[..., 0] + away[..., 1] - away[..., 2]) / 2
        worst.append(np.abs(pixels - expected)[inside(scene, places, DECIMALS)])
    assert np.concatenate(worst).max() > 0.51


def test_classic_and_enhanced_copies_of_one_volume_read_alike(case):
    """The outermost slice of the classic copy has something burned in and is left out."""
    folder = case("mr_phantom_siemens_sag_classic_enhanced")
    found = [
        f for path in sorted(folder.rglob("*")) if path.is_file() for f in read_facts(path) if not f.reason
    ]
    classic = along_normal([facts for facts in found if facts.frame == 0])
    frames = along_normal([facts for facts in found if facts.frame > 0])
    assert len(classic) == len(frames) == 63
    one, other = volume_of(classic), volume_of(frames)
    differ = [k for k in range(63) if (one.values[0, k] != other.values[0, k]).any()]
    assert [one.geometry.positions[k][0] for k in differ] == [-68.2]
    assert (one.values[0, differ] != other.values[0, differ]).sum() == 56


@pytest.mark.parametrize("view", REQUESTS)
@pytest.mark.parametrize("interpolation", Interpolation)
def test_classic_and_enhanced_copies_give_the_same_planes(case, view, interpolation):
    """Bit for bit, of the slices that are the same; the outermost one (the most to the right) is not."""
    folder = case("mr_phantom_siemens_sag_classic_enhanced")
    found = [
        f for path in sorted(folder.rglob("*")) if path.is_file() for f in read_facts(path) if not f.reason
    ]
    same = [f for f in found if f.header.numbers("ImagePositionPatient")[0] > -68.0]
    stacks = [along_normal([f for f in same if (f.frame > 0) is enhanced]) for enhanced in (False, True)]
    assert [len(stack) for stack in stacks] == [62, 62]
    classic, enhanced = map(volume_of, stacks)
    one, other = (plan(scene.geometry, REQUESTS[view]) for scene in (classic, enhanced))
    assert one == other
    for index in range(0, len(one.positions), 13):
        pixels = one_plane(classic, one, index, interpolation)
        assert (pixels == one_plane(enhanced, other, index, interpolation)).all()


def stacks_below(folder):
    """Yield stacks of at least three images: of one series, matrix, orientation and contrast."""
    groups = {}
    for path in sorted(folder.rglob("*")):
        for facts in read_facts(path) if path.is_file() else ():
            header = facts.header
            if facts.reason or not facts.pixel_data or len(header.numbers("PixelSpacing")) != 2:
                continue
            keys = (
                "SeriesInstanceUID",
                "Rows",
                "Columns",
                "ImageOrientationPatient",
                "EchoTime",
                "ImageType",
            )
            groups.setdefault((path.parent, *(header.text(key) for key in keys)), []).append(facts)
    for (parent, *_), found in groups.items():
        if len(found[0].header.numbers("ImageOrientationPatient")) != 6:
            continue
        at = {f.header.numbers("ImagePositionPatient"): f for f in reversed(found)}
        if len(at) >= 3 and all(len(position) == 3 for position in at):
            yield parent, along_normal(list(at.values()))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name",
    [
        "ct_chest_cmb_crc_01068", "ct_head_ge_tilt_varspacing", "ct_study_philips_headphantom",
        "enhanced_multiframe", "mr_abdomen_siemens_coronal_tcga_lihc", "mr_brain_ge_axial_jitter",
        "mr_phantom_acr", "mr_phantom_ge_localizer_4d", "mr_phantom_siemens_sag_classic_enhanced",
        "oddities_dicom2nifti", "petctmr_sts_004", "phantom_ibsi2_digital", "syntaxes_mr_4slices",
    ],
)  # fmt: skip
def test_both_engines_agree_on_every_series_and_kind_of_plane(case, name):
    """Three planes of each kind: kernels and reference, every pixel; prints a row for each."""
    compared_stacks = 0
    for parent, stack in stacks_below(case(name)):
        try:
            scene = volume_of(stack)
        except (Refused, DecodingFailed) as reason:
            print(f"{parent.name}: {len(stack)} images, no volume: {reason}")
            continue
        compared_stacks += 1
        for view, request in REQUESTS.items():
            for interpolation in Interpolation:
                planned = plan(scene.geometry, request, interpolation=interpolation)
                chosen = np.unique(np.linspace(0, len(planned.positions) - 1, 5).astype(int))[1:-1]
                apart, inside = [], []
                for index in chosen.tolist():
                    ours = one_plane(scene, planned, index, interpolation).astype(int)
                    true = reference.render(scene, planned, index, interpolation).astype(int) + scene.bias
                    apart.append(abs(ours - (true[0] if len(true) == 1 else np.moveaxis(true, 0, -1))))
                    place = scene.table.index_of(reference.plane_points(planned, index))
                    inside.append(((place > -0.5) & (place < np.array(scene.values.shape[1:]) - 0.5)).all(-1))
                if apart:
                    differing, share = np.mean(np.stack(apart) > 0), np.mean(np.stack(inside))
                    print(
                        f"{parent.name} {len(stack)} {view} {interpolation}: {np.stack(apart).size} pixels, "
                        f"{share:.0%} inside, {differing:.3%} differ, worst {np.stack(apart).max()}"
                    )
                    assert np.stack(apart).max() <= 1
    assert compared_stacks


def test_pet_slices_with_their_own_slopes_come_to_one(case):
    folder = case("petctmr_sts_004")
    found = [
        f for path in sorted(folder.rglob("*")) if path.is_file() for f in read_facts(path) if not f.reason
    ]
    pet = along_normal([facts for facts in found if facts.header.text("Modality") == "PT"])
    scene = volume_of(pet)
    common = scene.pixel_format.rescale_slope
    assert common == max(facts.header.number("RescaleSlope") for facts in pet)
    assert scene.pixel_format.rescale_intercept == 0
    raw = [read_volume([facts], (), Policy.REFUSE, pixel_format([facts])) for facts in pet]
    for k, (facts, one) in enumerate(zip(pet, raw, strict=True)):
        activity = (one.values[0, 0].astype(float) + one.bias) * facts.header.number("RescaleSlope")
        assert (
            np.abs((scene.values[0, k].astype(float) + scene.bias) * common - activity).max()
            <= 0.5 * common + 1e-9
        )


@pytest.mark.parametrize("case_name", ["syntaxes_mr_4slices", "syntaxes_mr_mosaic"])
def test_every_transfer_syntax_gives_the_same_voxels(case, case_name):
    folder = case(case_name)
    found = [
        f for path in sorted(folder.rglob("*")) if path.is_file() for f in read_facts(path) if f.pixel_data
    ]
    by_key = {}
    for facts in found:
        scene = volume_of([facts])
        key = facts.header.text("SOPInstanceUID") if "4slices" in case_name else "one"
        by_key.setdefault(key, []).append(scene.values.tobytes())
    assert all(len(copies) > 1 for copies in by_key.values())
    assert all(len(set(copies)) == 1 for copies in by_key.values())
