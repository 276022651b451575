from dataclasses import replace

import pytest
from pydicom.sr.codedict import codes

from scp.model import Direction, Method, Missing, Note, Policy
from scp.results import Encoder, ResultOptions, describe
from tests.results.planning import CT, all_stating, one_stating, planned, selected, stating

SEVEN = Missing(7, 12.0, (0.0, 0.0, 12.0), before=6)
EIGHT = Missing(8, 14.0, (0.0, 0.0, 14.0), before=6)
LAST = Missing(15, 28.0, (0.0, 0.0, 28.0), before=12)
UNNUMBERED = Missing(None, 12.5, before=6)


def described(stack, plan=None, **selection):
    return describe(selected(stack, **selection), plan or planned(), CT, ResultOptions(engine="reference 1"))


def header(stack, plan=None, index=0, **selection):
    return Encoder(described(stack, plan, **selection)).header(index)


def concept(item):
    return item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning


def concept_of(code):
    return code.value, code.scheme_designator, code.meaning


@pytest.mark.parametrize(
    ("thickness", "method", "slab"),
    [
        (0, Method.AVERAGE_IP, None),
        (3.0, Method.AVERAGE_IP, codes.DCM.PixelByPixelMean),
        (3.0, Method.MAXIMUM_IP, codes.DCM.MaximumIntensityProjection),
        (3.0, Method.MINIMUM_IP, codes.DCM.MinimumIntensityProjection),
    ],
)
def test_derivation_codes_say_reformatting_and_rendering(stack, thickness, method, slab):
    items = header(stack, planned(thickness=thickness, method=method)).DerivationCodeSequence
    expected = [codes.DCM.MultiplanarReformatting, *([slab] if slab else [])]
    assert list(map(concept, items)) == list(map(concept_of, expected))
    assert all(code in codes.CID7203 for code in expected)


def test_derivation_codes_have_the_numbers_of_the_standard(stack):
    plan = planned(thickness=3.0, method=Method.MAXIMUM_IP)
    items = header(stack, plan).DerivationCodeSequence
    assert [item.CodeValue for item in items] == ["113072", "113078"]


def test_each_source_image_is_referenced_with_the_purpose_of_the_standard(stack):
    images = header(stack).SourceImageSequence
    assert [item.ReferencedSOPInstanceUID for item in images] == [facts.sop_instance_uid for facts in stack]
    purposes = {concept(item.PurposeOfReferenceCodeSequence[0]) for item in images}
    assert purposes == {("121322", "DCM", "Source image for image processing operation")}


def test_a_plane_refers_to_the_slices_that_it_touches_alone(stack):
    plan = replace(planned(count=2), sources=((0, 1), (1, 2, 3)))
    for index, touched in enumerate(plan.sources):
        ds = header(stack, plan, index)
        wanted = [stack[k].sop_instance_uid for k in touched]
        (series,) = ds.ReferencedSeriesSequence
        assert [item.ReferencedSOPInstanceUID for item in ds.SourceImageSequence] == wanted
        assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == wanted
        assert series.SeriesInstanceUID == stack[0].header.text("SeriesInstanceUID")


def test_frames_of_one_image_are_one_reference_with_their_numbers(stack):
    uid = stack[0].sop_instance_uid
    frames = tuple(replace(stating(f, SOPInstanceUID=uid), frame=k) for k, f in enumerate(stack, 1))
    (image,) = header(frames).SourceImageSequence
    assert image.ReferencedSOPInstanceUID == uid
    assert list(image.ReferencedFrameNumber) == list(range(1, 13))
    (series,) = header(frames).ReferencedSeriesSequence
    assert len(series.ReferencedInstanceSequence) == 1


def test_an_adopted_image_is_a_source_but_of_no_series(stack):
    adopted = one_stating(stack, 4, SeriesInstanceUID=None)
    ds = header(adopted, notes=[Note("adopted", "1")])
    assert len(ds.SourceImageSequence) == 12
    assert [len(series.ReferencedInstanceSequence) for series in ds.ReferencedSeriesSequence] == [11]


def test_a_plane_of_nothing_but_filled_slices_refers_to_no_source(stack):
    plan = replace(planned(count=1, filled=[(0,)]), sources=((),))
    ds = header(stack, plan, missing=[SEVEN], policy=Policy.PAD)
    assert "SourceImageSequence" not in ds
    assert "ReferencedSeriesSequence" not in ds


def test_the_makers_of_sources_and_result_are_told_apart(stack):
    made = all_stating(stack, StationName="CT-3", SoftwareVersions=("A1", "B2"), DeviceSerialNumber="77")
    ds = header(made)
    source, ours = ds.ContributingEquipmentSequence
    assert concept(source.PurposeOfReferenceCodeSequence[0]) == concept_of(codes.DCM.AcquisitionEquipment)
    assert concept(ours.PurposeOfReferenceCodeSequence[0]) == concept_of(codes.DCM.ProcessingEquipment)
    assert (source.Manufacturer, source.StationName) == ("Nobody", "CT-3")
    assert list(source.SoftwareVersions) == ["A1", "B2"]
    assert (ds.Manufacturer, ours.Manufacturer) == ("mpr-scp", "mpr-scp")


def test_a_source_without_manufacturer_names_no_equipment(stack):
    (ours,) = header(all_stating(stack, Manufacturer=None)).ContributingEquipmentSequence
    assert ours.Manufacturer == "mpr-scp"


@pytest.mark.parametrize(
    ("selection", "start"),
    [
        ({}, "COR 0.7 MPR Ramp"),
        ({"missing": [SEVEN], "policy": Policy.INTERPOLATE}, "INTERPOLATED COR 0.7 MPR Ramp"),
        ({"missing": [SEVEN], "policy": Policy.PAD}, "INCOMPLETE COR 0.7 MPR Ramp"),
        ({"missing": [LAST]}, "INCOMPLETE COR 0.7 MPR Ramp"),
        ({"notes": [Note("ends-missing", "2")]}, "INCOMPLETE COR 0.7 MPR Ramp"),
        ({"notes": [Note("adopted", "1")]}, "ADOPTED COR 0.7 MPR Ramp"),
        (
            {"missing": [SEVEN, LAST], "policy": Policy.INTERPOLATE, "notes": [Note("adopted")]},
            "INTERPOLATED INCOMPLETE ADOPTED COR 0.7 MPR Ramp",
        ),
    ],
)
def test_series_description_begins_with_what_to_beware_of(stack, selection, start):
    assert header(stack, **selection).SeriesDescription == start


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (planned(interval=0.68359375), "COR 0.68 MPR"),
        (planned(Direction.SAGITTAL, interval=2.0), "SAG 2.0 MPR"),
        (planned(Direction.TRANSVERSE, interval=3.0, thickness=3.0, method=Method.MAXIMUM_IP), "TRA 3.0 MIP"),
        (
            planned(Direction.OBLIQUE, interval=1.5, thickness=10.0, method=Method.MINIMUM_IP),
            "OBL 1.5 MinIP 10.0",
        ),
        (planned(interval=0.004, thickness=0.1), "COR 0.004 AVG 0.1"),
    ],
)
def test_series_description_names_planes_and_rendering(stack, plan, words):
    assert header(stack, plan).SeriesDescription == f"{words} Ramp"


def test_the_sources_description_is_what_is_cut(stack):
    long = all_stating(stack, SeriesDescription="Thorax " * 12)
    text = header(long, notes=[Note("adopted")]).SeriesDescription
    assert text.startswith("ADOPTED COR 0.7 MPR Thorax Thorax")
    assert len(text) <= 64


def test_a_dry_run_says_shortly_what_it_would_be(stack):
    plan = planned(interval=3.0, thickness=3.0, method=Method.MAXIMUM_IP)
    series = described(stack, plan, missing=[SEVEN, EIGHT], policy=Policy.PAD)
    assert series.short_description == "COR 3.0 MIP, 12 of 14"


@pytest.mark.parametrize(
    ("selection", "comments"),
    [
        ({}, "used 12 of 12"),
        ({"missing": [SEVEN, EIGHT], "policy": Policy.INTERPOLATE}, "used 12 of 14; interpolated 7, 8"),
        ({"missing": [SEVEN, LAST], "policy": Policy.PAD}, "used 12 of 14; padded 7; missing 15"),
        ({"missing": [UNNUMBERED], "policy": Policy.PAD}, "used 12 of 13; padded at 12.5 mm"),
        ({"notes": [Note("ends-missing", "3 at PACS")]}, "used 12 of 12; ends missing"),
        ({"notes": [Note("numbering-gap"), Note("no-preamble")]}, "used 12 of 12"),
    ],
)
def test_image_comments_tell_what_the_pixels_depend_on_and_nothing_else(stack, selection, comments):
    assert header(stack, **selection).ImageComments == comments


def test_a_plane_names_the_missing_slices_that_it_touches(stack):
    plan = planned(count=3, filled=[(), (0,), (0, 1)])
    series = described(stack, plan, missing=[SEVEN, EIGHT], policy=Policy.INTERPOLATE)
    texts = [each.derivation_description for each in series.objects]
    assert "missing images" not in texts[0]
    assert texts[1].startswith("Touches missing images, interpolated: 7; ")
    assert texts[2].startswith("Touches missing images, interpolated: 7, 8; ")


def test_derivation_description_says_planes_grid_interpolation_and_software(stack):
    text = header(stack, planned(thickness=3.0, method=Method.MAXIMUM_IP, interval=1.5)).DerivationDescription
    for words in (
        "12 images",
        "coronal maximum of slabs of 3.0 mm, every 1.5 mm",
        "pixels of 0.7 mm",
        "linear interpolation",
        "mpr-scp",
        "reference 1",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "each pixel the mean of 2 x 3 samples over its area"),
        (
            {"thickness": 3.0, "method": Method.MAXIMUM_IP},
            "slabs of 3.0 mm, every 0.7 mm, each pixel the maximum of 2 x 3 samples over its area",
        ),
    ],
)
def test_derivation_description_says_what_a_pixel_larger_than_voxels_is_made_of(stack, request_, words):
    assert words in header(stack, replace(planned(**request_), footprint=(2, 3))).DerivationDescription
    assert "area" not in header(stack, planned(**request_)).DerivationDescription


def test_derivation_description_says_how_tilt_and_uneven_distances_were_handled(stack):
    notes = [Note("gantry-tilt"), Note("variable-spacing"), Note("frame-of-reference-per-slice")]
    text = header(stack, notes=notes).DerivationDescription
    assert "shear" in text
    assert "true positions" in text
    assert "registration is unknown" in text


def test_many_missing_slices_keep_within_the_length_of_a_short_text(stack):
    missing = [Missing(None, 1000.25 + k, before=6) for k in range(200)]
    plan = planned(count=1, filled=[tuple(range(200))])
    text = header(stack, plan, missing=missing, policy=Policy.PAD).DerivationDescription
    assert len(text) <= 1024
    assert "and 176 more" in text
    assert "mpr-scp" in text
