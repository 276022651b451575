"""All the ways to ask for planes, as DCMTK's programs really send them.

The world is one built series, 12 axial slices of 8 x 10 pixels of 1 mm, 2 mm apart: 8 coronal planes, 10
sagittal ones, 23 transverse ones of 1 mm.
"""

import itertools
import subprocess
from dataclasses import dataclass

import pytest

from scp.config import Preset
from scp.model import Direction, Method, Operation, Policy
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write, write_series
from tests.e2e.conftest import peer, running_node
from tests.e2e.stations import Requestor, StoreSCP

pytestmark = [pytest.mark.foreign, pytest.mark.wire, pytest.mark.xdist_group("asking")]

SERIES = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={SERIES_UID}")
IMAGE = (
    "QueryRetrieveLevel=IMAGE",
    *SERIES[1:],
    f"SOPInstanceUID={uid('instance', 5)}",
)
PATIENT = "PatientID=P-1"
ROOTS = {"-S": (), "-P": (PATIENT,)}
RETURNED = ("SeriesDescription", "NumberOfSeriesRelatedInstances", "Rows", "Columns", "PixelSpacing")

TILTED = r"1\0\0\0\0.6\-0.8"
PRESETS = {
    "OBL": Preset(direction=Direction.OBLIQUE, orientation=(1, 0, 0, 0, 0.6, -0.8), interval=2.0),
    "MIP": Preset(operation=Operation.SLAB, thickness=3.0, method=Method.MAXIMUM_IP),
    "PADDED": Preset(policy=Policy.PAD),
}


@dataclass(frozen=True)
class Ward:
    """A node that holds the series, a requestor, and a move destination."""

    asking: Requestor
    workstation: StoreSCP

    def retrieved_by(self, way, *keys, **how):
        if way == "get":
            return self.asking.get(*keys, **how)
        return self.asking.move(*keys, to=self.workstation, **how)


@pytest.fixture(scope="module")
def ward(program, workstation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ward")
    destination = peer("WORKSTATION", workstation.port, destination=True)
    with running_node(folder / "archive", destination, presets=PRESETS) as node:
        asking = Requestor(program, folder / "answers", node.address[1])
        asking.store(*write_series(series(12), folder / "modality"))
        yield Ward(asking, workstation)


def series_of(objects):
    """Return the one Series Instance UID of results."""
    (found,) = {ds.SeriesInstanceUID for ds in objects}
    return found


WAYS = list(itertools.product(("get", "move"), ROOTS, (SERIES, IMAGE)))


@pytest.mark.parametrize(("way", "root", "keys"), WAYS)
def test_a_plain_retrieve_from_a_preset_yields_its_planes(ward, way, root, keys):
    for title, count, orientation in (
        ("MPR_COR", 8, [1, 0, 0, 0, 0, -1]),
        ("MPR_SAG", 10, [0, 1, 0, 0, 0, -1]),
        ("MPR_AX", 23, [1, 0, 0, 0, 1, 0]),
    ):
        answer = ward.retrieved_by(way, *ROOTS[root], *keys, called=title, model=root)
        assert (answer.exit_code, answer.status) == (0, 0x0000)
        assert answer.counts == {"Completed": count, "Failed": 0, "Warning": 0}
        objects = answer.objects
        assert [ds.InstanceNumber for ds in objects] == list(range(1, count + 1))
        assert all(ds.ImageOrientationPatient == orientation for ds in objects)
        assert {ds.StudyInstanceUID for ds in objects} == {STUDY_UID}
        assert series_of(objects) != SERIES_UID


DIRECTED = {
    "coronal": (("ReformattingOperationInitialViewDirection=CORONAL",), 8),
    "every second millimetre": (
        ("ReformattingOperationInitialViewDirection=SAGITTAL", "ReformattingInterval=2.0"),
        5,
    ),
    "oblique": (
        (
            "ReformattingOperationInitialViewDirection=OBLIQUE",
            f"ImageOrientationPatient={TILTED}",
            "ReformattingInterval=4",
        ),
        5,
    ),
    "one plane": (
        ("ReformattingOperationInitialViewDirection=CORONAL", r"ImagePositionPatient=0\3\0"),
        1,
    ),
    "transverse, its orientation repeated": (
        (
            "ReformattingOperationInitialViewDirection=TRANSVERSE",
            r"ImageOrientationPatient=1\0\0\0\1\0",
            "ReformattingInterval=2",
        ),
        12,
    ),
}
"""Keys, and how many planes they yield. The oblique ones: the box is 7 x 0.8 + 22 x 0.6 = 18.8 mm thick
along their normal (0, 0.8, 0.6)."""


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("keys", DIRECTED)
def test_keys_ask_the_dry_run_foretells_and_the_planes_come(ward, way, root, keys):
    wanted, count = DIRECTED[keys]
    identifier = (*ROOTS[root], *SERIES, "ReformattingOperationType=MPR", *wanted)
    (promised,) = ward.asking.find(*identifier, *RETURNED, model=root)
    assert promised.ImageComments == "ok; used 12 of 12"
    assert promised.NumberOfSeriesRelatedInstances == count
    answer = ward.retrieved_by(way, *identifier, model=root)
    assert (answer.exit_code, answer.status, answer.counts["Completed"]) == (0, 0x0000, count)
    objects = answer.objects
    assert series_of(objects) == promised.SeriesInstanceUID
    for ds in objects:
        assert (ds.Rows, ds.Columns, ds.PixelSpacing) == (
            promised.Rows,
            promised.Columns,
            promised.PixelSpacing,
        )


def test_one_plane_goes_through_the_point_that_was_named(ward):
    answer = ward.asking.get(*IMAGE, "ReformattingOperationType=MPR", r"ImagePositionPatient=2\3\5")
    (plane,) = answer.objects
    assert plane.ImagePositionPatient[1] == 3
    # the ramp at y = 3: 100 a slice of 2 mm, 30, and 1 a column; rows run from the head down
    assert plane.pixel_array[0, 0] * plane.RescaleSlope + plane.RescaleIntercept == 1100 + 30


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("method", Method)
def test_slabs_are_asked_for_by_thickness_and_method(ward, way, method):
    identifier = (
        *SERIES,
        "ReformattingOperationType=SLAB",
        "ReformattingThickness=2",
        f"RenderingMethod={method}",
    )
    (promised,) = ward.asking.find(*identifier, *RETURNED)
    answer = ward.retrieved_by(way, *identifier)
    objects = answer.objects
    assert series_of(objects) == promised.SeriesInstanceUID
    assert len(objects) == promised.NumberOfSeriesRelatedInstances == answer.counts["Completed"] == 4
    assert {ds.SliceThickness for ds in objects} == {2}
    # the second one is centred on y = 2 mm, and the ramp grows by 10 a millimetre there
    first = objects[1].pixel_array[0, 0] * objects[1].RescaleSlope + objects[1].RescaleIntercept
    assert first == 1100 + {Method.MINIMUM_IP: 10, Method.AVERAGE_IP: 20, Method.MAXIMUM_IP: 30}[method]


def test_presets_of_ones_own_turn_and_thicken(ward):
    (tilted,) = {tuple(ds.ImageOrientationPatient) for ds in ward.asking.get(*SERIES, called="OBL").objects}
    assert tilted == (1, 0, 0, 0, 0.6, -0.8)
    assert {ds.ImageType[2] for ds in ward.asking.get(*SERIES, called="MIP").objects} == {"MAX_IP"}


def test_keys_replace_those_of_the_preset_that_is_called(ward):
    (promised,) = ward.asking.find(
        *SERIES, "ReformattingOperationType=SLAB", "ReformattingInterval=1", *RETURNED, called="MIP"
    )
    assert "MIP" in promised.SeriesDescription
    assert promised.NumberOfSeriesRelatedInstances > 2
    answer = ward.asking.get(
        *SERIES, "ReformattingOperationType=SLAB", "ReformattingInterval=1", called="MIP"
    )
    assert series_of(answer.objects) == promised.SeriesInstanceUID


@pytest.fixture
def header(program, tmp_path):
    """Return the whole header of the current image, made as a user makes it."""
    path = write(image(5), tmp_path / "hdr.dcm")
    words = [program("dcmodify"), "-nb", "-ea", "(7fe0,0010)", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    return path


ASKED_BY_HEADER = ("ReformattingOperationType=MPR", "ReformattingOperationInitialViewDirection=CORONAL")


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("level", [("0008,0052=IMAGE",), ()], ids=["level", "no level"])
def test_the_header_of_the_current_image_is_an_identifier(ward, header, way, root, level):
    (promised,) = ward.asking.find(
        *level, *ASKED_BY_HEADER, "NumberOfSeriesRelatedInstances", model=root, header=header
    )
    answer = ward.retrieved_by(way, *level, *ASKED_BY_HEADER, model=root, header=header)
    assert (answer.status, answer.counts["Completed"]) == (0x0000, 8)
    assert series_of(answer.objects) == promised.SeriesInstanceUID


@pytest.mark.parametrize(
    ("key", "keyword"),
    [
        ("PatientName=Doe^John", "PatientName"),
        ("SeriesNumber=9", "SeriesNumber"),
        (r"ImagePositionPatient=0\0\99", "ImagePositionPatient"),
        (r"ImageOrientationPatient=0\1\0\0\0\-1", "ImageOrientationPatient"),
    ],
)
def test_a_header_that_disagrees_with_the_stored_image_is_refused_by_name(ward, header, key, keyword):
    answer = ward.asking.get("0008,0052=IMAGE", *ASKED_BY_HEADER, key, header=header)
    assert (answer.status, answer.comment) == (0xA900, f"header-disagrees: {keyword}")
    assert not answer.objects


def test_an_instance_uid_alone_is_enough_at_image_level(ward):
    answer = ward.asking.get(IMAGE[0], IMAGE[3], "ReformattingOperationType=MPR")
    assert answer.counts["Completed"] == 8


def test_an_empty_trigger_asks_for_the_images_themselves(ward):
    answer = ward.asking.get(*SERIES, "ReformattingOperationType=", "ReformattingInterval=2")
    assert {ds.SeriesInstanceUID for ds in answer.objects} == {SERIES_UID}
    (found,) = ward.asking.find(*SERIES, "ReformattingOperationType=", called="MPR_COR")
    assert found.SeriesInstanceUID == SERIES_UID


AS_DRY_RUN = ("ReformattingOperationType=MPR", "ReformattingInterval=3", *RETURNED, "ImageComments")


def test_a_dry_run_says_in_words_what_it_used_excluded_missed_and_found(
    start_node, requestor, tmp_path, hand_copied
):
    """12 slices are known: two are nowhere, one lies in a sister folder, five strangers lie among them."""
    node = start_node(presets=PRESETS)
    slices = series(12)
    folder = tmp_path / "archive" / "BATCH" / "one"
    write_series([slices[k] for k in range(12) if k not in (4, 6, 7)], folder)
    write(slices[4], tmp_path / "archive" / "BATCH" / "two" / "stray.dcm")
    for k in range(3):
        stranger = image(k, PatientName="Doe^John", SOPInstanceUID=uid("stranger", k))
        write(stranger, folder / f"stranger {k}.dcm")
    (folder / "a.txt").write_text("a")
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    hand_copied(tmp_path / "archive" / "BATCH")
    (answer,) = requestor(node).find(*IMAGE, *AS_DRY_RUN, called="PADDED")
    assert answer.ImageComments == (
        "ok; used 10 of 12; excluded other-patient 3, not-dicom 2; missing 7, 8; found ancestors 1"
    )
    assert answer.SeriesDescription.endswith("COR 3.0 MPR, 10 of 12")
    (refused,) = requestor(node).find(*IMAGE, *AS_DRY_RUN)
    assert refused.ImageComments == (
        "missing-instances: 2 of 12 (7, 8); used 10 of 12; excluded other-patient 3, not-dicom 2; "
        "missing 7, 8; found ancestors 1"
    )
    assert refused.SeriesDescription == "refused: missing-instances"
    assert refused.NumberOfSeriesRelatedInstances == 0


def test_the_description_of_a_dry_run_tells_planes_and_images(ward):
    (thin,) = ward.asking.find(*SERIES, *AS_DRY_RUN)
    (slab,) = ward.asking.find(*SERIES, "ReformattingOperationType=SLAB", "SeriesDescription", called="MIP")
    assert thin.SeriesDescription == "COR 3.0 MPR, 12 of 12"
    assert slab.SeriesDescription == "COR 3.0 MIP, 12 of 12"
