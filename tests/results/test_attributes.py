import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
from pydicom.datadict import tag_for_keyword

import scp.results
from scp.errors import Refused
from scp.model import HEADER_KEYWORDS, UNDECODABLE, Direction, Method, Note
from scp.reconstruction.pixels import pixel_format
from scp.results import Encoder, ResultOptions, describe
from scp.results.attributes import COMMON, MADE_NEW, TAKEN_FROM_THE_OPTIONS, TAKEN_FROM_THE_SOURCE
from scp.results.multiframe import GRAYSCALE_WORD_ROWS
from scp.results.secondary_capture import SECONDARY_CAPTURE_ROWS
from scp.results.source_class import SOURCE_CLASS_ROWS
from tests.results.planning import CT, all_stating, one_stating, planned, selected

MIDDLE = 6
ALL_TABLES = (*SOURCE_CLASS_ROWS.values(), SECONDARY_CAPTURE_ROWS, GRAYSCALE_WORD_ROWS)


def header(stack, plan=None, stored=CT, index=0, **options):
    series = describe(selected(stack), plan or planned(), stored, ResultOptions(**options))
    return Encoder(series).header(index)


def with_syntax(facts, transfer_syntax_uid, length=40):
    return replace(
        facts,
        pixel_data=replace(facts.pixel_data, transfer_syntax_uid=transfer_syntax_uid, length=length),
    )


# the tables


@pytest.mark.parametrize("table", ALL_TABLES)
def test_each_attribute_has_one_row_a_keyword_of_the_dictionary_and_a_section(table):
    keywords = [row.keyword for row in table]
    assert len(set(keywords)) == len(keywords)
    assert all(tag_for_keyword(keyword) for keyword in keywords)
    assert all(re.fullmatch(r"C(\.\d+)+", row.section) for row in table)


def test_the_three_tables_share_no_attribute():
    assert len({row.keyword for row in COMMON}) == sum(
        map(len, (TAKEN_FROM_THE_SOURCE, TAKEN_FROM_THE_OPTIONS, MADE_NEW))
    )


def test_what_is_taken_from_a_source_is_scanned_from_its_header():
    assert {row.keyword for row in TAKEN_FROM_THE_SOURCE} <= set(HEADER_KEYWORDS)


def test_no_module_of_results_asks_for_the_time():
    for _, module in inspect.getmembers(scp.results, inspect.ismodule):
        assert not re.search(
            r"\b(datetime|time)\b\.|import (time|datetime|random)", inspect.getsource(module)
        )


# the patient, the study, the series


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"])
def test_type_2_attributes_are_present_even_if_no_source_states_them(stack, keyword):
    assert header(all_stating(stack, **{keyword: None}))[keyword].is_empty


def test_attributes_of_type_3_are_left_out_if_no_source_states_them(stack):
    assert "BodyPartExamined" not in header(all_stating(stack, BodyPartExamined=None))


def test_what_the_middle_source_lacks_comes_from_one_that_states_it(stack):
    assert header(one_stating(stack, MIDDLE, PatientID=None)).PatientID == "P-1"


def test_the_middle_source_speaks_where_sources_differ(stack):
    differing = one_stating(
        all_stating(stack, StudyDescription="First"), MIDDLE, StudyDescription="Follow-up"
    )
    assert header(differing).StudyDescription == "Follow-up"


def test_private_marks_of_deidentification_survive(stack):
    code = '[{"00080100":{"vr":"SH","Value":["113100"]},"00080102":{"vr":"SH","Value":["DCM"]}}]'
    marked = all_stating(
        stack,
        PatientIdentityRemoved="YES",
        DeidentificationMethod="basic profile",
        DeidentificationMethodCodeSequence=code,
        LongitudinalTemporalInformationModified="MODIFIED",
    )
    ds = header(marked)
    assert (ds.PatientIdentityRemoved, ds.DeidentificationMethod) == ("YES", "basic profile")
    assert ds.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert ds.LongitudinalTemporalInformationModified == "MODIFIED"


CODES = '[{"00080100":{"vr":"SH","Value":["113100"]},"00080102":{"vr":"SH","Value":["DCM"]}}]'


@pytest.mark.parametrize(
    ("stated", "method"),
    [
        ({"PatientIdentityRemoved": "YES"}, "not stated in the source images"),
        ({"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}, "by hand"),
        ({"PatientIdentityRemoved": "YES", "DeidentificationMethodCodeSequence": CODES}, None),
        ({"PatientIdentityRemoved": "NO"}, None),
        ({}, None),
    ],
)
def test_identity_that_was_removed_was_removed_by_some_method(stack, stated, method):
    assert header(all_stating(stack, **stated)).get("DeidentificationMethod") == method


@pytest.mark.parametrize("keyword", ["Laterality", "ImageLaterality"])
def test_a_side_is_stated_only_where_all_sources_state_it(stack, keyword):
    left = all_stating(stack, **{keyword: "L"})
    assert header(left)[keyword].value == "L"
    assert keyword not in header(one_stating(left, 2, **{keyword: "R"}))
    assert keyword not in header(one_stating(left, 2, **{keyword: None}))
    assert keyword not in header(stack)


def test_the_modality_is_the_sources(stack):
    assert header(all_stating(stack, Modality="MR")).Modality == "MR"


@pytest.mark.parametrize(
    ("source", "number"), [(2, 2001), (0, 1), (None, 1), (2_147_483_647, 1_483_647_001), (-3, 3001)]
)
def test_the_series_number_is_never_empty_and_fits_31_bits(stack, source, number):
    assert header(all_stating(stack, SeriesNumber=source)).SeriesNumber == number


def test_series_numbers_of_different_planes_of_a_source_differ(stack):
    plans = [
        planned(d, thickness=t, method=m) for d in Direction for t, m in ((0, Method.AVERAGE_IP), *SLABS)
    ]
    assert len({header(stack, plan).SeriesNumber for plan in plans}) == 16


SLABS = [(3.0, method) for method in Method]


# dates


def test_series_and_content_are_dated_by_the_newest_acquisition(stack):
    late = one_stating(stack, 4, AcquisitionDate="20260103", AcquisitionTime="000001.5")
    ds = header(late)
    assert (ds.SeriesDate, ds.SeriesTime) == (ds.ContentDate, ds.ContentTime) == ("20260103", "000001.5")


def test_times_of_different_precision_compare_as_times(stack):
    late = one_stating(stack, 4, AcquisitionTime="1011")
    assert header(one_stating(late, 5, AcquisitionTime="101112.25")).SeriesTime == "101112.25"
    assert header(one_stating(stack, 4, AcquisitionTime="11")).SeriesTime == "11"


def test_a_date_and_time_in_one_attribute_count_too(stack):
    bare = all_stating(stack, AcquisitionDate=None, AcquisitionTime=None)
    both = all_stating(bare, AcquisitionDateTime="20260105121314.000000+0100")
    assert (header(both).SeriesDate, header(both).SeriesTime) == ("20260105", "121314.000000")


def test_without_acquisition_dates_content_then_series_dates_the_result(stack):
    no_acquisition = all_stating(stack, AcquisitionDate=None, ContentDate="20260104", ContentTime="090000")
    assert header(no_acquisition).SeriesDate == "20260104"
    neither = all_stating(no_acquisition, ContentDate=None, SeriesDate="20260106")
    assert header(neither).SeriesDate == "20260106"


def test_without_any_date_none_is_made_up(stack):
    dateless = all_stating(stack, AcquisitionDate=None, ContentDate=None, SeriesDate=None, StudyDate=None)
    ds = header(dateless)
    assert "SeriesDate" not in ds
    assert "ContentDate" not in ds
    assert ds["StudyDate"].is_empty


def test_an_acquisition_time_is_copied_only_if_it_is_the_same_in_all(stack):
    assert header(stack).AcquisitionTime == "101112"
    assert "AcquisitionTime" not in header(one_stating(stack, 0, AcquisitionTime="101113"))


def test_no_instance_says_when_it_was_made(stack):
    ds = header(stack)
    assert "InstanceCreationDate" not in ds
    assert all("ContributionDateTime" not in item for item in ds.ContributingEquipmentSequence)


# frame of reference


def test_a_shared_frame_of_reference_is_kept(stack):
    assert header(stack).FrameOfReferenceUID == "1.2.826.0.1.3680043.8.498.1001.9"


def test_sources_without_a_shared_frame_of_reference_get_one_that_all_their_results_share(stack):
    own = tuple(one_stating(stack, k, FrameOfReferenceUID=f"1.2.{k}")[k] for k in range(len(stack)))
    coronal, sagittal = header(own), header(own, planned(Direction.SAGITTAL))
    assert coronal.FrameOfReferenceUID == sagittal.FrameOfReferenceUID
    assert coronal.FrameOfReferenceUID.startswith("2.25.")
    assert coronal["PositionReferenceIndicator"].is_empty


# values


def test_the_window_is_the_middle_sources(stack):
    windowed = one_stating(all_stating(stack, WindowCenter=40.0, WindowWidth=400.0), 1, WindowCenter=50.0)
    ds = header(windowed)
    assert (ds.WindowCenter, ds.WindowWidth) == (40, 400)


def test_several_windows_keep_their_explanations(stack):
    two = all_stating(
        stack,
        WindowCenter=(40.0, -600.0),
        WindowWidth=(400.0, 1500.0),
        WindowCenterWidthExplanation=("soft", "lung"),
        VOILUTFunction="LINEAR_EXACT",
    )
    ds = header(two)
    assert list(ds.WindowCenter) == [40, -600]
    assert list(ds.WindowCenterWidthExplanation) == ["soft", "lung"]
    assert ds.VOILUTFunction == "LINEAR_EXACT"


@pytest.mark.parametrize("function", ["", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(
    "rescale", [{}, {"RescaleSlope": 2.0, "RescaleIntercept": 10.0, "RescaleType": "US"}]
)
def test_values_that_are_turned_round_look_as_they_did_under_a_window_turned_with_them(
    stack, function, rescale
):
    taken_out = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType", "VOILUTFunction"))
    turned = taken_out | rescale | ({"VOILUTFunction": function} if function else {})
    source = all_stating(
        stack,
        **turned,
        Modality="CR",
        PhotometricInterpretation="MONOCHROME1",
        PixelRepresentation=0,
        BitsStored=12,
        WindowCenter=(1000.0, 300.0),
        WindowWidth=(501.0, 90.0),
    )
    ds = header(source, stored=pixel_format(source))
    stored = np.arange(4096)
    slope, intercept = rescale.get("RescaleSlope", 1.0), rescale.get("RescaleIntercept", 0.0)
    for index, center in enumerate((1000.0, 300.0)):
        width = (501.0, 90.0)[index]
        white_is_low = 1.0 - grey(stored * slope + intercept, center, width, function)
        made = (4095 - stored) * slope + intercept
        assert np.allclose(grey(made, ds.WindowCenter[index], width, function), white_is_low)


def grey(values, center, width, function):
    """Return what PS3.3 C.11.2.1.2 and C.11.2.1.3 make of *values*, 0 to 1."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(-4.0 * (values - center) / width))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


@pytest.mark.parametrize("width", [None, (400.0, 1500.0), 0.0])
def test_a_window_that_cannot_be_used_is_left_out(stack, width):
    ds = header(all_stating(stack, WindowCenter=40.0, WindowWidth=width, VOILUTFunction="SIGMOID"))
    assert not {"WindowCenter", "WindowWidth", "VOILUTFunction"} & {element.keyword for element in ds}


@pytest.mark.parametrize(
    ("modality", "multienergy", "stated", "written"),
    [
        ("CT", None, "", "HU"),
        ("CT", "NO", "", "HU"),
        ("CT", "YES", "", "US"),
        ("CT", None, "Z_EFF", "Z_EFF"),
        ("MR", None, "", "US"),
    ],
)
def test_hounsfield_units_are_supplied_for_ct_of_one_energy_alone(
    stack, modality, multienergy, stated, written
):
    sources = all_stating(stack, Modality=modality, MultienergyCTAcquisition=multienergy)
    assert header(sources, stored=replace(CT, rescale_type=stated)).RescaleType == written


def test_sources_without_a_modality_lut_get_none(stack):
    bare = replace(CT, rescale_slope=None, rescale_intercept=None, rescale_type="")
    ds = header(all_stating(stack, Modality="MR"), stored=bare)
    assert not {"RescaleSlope", "RescaleIntercept", "RescaleType"} & {element.keyword for element in ds}


@pytest.mark.parametrize("signed", [True, False])
def test_the_padding_value_is_always_written(stack, signed):
    ds = header(stack, stored=replace(CT, signed=signed, padding_value=-2000 if signed else 63536))
    assert ds.PixelPaddingValue == (-2000 if signed else 63536)


# what sticks


def test_lossy_compression_of_one_source_sticks_with_its_ratio_and_method(stack):
    lossy = one_stating(
        stack,
        3,
        LossyImageCompression="01",
        LossyImageCompressionRatio=(4.0, 10.5),
        LossyImageCompressionMethod=("ISO_10918_1", "ISO_15444_1"),
    )
    ds = header(lossy)
    assert ds.LossyImageCompression == "01"
    assert list(ds.LossyImageCompressionRatio) == [4, 10.5]
    assert list(ds.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_15444_1"]


def test_the_worst_of_several_ratios_is_stated(stack):
    lossy = one_stating(stack, 3, LossyImageCompression="01", LossyImageCompressionRatio=4.0)
    lossy = one_stating(lossy, 5, LossyImageCompression="01", LossyImageCompressionRatio=12.0)
    assert header(lossy).LossyImageCompressionRatio == 12


def test_a_lossy_transfer_syntax_tells_even_if_the_header_does_not(stack):
    jpeg = with_syntax(stack[3], "1.2.840.10008.1.2.4.51", length=40)
    ds = header((*stack[:3], jpeg, *stack[4:]))
    assert ds.LossyImageCompression == "01"
    assert ds.LossyImageCompressionRatio == 4
    assert ds.LossyImageCompressionMethod == "ISO_10918_1"


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"]
)
def test_lossless_sources_stay_so_and_state_no_ratio(stack, syntax):
    ds = header(tuple(with_syntax(facts, syntax) for facts in stack), compression="jpeg_2000")
    assert ds.LossyImageCompression == "00"
    assert "LossyImageCompressionRatio" not in ds


def test_annotation_burned_into_one_source_sticks(stack):
    assert header(stack).BurnedInAnnotation == "NO"
    assert header(one_stating(stack, 11, BurnedInAnnotation="YES")).BurnedInAnnotation == "YES"


# geometry


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("sop_class", ["secondary_capture", "source"])
def test_every_instance_has_the_same_text_of_orientation_and_spacing(stack, direction, sop_class):
    series = describe(selected(stack), planned(direction), CT, ResultOptions(sop_class=sop_class))
    encoder = Encoder(series)
    texts = set()
    for index in range(len(series.objects)):
        ds = encoder.header(index)
        texts.add(tuple(str(ds.get_item(k).value) for k in ("ImageOrientationPatient", "PixelSpacing")))
        assert all(len(str(v)) <= 16 for k in GEOMETRY for v in ds[k].value)
    assert len(texts) == 1


GEOMETRY = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing")


def test_a_slab_states_its_thickness_and_thin_planes_their_pixel_size(stack):
    assert header(stack, planned(thickness=5.0, interval=3.0)).SliceThickness == 5
    assert header(stack, planned(spacing=0.7, interval=10.0)).SliceThickness == 0.7


def test_a_single_plane_has_no_spacing_between_slices(stack):
    assert "SpacingBetweenSlices" not in header(stack, planned(count=1))
    assert header(stack, planned(interval=10.0)).SpacingBetweenSlices == 10


def test_a_quadruped_is_oriented_in_its_own_letters(stack):
    ds = header(all_stating(stack, AnatomicalOrientationType="QUADRUPED"))
    assert list(ds.PatientOrientation) == ["LE", "CD"]
    assert ds.AnatomicalOrientationType == "QUADRUPED"


# the forms


@pytest.mark.parametrize(
    ("method", "thickness", "term"),
    [
        (Method.AVERAGE_IP, 0, "MPR"),
        (Method.AVERAGE_IP, 3.0, "MPR"),
        (Method.MAXIMUM_IP, 3.0, "MAX_IP"),
        (Method.MINIMUM_IP, 3.0, "MIN_IP"),
    ],
)
def test_image_type_says_derived_and_how(stack, method, thickness, term):
    ds = header(stack, planned(method=method, thickness=thickness))
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY", term]


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2"),
        ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4"),
        ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4"),
        ("1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128"),
        ("1.2.840.10008.5.1.4.1.1.13.1.1", "1.2.840.10008.5.1.4.1.1.7"),
    ],
)
def test_the_sources_own_class_is_its_classic_one_and_a_capture_for_others(stack, source, result):
    assert header(all_stating(stack, SOPClassUID=source), sop_class="source").SOPClassUID == result


@pytest.mark.parametrize("sop_class", ["secondary_capture", "source", "multiframe"])
def test_no_conversion_type_but_in_captures_and_no_contrast_in_them(stack, sop_class):
    ds = header(stack, sop_class=sop_class)
    assert ds.get("ConversionType") == (None if sop_class == "source" else "WSD")
    assert ("KVP" in ds) == (sop_class == "source")


def test_an_inversion_time_is_stated_for_sequences_that_invert(stack):
    mr = all_stating(
        stack,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.4",
        Modality="MR",
        InversionTime=800.0,
        ScanningSequence="SE",
    )
    assert "InversionTime" not in header(mr, sop_class="source")
    inverting = all_stating(mr, ScanningSequence=("SE", "IR"))
    assert header(inverting, sop_class="source").InversionTime == 800


def test_the_modality_lut_stays_out_of_mr_unless_it_changes_values(stack):
    mr = all_stating(stack, SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    assert "RescaleSlope" not in header(mr, sop_class="source")
    assert header(mr, sop_class="source", stored=replace(CT, rescale_slope=0.5)).RescaleSlope == 0.5


def test_series_date_of_pet_stays_the_reference_of_its_decay_correction(stack):
    pet = all_stating(
        stack,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.128",
        Modality="PT",
        SeriesTime="090000",
        SeriesType="GATED",
    )
    ds = header(pet, sop_class="source")
    assert (ds.SeriesTime, ds.ContentTime) == ("090000", "101112")
    assert list(ds.SeriesType) == ["STATIC", "IMAGE"]


def test_a_multiframe_without_a_dated_source_says_dummies(stack):
    dateless = all_stating(stack, AcquisitionDate=None, ContentDate=None, SeriesDate=None)
    assert header(dateless, sop_class="multiframe").ContentDate == "19000101"


# refusals


def test_a_refused_selection_is_not_described(stack):
    report = replace(selected(stack), verdict="too-few-images", numbers="3 of 10", sentence="Only 3 images.")
    with pytest.raises(Refused) as refused:
        describe(report, planned(), CT, ResultOptions())
    assert refused.value.error_comment == "too-few-images: 3 of 10"


def test_one_object_that_pixel_data_cannot_hold_is_refused(stack):
    plan = planned(count=128, rows=4096, columns=4096)
    assert describe(selected(stack), plan, CT, ResultOptions()).frames_per_object == 1
    with pytest.raises(Refused, match="fewer planes"):
        describe(selected(stack), plan, CT, ResultOptions(sop_class="multiframe"))


def test_a_description_that_does_not_decode_is_not_quoted(stack):
    ds = header(all_stating(stack, SeriesDescription=UNDECODABLE + "c8e2"))
    assert ds.SeriesDescription == "COR 0.7 MPR"


def test_a_note_reaches_all_instances_alike(stack):
    series = describe(selected(stack, notes=[Note("gantry-tilt")]), planned(), CT, ResultOptions())
    assert "gantry tilt" in Encoder(series).header(3).ImageComments
