"""What readers that are not ours make of results: the geometry of the plan, and the values."""

from itertools import product

import gdcm
import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK

from scp.model import Direction
from scp.results import Encoder, ResultOptions, describe
from tests.cases.readers import dcm2niix
from tests.results.planning import CT, files_of, pixels_of, planned, selected

LENGTH_MM = 1e-6
COSINE = 1e-9
FLOAT32_MM = 1e-3
"""NIfTI holds its matrix in single precision, and the head of the patient lies more than a metre away."""

PLANS = {
    direction: planned(
        direction,
        count=5,
        rows=9,
        columns=11,
        spacing=0.683593751234,
        interval=1.3671875,
        origin=(-174.65820312512, 333.3333333333333, -1234.567890123),
    )
    for direction in Direction
}


def written(folder, stack, plan, sop_class):
    series = describe(selected(stack), plan, CT, ResultOptions(sop_class=sop_class))
    pixels = pixels_of(plan)
    paths = []
    for number, data in enumerate(files_of(Encoder(series), pixels)):
        paths.append(folder / f"{number:03d}.dcm")
        paths[-1].write_bytes(data)
    return paths, pixels


def affine(plan) -> np.ndarray:
    """From (column, row, plane) to mm, 4 x 4."""
    row, column = np.array(plan.row_cosine), np.array(plan.column_cosine)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = row * plan.spacing_mm, column * plan.spacing_mm
    matrix[:3, 2] = np.cross(row, column) * plan.interval_mm
    matrix[:3, 3] = plan.positions[0]
    return matrix


FORMS = list(product(Direction, ("secondary_capture", "source")))


@pytest.mark.parametrize(("direction", "sop_class"), FORMS)
def test_simpleitk_reads_a_series_as_the_volume_that_was_planned(stack, tmp_path, direction, sop_class):
    plan = PLANS[direction]
    paths, pixels = written(tmp_path, stack, plan, sop_class)
    reader = SimpleITK.ImageSeriesReader()
    uids = reader.GetGDCMSeriesIDs(str(tmp_path))
    assert len(uids) == 1
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path), uids[0]))
    image = reader.Execute()
    corners = product((0, plan.columns - 1), (0, plan.rows - 1), (0, len(paths) - 1))
    for corner in corners:
        expected = affine(plan) @ (*corner, 1)
        there = image.TransformContinuousIndexToPhysicalPoint([float(v) for v in corner])
        np.testing.assert_allclose(there, expected[:3], rtol=0, atol=LENGTH_MM)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), pixels)


@pytest.mark.parametrize(("direction", "sop_class"), FORMS)
def test_highdicom_reads_a_series_as_the_volume_that_was_planned(stack, tmp_path, direction, sop_class):
    plan = PLANS[direction]
    paths, pixels = written(tmp_path, stack, plan, sop_class)
    volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths])
    to_patient = np.asarray(volume.affine)
    for k, j, i in product((0, len(paths) - 1), (0, plan.rows - 1), (0, plan.columns - 1)):
        point = to_patient @ (k, j, i, 1)
        ours = np.linalg.solve(affine(plan), point)[:3]
        index = np.rint(ours).astype(int)
        np.testing.assert_allclose(point[:3], (affine(plan) @ (*index, 1))[:3], rtol=0, atol=LENGTH_MM)
        assert volume.array[k, j, i] == pixels[index[2], index[1], index[0]]


@pytest.mark.foreign
@pytest.mark.parametrize(("direction", "sop_class"), FORMS)
def test_dcm2niix_converts_a_series_to_the_volume_that_was_planned(stack, tmp_path, direction, sop_class):
    pytest.importorskip("dcm2niix")
    plan = PLANS[direction]
    _, pixels = written(tmp_path, stack, plan, sop_class)
    (volume,) = dcm2niix(tmp_path)
    points = np.append(volume.points(), np.ones((*volume.values.shape, 1)), axis=-1)
    index = np.rint(points @ np.linalg.inv(affine(plan)).T).astype(int)
    np.testing.assert_allclose(points, index @ affine(plan).T, rtol=0, atol=FLOAT32_MM)
    column, row, plane, _ = np.moveaxis(index, -1, 0)
    np.testing.assert_array_equal(volume.values, pixels[plane, row, column])
    assert len({*map(tuple, index.reshape(-1, 4))}) == pixels.size


@pytest.mark.parametrize("direction", Direction)
def test_gdcm_reads_the_geometry_of_the_sources_class(stack, tmp_path, direction):
    plan = PLANS[direction]
    paths, _ = written(tmp_path, stack, plan, "source")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(paths[2]))
    assert reader.Read()
    image = reader.GetImage()
    np.testing.assert_allclose(
        [image.GetOrigin(axis) for axis in range(3)], plan.positions[2], rtol=0, atol=LENGTH_MM
    )
    np.testing.assert_allclose(
        [image.GetSpacing(axis) for axis in range(2)], [plan.spacing_mm] * 2, rtol=0, atol=LENGTH_MM
    )
    np.testing.assert_allclose(
        [image.GetDirectionCosines(axis) for axis in range(6)],
        [*plan.row_cosine, *plan.column_cosine],
        rtol=0,
        atol=COSINE,
    )


@pytest.mark.parametrize("direction", Direction)
def test_a_multiframe_holds_the_geometry_of_every_plane(stack, tmp_path, direction):
    plan = PLANS[direction]
    (path,), pixels = written(tmp_path, stack, plan, "multiframe")
    ds = pydicom.dcmread(path)
    (shared,) = ds.SharedFunctionalGroupsSequence
    measures, orientation = shared.PixelMeasuresSequence[0], shared.PlaneOrientationSequence[0]
    np.testing.assert_allclose(measures.PixelSpacing, plan.spacing_mm, rtol=0, atol=LENGTH_MM)
    np.testing.assert_allclose(
        orientation.ImageOrientationPatient, [*plan.row_cosine, *plan.column_cosine], rtol=0, atol=COSINE
    )
    for frame, position in zip(ds.PerFrameFunctionalGroupsSequence, plan.positions, strict=True):
        stated = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(stated, position, rtol=0, atol=LENGTH_MM)
    np.testing.assert_array_equal(ds.pixel_array.astype(int) + int(ds.RescaleIntercept), pixels)
