"""Group B: images of others, wrong identifiers, and one image in several files."""

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSNearLossless, RLELossless

from scp.errors import Code
from tests.builders import uid
from tests.cases.registry import case
from tests.cases.scenes import Scene, Whose, among, lay, scan, slice_at

PATIENT, IMAGE = Whose.ANOTHER_PATIENT, Whose.ANOTHER_IMAGE
BETWEEN = (2.5, 6.5, 12.0)
"""Where strangers lie, in steps: twice between our slices, once beyond the last."""


def strangers(whose: Whose, **attributes: Any) -> list[Dataset]:
    return [
        slice_at(k, whose, "stranger", InstanceNumber=90 + n, **attributes) for n, k in enumerate(BETWEEN)
    ]


@case(
    "B1",
    "3 images of another patient, every UID but the instances' the same",
    left_out={Code.OTHER_PATIENT: 3},
)
def _(folder: Path) -> Scene:
    return among(folder, strangers(PATIENT, PatientName="Doe^John", PatientID="P-2"))


@case("B2", "one patient's name in three spellings")
def _(folder: Path) -> Scene:
    slices = scan()
    for ds, name in zip(slices, ["ROE^JANE", "Roe^Jane^^^", "roe^jane "] * 4, strict=True):
        ds.PatientName = name
    return among(folder, [], slices)


@case("B3", "3 images of a namesake with another Patient ID", left_out={Code.OTHER_PATIENT_ID: 3})
def _(folder: Path) -> Scene:
    return among(folder, strangers(PATIENT, PatientID="P-2"))


@case("B4", "3 images of another study of the patient, the series' UID kept", left_out={Code.OTHER_STUDY: 3})
def _(folder: Path) -> Scene:
    return among(folder, strangers(IMAGE, StudyInstanceUID=uid("another study")))


@case("B5", "another series of the study", left_out={Code.OTHER_SERIES: 12})
def _(folder: Path) -> Scene:
    theirs = {"SeriesInstanceUID": uid("another series"), "SeriesNumber": 3}
    return among(folder, [slice_at(k, IMAGE, "another series", **theirs) for k in range(12)])


@case(
    "B6",
    "one slice has no Series Instance UID",
    Code.MISSING_INSTANCES,
    left_out={Code.SERIES_UID_MISSING: 1},
    missing=(5,),
)
def _(folder: Path) -> Scene:
    slices = scan()
    del slices[4].SeriesInstanceUID
    return Scene(lay(folder, slices)[6], lost=1)


@case("B6 adopted", "the same, adoption allowed by the configuration", notes={Code.ADOPTED})
def _(folder: Path) -> Scene:
    slices = scan()
    del slices[4].SeriesInstanceUID
    configuration = folder.parent / "node.toml"
    configuration.write_text("[completion]\nadopt_unlabelled = true\n")
    return Scene(lay(folder, slices)[6], lost=1, configuration=configuration)


@case(
    "B7",
    "3 images of another series that carry this one's Series Instance UID",
    left_out={"other-series-number": 3},
)
def _(folder: Path) -> Scene:
    return among(folder, strangers(IMAGE, SeriesNumber=7))


@case("B7 modality", "3 MR images with the CT's Series Instance UID", left_out={"other-modality": 3})
def _(folder: Path) -> Scene:
    return among(folder, strangers(IMAGE, Modality="MR"))


@case(
    "B7 body part", "3 images of the head among those of the chest", left_out={"other-body-part-examined": 3}
)
def _(folder: Path) -> Scene:
    return among(folder, strangers(IMAGE, BodyPartExamined="HEAD"))


@case(
    "B8",
    "as B7, auxiliary identifiers agree too; another series by its description, at 3 of our positions",
    left_out={Code.OTHER_STACK: 3},
)
def _(folder: Path) -> Scene:
    ours = scan(SeriesDescription="Chest")
    wrong = [slice_at(k, IMAGE, "wrong", SeriesDescription="Other") for k in (2, 6, 9)]
    return among(folder, wrong, ours)


@case(
    "B9",
    "the current image is the mislabelled one: sagittal, of another patient",
    Code.CURRENT_IMAGE_ALONE,
    left_out={Code.OTHER_ORIENTATION: 12},
)
def _(folder: Path) -> Scene:
    lay(folder, scan())
    sagittal = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    wrong = slice_at(3, PATIENT, "wrong", orientation=sagittal, origin=(0, 0, 40))
    return Scene(lay(folder, [wrong], "current.dcm")[0])


@case(
    "B10",
    "a second patient's whole series under the same Series Instance UID",
    left_out={Code.OTHER_PATIENT: 12},
)
def _(folder: Path) -> Scene:
    theirs = [slice_at(k, PATIENT, "second", PatientName="Doe^John", PatientID="P-2") for k in range(12)]
    return among(folder, theirs)


@case("B11", "one slice twice, once compressed (RLE)", left_out={Code.DUPLICATE: 1})
def _(folder: Path) -> Scene:
    copy = slice_at(5)
    copy.compress(RLELossless, generate_instance_uid=False)
    return among(folder, [copy])


@case("B12", "one SOP Instance UID in two files with different pixels", Code.DUPLICATE_CONFLICT)
def _(folder: Path) -> Scene:
    return among(folder, [slice_at(5, IMAGE)])


@case("B14", "a lossy copy (JPEG-LS) beside a lossless slice", left_out={Code.LOSSY_DIFFERS: 1})
def _(folder: Path) -> Scene:
    copy = slice_at(5)
    copy.PixelRepresentation = 0
    copy.compress(JPEGLSNearLossless, jls_error=3, generate_instance_uid=False)
    copy.PixelRepresentation = 1
    copy.LossyImageCompression = "01"
    return among(folder, [copy])
