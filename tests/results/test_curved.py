"""A picture along a line claims no place in the patient, and says what it is."""

import io
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from scp.model import Missing, Policy
from scp.reconstruction.curved import CurvedPlan
from scp.results import Encoder, ResultOptions
from scp.results.curved import describe_curved
from tests.results.planning import CT, selected

CURVE = CurvedPlan(
    along=tuple((float(i), float(i) ** 2 / 10, 5.0) for i in range(12)),
    up=(0.0, 0.0, 1.0),
    spacing_mm=1.0,
    rows=7,
    length_mm=11.5,
)


def described(stack, curve=CURVE, **selection):
    return describe_curved(selected(stack, **selection), curve, CT, ResultOptions(engine="reference 1"))


def encoded(series):
    pixels = np.arange(series.rows * series.columns, dtype=np.int16).reshape(series.rows, series.columns)
    return Encoder(series).encode(0, pixels), pixels


def test_the_object_has_no_geometry_that_would_be_false(stack):
    data, pixels = encoded(described(stack))
    ds = pydicom.dcmread(io.BytesIO(data))
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "FrameOfReferenceUID",
        "SliceThickness",
        "SpacingBetweenSlices",
        "PixelSpacingCalibrationType",
    ):
        assert keyword not in ds
    assert ds["PatientOrientation"].is_empty
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY", "CURVED_MPR"]
    assert list(ds.PixelSpacing) == [1.0, 1.0]
    assert (ds.pixel_array == pixels).all()


def test_pixel_spacing_is_left_out_where_rows_lean_on_the_line(stack):
    leaning = replace(CURVE, up=(0.6, 0.0, 0.8))
    assert "PixelSpacing" not in Encoder(described(stack, leaning)).header(0)


def test_it_says_what_it_is_and_of_what(stack):
    ds = Encoder(described(stack)).header(0)
    assert ds.SeriesDescription == "CURVED 1.0 MPR Ramp"
    assert ds.DerivationDescription.startswith(
        "Curved multiplanar reformatting of 12 images along a line of 11.5 mm"
    )
    assert ds.DerivationCodeSequence[0].CodeValue == "113073"
    assert len(ds.SourceImageSequence) == 12


def test_a_filled_slice_is_told(stack):
    lacking = stack[:5] + stack[6:]
    hole = (Missing(instance_number=6, before=5),)
    series = described(lacking, missing=hole, policy=Policy.INTERPOLATE)
    assert series.series_description.startswith("INTERPOLATED CURVED")
    assert "Touches missing images, interpolated: 6" in Encoder(series).header(0).DerivationDescription


@pytest.mark.parametrize("curve", [CURVE, replace(CURVE, up=(0.6, 0.0, 0.8))])
def test_the_validator_has_nothing_to_say(stack, complaints, tmp_path, curve):
    path = tmp_path / "curved.dcm"
    path.write_bytes(encoded(described(stack, curve))[0])
    assert complaints(path) == set()


def test_another_line_is_another_object_and_the_same_line_the_same(stack):
    other = replace(CURVE, along=CURVE.along[::-1])
    assert described(stack).sop_instance_uids == described(stack).sop_instance_uids
    assert described(stack).sop_instance_uids != described(stack, other).sop_instance_uids
