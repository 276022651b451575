"""What arrives is right: validators accept it, readers place it, other engines compute the same values.

The sources go in by DCMTK's storescu and the planes come out by its getscu.
"""

from itertools import product

import highdicom
import numpy as np
import pytest
import SimpleITK

from scp.part10 import file_ref
from tests.e2e.conftest import running_node
from tests.e2e.oracles import agreement, direct, meaning, places, read_source, simpleitk
from tests.e2e.stations import Requestor

pytestmark = [pytest.mark.foreign, pytest.mark.wire, pytest.mark.data, pytest.mark.xdist_group("values")]

CHEST, ABDOMEN = "ct_chest_cmb_crc_01068", "mr_abdomen_siemens_coronal_tcga_lihc"
TILTED, JITTER = "ct_head_ge_tilt_varspacing", "mr_brain_ge_axial_jitter"
PHANTOM = "phantom_ibsi2_digital"
FOLDERS = {
    CHEST: "",
    ABDOMEN: "",
    TILTED: "",
    JITTER: "",
    PHANTOM: "orientation",
}

OBLIQUE = r"0.8660254038\0.4330127019\0.25\-0.5\0.75\0.4330127019"
DIRECTIONS = {
    "CORONAL": ("ReformattingOperationInitialViewDirection=CORONAL",),
    "SAGITTAL": ("ReformattingOperationInitialViewDirection=SAGITTAL",),
    "TRANSVERSE": ("ReformattingOperationInitialViewDirection=TRANSVERSE",),
    "OBLIQUE": (
        "ReformattingOperationInitialViewDirection=OBLIQUE",
        f"ImageOrientationPatient={OBLIQUE}",
    ),
}
INTERVALS_MM = {"CORONAL": 61.3, "SAGITTAL": 61.3, "TRANSVERSE": 61.3, "OBLIQUE": 103.7}
"""Between the planes: few of them, at places between the voxels."""


@pytest.fixture(scope="module")
def hospital(program, case, tmp_path_factory):
    """Return a function that gives the planes of a real series, and the folder that they lie in."""
    folder = tmp_path_factory.mktemp("hospital")
    sent, received = set(), {}
    with running_node(folder / "archive") as node:
        asking = Requestor(program, folder / "answers", node.address[1])

        def planes_of(name, direction):
            if name not in sent:
                asking.store(case(name) / FOLDERS[name])
                sent.add(name)
            if (name, direction) not in received:
                received[name, direction] = asked(asking, case(name) / FOLDERS[name], direction)
            return received[name, direction]

        yield planes_of


def asked(asking, folder, direction):
    uid = read_uid(folder)
    answer = asking.get(
        "QueryRetrieveLevel=IMAGE",
        f"SOPInstanceUID={uid}",
        "ReformattingOperationType=MPR",
        f"ReformattingInterval={INTERVALS_MM[direction]}",
        *DIRECTIONS[direction],
    )
    assert (answer.exit_code, answer.status) == (0, 0x0000), answer.comment
    assert answer.counts["Completed"] == len(answer.objects)
    return answer


def read_uid(folder):
    return file_ref(next(path for path in folder.iterdir() if path.is_file())).sop_instance_uid


@pytest.fixture(scope="module")
def source(case):
    """Return a function that reads a series once for all oracles."""
    known = {}

    def read(name):
        if name not in known:
            known[name] = read_source(case(name) / FOLDERS[name])
        return known[name]

    return read


EVEN = list(product((CHEST, ABDOMEN), DIRECTIONS))
UNEVEN = list(product((TILTED, JITTER), DIRECTIONS))


def told(name, direction, found):
    print(f"{name} {direction}: {found.compared:.1%} compared, largest error {found.largest:.4f}")
    return found


@pytest.mark.parametrize(("name", "direction"), EVEN)
def test_every_voxel_is_what_simpleitk_computes(hospital, source, name, direction):
    planes = hospital(name, direction).objects
    found = told(name, direction, agreement(planes, source(name), simpleitk))
    assert found.holds
    assert found.compared > 0.15


@pytest.mark.parametrize(("name", "direction"), UNEVEN)
def test_every_voxel_is_what_the_true_positions_give(hospital, source, name, direction):
    planes = hospital(name, direction).objects
    found = told(name, direction, agreement(planes, source(name), direct))
    assert found.holds
    assert found.compared > 0.1


@pytest.mark.parametrize("name", [CHEST, ABDOMEN, TILTED, JITTER])
def test_a_flipped_or_shifted_volume_would_be_noticed(hospital, source, name):
    planes = hospital(name, "OBLIQUE").objects
    assert agreement(planes, source(name), direct).holds
    assert not agreement(planes, source(name).turned_over(), direct).holds
    assert not agreement(planes, source(name).shifted(), direct).holds


@pytest.mark.parametrize("name", [TILTED, JITTER])
def test_a_mean_spaced_volume_would_be_noticed(hospital, source, name):
    planes = hospital(name, "SAGITTAL").objects
    assert not agreement(planes, source(name).mean_spaced(), direct).holds


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_orientation_phantom_has_its_closed_form_everywhere(hospital, source, direction):
    """Every voxel of it is (x + y - z) / 2, and so is every point between voxels."""
    volume = source(PHANTOM)
    last = np.array(volume.values.shape)[:, np.newaxis, np.newaxis] - 1
    errors, of_a_mirror = [], []
    for plane in hospital(PHANTOM, direction).objects:
        points = places(plane)
        indices = volume.indices(points)
        inside = ((indices >= 0) & (indices <= last)).all(axis=0)
        errors.extend(np.abs(meaning(plane) - points @ (0.5, 0.5, -0.5))[inside])
        of_a_mirror.extend(np.abs(meaning(plane) - points @ (0.5, 0.5, 0.5))[inside])
    assert len(errors) > 1000
    assert max(errors) <= 0.5 + 1e-6
    assert max(of_a_mirror) > 1


@pytest.mark.parametrize(("name", "direction"), EVEN)
def test_validators_find_nothing_that_they_do_not_find_in_the_sources(
    hospital, complaints, case, name, direction
):
    paths = sorted(hospital(name, direction).folder.iterdir())
    inherited = complaints(next(case(name).iterdir()))
    for path in {paths[0], paths[-1]}:
        assert complaints(path) - inherited == set()


def assert_placed(points, values, objects):
    """Assert that *values* lie at *points* within 1e-6 mm, by what the objects state of their corners."""
    ends = np.ix_([0, -1], [0, -1])
    stated = np.stack([places(ds)[ends] for ds in objects]).reshape(-1, 3)
    held = np.stack([meaning(ds)[ends] for ds in objects]).ravel()
    for point, value in zip(points, values, strict=True):
        nearest = int(np.argmin(np.abs(stated - point).max(axis=1)))
        np.testing.assert_allclose(stated[nearest], point, rtol=0, atol=1e-6)
        assert value == held[nearest]


def corners(shape):
    return list(product(*((0, size - 1) for size in shape)))


@pytest.mark.parametrize(("name", "direction"), EVEN)
def test_simpleitk_places_every_corner_where_the_objects_say(hospital, name, direction):
    answer = hospital(name, direction)
    reader = SimpleITK.ImageSeriesReader()
    (uid,) = reader.GetGDCMSeriesIDs(str(answer.folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(answer.folder), uid))
    image = reader.Execute()
    chosen = corners(image.GetSize())
    points = [image.TransformIndexToPhysicalPoint([int(v) for v in corner]) for corner in chosen]
    assert_placed(points, [image[[int(v) for v in corner]] for corner in chosen], answer.objects)


@pytest.mark.parametrize(("name", "direction"), EVEN)
def test_highdicom_places_every_corner_where_the_objects_say(hospital, name, direction):
    objects = hospital(name, direction).objects
    volume = highdicom.get_volume_from_series(objects)
    chosen = corners(volume.array.shape)
    points = [(np.asarray(volume.affine) @ (*corner, 1))[:3] for corner in chosen]
    assert_placed(points, [volume.array[corner] for corner in chosen], objects)
