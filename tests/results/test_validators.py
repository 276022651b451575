"""What dicom3tools says of results: nothing, or nothing that it does not say of the sources."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from scp.model import Direction, Method
from scp.reconstruction.pixels import PixelFormat
from scp.results import Encoder, ResultOptions, describe
from tests.builders import series
from tests.results.planning import (
    CT,
    all_stating,
    built_stack,
    facts_of,
    files_of,
    pixels_of,
    planned,
    selected,
    stored_as,
)

MR = PixelFormat(False, 1, "MONOCHROME2", None, None, "", 0)
PT = PixelFormat(True, 1, "MONOCHROME2", 0.35, 0.0, "", 0)
STORED = {"CT": CT, "MR": MR, "PT": PT}

ACQUIRED = {
    "CT": {"ConvolutionKernel": "B30f"},
    "MR": {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "RepetitionTime": 500,
        "EchoTime": 12,
        "EchoTrainLength": 1,
        "KVP": None,
        "RescaleIntercept": None,
        "RescaleSlope": None,
        "RescaleType": None,
    },
    "PT": {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128",
        "Modality": "PT",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Units": "BQML",
        "CountsSource": "EMISSION",
        "SeriesType": ["WHOLE BODY", "IMAGE"],
        "CorrectedImage": ["DECY", "ATTN"],
        "DecayCorrection": "START",
        "CollimatorType": "NONE",
        "FrameReferenceTime": 1000,
        "ActualFrameDuration": 120000,
        "DecayFactor": 1.02,
        "KVP": None,
        "RescaleType": None,
    },
}

CLASSES = ("secondary_capture", "source", "multiframe")
RENDERINGS = ((0.0, Method.AVERAGE_IP), *((3.0, method) for method in Method))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return {
        modality: built_stack(tmp_path_factory.mktemp(modality), series(12, **attributes))
        for modality, attributes in ACQUIRED.items()
    }


def objects(stack, plan, stored, **options) -> list[bytes]:
    described = describe(selected(stack), plan, stored, ResultOptions(engine="reference 1", **options))
    return files_of(Encoder(described), pixels_of(plan, stored))


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / f"{name}.dcm"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("modality", ACQUIRED)
@pytest.mark.parametrize("sop_class", CLASSES)
def test_no_form_of_any_plane_gives_an_error_or_a_warning(sources, complaints, tmp_path, modality, sop_class):
    for direction, (thickness, method) in product(Direction, RENDERINGS):
        plan = planned(direction, thickness=thickness, method=method, count=2)
        data = objects(sources[modality], plan, STORED[modality], sop_class=sop_class)[0]
        path = written(tmp_path, f"{direction}-{thickness}-{method}", data)
        assert complaints(path) == set(), path.name


@pytest.mark.parametrize("compression", ["rle", "jpeg_ls", "jpeg_2000"])
@pytest.mark.parametrize("sop_class", CLASSES)
def test_no_compression_gives_an_error_or_a_warning(sources, complaints, tmp_path, sop_class, compression):
    plan = planned(rows=33, columns=65)
    for number, data in enumerate(
        objects(sources["CT"], plan, CT, sop_class=sop_class, compression=compression)
    ):
        assert complaints(written(tmp_path, str(number), data)) == set()


STATED = {
    "nothing optional": {
        "PatientBirthDate": None,
        "PatientSex": None,
        "AccessionNumber": None,
        "Manufacturer": None,
        "SeriesDescription": None,
        "SeriesNumber": None,
        "AcquisitionNumber": None,
        "KVP": None,
        "PositionReferenceIndicator": None,
    },
    "no frame of reference": {"FrameOfReferenceUID": None},
    "latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"},
    "beyond latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "山田^太郎"},
    "no character set": {"SpecificCharacterSet": None, "PatientName": "Müller^Jörg"},
    "ascii without character set": {"SpecificCharacterSet": None},
    "japanese": {
        "SpecificCharacterSet": ("", "ISO 2022 IR 87"),
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "two windows": {
        "WindowCenter": (40.0, -600.0),
        "WindowWidth": (400.0, 1500.0),
        "WindowCenterWidthExplanation": ("soft", "lung"),
    },
    "lossy": {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": 9.5,
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "annotated": {"BurnedInAnnotation": "YES"},
    "one side": {"BodyPartExamined": "KNEE", "Laterality": "L"},
    "quadruped": {
        "AnatomicalOrientationType": "QUADRUPED",
        "PatientSpeciesDescription": "Canis lupus",
        "PatientBreedDescription": "Poodle",
        "ResponsiblePerson": "Roe^Richard",
        "ResponsiblePersonRole": "OWNER",
    },
    "deidentified": {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "basic profile",
        "LongitudinalTemporalInformationModified": "REMOVED",
    },
    "deidentified somehow": {"PatientIdentityRemoved": "YES"},
    "a time zone": {"TimezoneOffsetFromUTC": "+0100"},
}


@pytest.mark.parametrize("sop_class", CLASSES)
@pytest.mark.parametrize("stated", STATED.values(), ids=STATED)
def test_whatever_sources_state_gives_no_error(sources, complaints, tmp_path, sop_class, stated):
    stack = all_stating(sources["CT"], **stated)
    data = objects(stack, planned(Direction.OBLIQUE, count=1), CT, sop_class=sop_class)[0]
    assert complaints(written(tmp_path, "result", data)) == set()


@pytest.mark.parametrize("modality", ACQUIRED)
def test_results_and_sources_are_one_patient_and_one_study(sources, contradictions, tmp_path, modality):
    stack = sources[modality]
    results = [
        written(tmp_path, f"{sop_class}-{number}", data)
        for sop_class in CLASSES
        for number, data in enumerate(objects(stack, planned(), STORED[modality], sop_class=sop_class))
    ]
    assert contradictions([*results, *(facts.path for facts in stack)]) == []


REAL = {
    "ct": ("ct_chest_cmb_crc_01068", ""),
    "tilted ct": ("ct_head_ge_tilt_varspacing", ""),
    "pet": ("petctmr_sts_004", "PET/image"),
    "mr": ("mr_abdomen_siemens_coronal_tcga_lihc", ""),
    "mr of ge": ("mr_phantom_acr", "GE_Artist_1.5T_T1"),
    "enhanced mr": ("mr_phantom_siemens_sag_classic_enhanced", "enhanced"),
    "japanese mr": ("oddities_dicom2nifti", "hitachi_anatomical_001"),
    "colour": ("oddities_dicom2nifti", "generic_rgb_001"),
}
KNOWN_EMPTY = "Laterality"
"""Of type 2C and empty in these sources: said of them in other words."""


@pytest.mark.data
@pytest.mark.parametrize("sop_class", CLASSES)
@pytest.mark.parametrize(("name", "folder"), REAL.values(), ids=REAL)
def test_a_result_of_real_sources_has_no_fault_that_they_have_not(
    case, complaints, contradictions, tmp_path, name, folder, sop_class
):
    files = sorted(path for path in (case(name) / folder).iterdir() if path.is_file())[:12]
    stack = facts_of(files)
    stored = stored_as(stack)
    plan = planned(Direction.OBLIQUE, count=1, sources=len(stack))
    path = written(tmp_path, "result", objects(stack, plan, stored, sop_class=sop_class)[0])
    of_the_source = complaints(stack[len(stack) // 2].path)
    said = {line for line in complaints(path) - of_the_source if KNOWN_EMPTY not in line}
    assert said == set()
    against = {line for line in contradictions([path, *files]) if line.startswith("Error")}
    assert against <= set(contradictions(files))


def test_a_source_class_of_colour_is_a_capture(sources, complaints, tmp_path):
    colour = replace(CT, signed=False, samples_per_pixel=3, photometric_interpretation="RGB")
    data = objects(sources["CT"], planned(count=1), colour, sop_class="source")[0]
    assert complaints(written(tmp_path, "result", data)) == set()
