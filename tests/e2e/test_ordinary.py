"""What a modality stores comes back to whoever asks, at every level, byte for byte."""

import pytest

from scp.cli import main
from scp.part10 import read_facts
from tests.builders import image, series, write_series
from tests.e2e.conftest import peer
from tests.e2e.stations import Requestor, data_sets, storescp

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

LEVELS = {
    "PATIENT": ["PatientID=P-1"],
    "STUDY": ["StudyInstanceUID=1.2.3"],
    "SERIES": ["StudyInstanceUID=1.2.3", "SeriesInstanceUID=1.2.3.4"],
    "IMAGE": ["StudyInstanceUID=1.2.3", "SeriesInstanceUID=1.2.3.4", "SOPInstanceUID=1.2.3.4.5"],
}
HELD = {"PATIENT": 5, "STUDY": 4, "SERIES": 3, "IMAGE": 1}
"""How many instances of the world below each level names."""


@pytest.fixture
def world(tmp_path):
    """Return files: three images of one series, one of a second, one of a second study, one patient more."""
    first = series(3, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    first[0].SOPInstanceUID = "1.2.3.4.5"
    rest = [
        image(3, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.9"),
        image(4, StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1"),
        image(5, PatientID="P-2", StudyInstanceUID="1.2.8", SeriesInstanceUID="1.2.8.1"),
    ]
    return write_series([*first, *rest], tmp_path / "modality")


def keys(level: str, *more: str) -> list[str]:
    """Return the identifier of the Patient Root model down to *level*."""
    unique = LEVELS[level] if level == "PATIENT" else [*LEVELS["PATIENT"], *LEVELS[level]]
    return [f"QueryRetrieveLevel={level}", *unique, *more]


def study_root(level: str, *more: str) -> list[str]:
    return [f"QueryRetrieveLevel={level}", *LEVELS[level], *more]


MODELS = {"-P": keys, "-S": study_root}
ASKED = [(model, level) for model in MODELS for level in LEVELS if (model, level) != ("-S", "PATIENT")]


def test_every_level_is_found_under_both_models(start_node, requestor, world):
    node = start_node()
    asking = requestor(node)
    asking.store(*world)
    assert [a.PatientID for a in asking.find("QueryRetrieveLevel=PATIENT", "PatientID=P*", model="-P")] == [
        "P-1",
        "P-2",
    ]
    studies = asking.find("QueryRetrieveLevel=STUDY", "PatientID=P-1", "StudyInstanceUID")
    assert {a.StudyInstanceUID for a in studies} == {"1.2.3", "1.2.9"}
    for model, identifier in MODELS.items():
        found = asking.find(
            *identifier("STUDY", "NumberOfStudyRelatedInstances", "ModalitiesInStudy"), model=model
        )
        assert [(a.NumberOfStudyRelatedInstances, a.ModalitiesInStudy) for a in found] == [(4, "CT")]
        found = asking.find(*identifier("SERIES", "NumberOfSeriesRelatedInstances"), model=model)
        assert [a.NumberOfSeriesRelatedInstances for a in found] == [3]
        within = [key for key in identifier("IMAGE") if not key.startswith("SOP")]
        found = asking.find(*within, "SOPInstanceUID", "InstanceNumber", model=model)
        assert sorted(a.InstanceNumber for a in found) == [1, 2, 3]


@pytest.mark.parametrize(("model", "level"), ASKED)
def test_every_level_is_retrieved_by_move_and_by_get(start_node, requestor, workstation, world, model, level):
    node = start_node(peer("WORKSTATION", workstation.port, destination=True))
    asking = requestor(node)
    asking.store(*world)
    got = asking.get(*MODELS[model](level), model=model)
    moved = asking.move(*MODELS[model](level), to=workstation, model=model)
    for answer in (got, moved):
        assert (answer.exit_code, answer.status) == (0, 0x0000)
        assert answer.counts == {"Completed": HELD[level], "Failed": 0, "Warning": 0}
        assert len(answer.objects) == HELD[level]


@pytest.mark.data
def test_what_a_modality_sends_is_what_a_workstation_gets(
    start_node, requestor, program, case, workstation, tmp_path
):
    """DCMTK's encoder may write other bytes than the file had: what it sends elsewhere is the measure."""
    node = start_node(peer("WORKSTATION", workstation.port, destination=True))
    folder = case("mr_brain_ge_axial_jitter")
    with storescp(program, tmp_path / "elsewhere", "MPRSCP") as elsewhere:
        Requestor(program, tmp_path, elsewhere.port).store(folder)
        sent = data_sets(elsewhere.folder.iterdir())
    asking = requestor(node)
    asking.store(folder)
    (study,) = asking.find("QueryRetrieveLevel=STUDY", "StudyInstanceUID")
    identifier = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study.StudyInstanceUID}")
    assert data_sets(asking.get(*identifier).folder.iterdir()) == sent
    assert data_sets(asking.move(*identifier, to=workstation).folder.iterdir()) == sent


def one_by_one(folder):
    return [[path] for path in sorted(folder.rglob("*")) if path.is_file()]


def by_folder(folder):
    return [sorted(path for path in below.iterdir()) for below in sorted(folder.iterdir())]


ROUNDS = {
    "syntaxes_mr_mosaic": one_by_one,
    "syntaxes_mr_4slices": by_folder,
    "enhanced_multiframe": one_by_one,
    "nonimage_private": one_by_one,
}
"""Files that are sent together: many of these are the same instance in another transfer syntax."""


@pytest.mark.data
@pytest.mark.parametrize("name", ROUNDS)
def test_every_transfer_syntax_and_sop_class_is_kept_as_it_came(
    start_node, requestor, workstation, case, name
):
    """Our own client sends the bytes of the files, which DCMTK's would write anew.

    An instance that comes again in another transfer syntax is served as it came last.
    """
    node = start_node(peer("WORKSTATION", workstation.port, destination=True))
    host, port = node.address
    for files in ROUNDS[name](case(name)):
        with pytest.raises(SystemExit) as ended:
            main(["send", host, str(port), *map(str, files), "--aec", "MPRSCP", "--aet", "DCMTK"])
        assert not ended.value.code, files
        header = file_header(files[0])
        uids = [file_header(path)["SOPInstanceUID"] for path in files]
        answer = requestor(node).move(
            "QueryRetrieveLevel=IMAGE",
            f"StudyInstanceUID={header['StudyInstanceUID']}",
            f"SeriesInstanceUID={header['SeriesInstanceUID']}",
            "SOPInstanceUID=" + "\\".join(uids),
            to=workstation,
        )
        assert answer.status == 0x0000, (files, answer.comment)
        assert data_sets(answer.folder.iterdir()) == data_sets(files)


def file_header(path):
    return read_facts(path)[0].header.attributes
