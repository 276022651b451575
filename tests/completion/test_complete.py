"""The searches one after the other: their order, their proof, their deadline, their ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scp.completion import Surroundings, complete
from scp.completion.complete import SEARCHES
from scp.config import Completion
from scp.errors import Cancelled, Code
from scp.model import FileFacts, Policy, Search, SelectionReport
from scp.selection import select
from tests.builders import series, uid, write, write_series
from tests.completion.world import (
    RULES,
    ArchiveTwin,
    PeersTwin,
    PeerTwin,
    Reader,
    completed,
    lines,
    numbers,
    peer,
    pixels_agree,
    read_folder,
    surroundings_with,
)

WHOLE = list(range(1, 13))


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveTwin:
    """Return an archive whose series batch/p/s lacks the images 3, 5, 7 and 9."""
    slices = [ds for ds in series(12) if ds.InstanceNumber not in (3, 5, 7, 9)]
    write_series(slices, tmp_path / "batch/p/s")
    return ArchiveTwin(tmp_path, {tmp_path / "batch/p/s": 0.0})


@pytest.fixture
def everywhere(archive: ArchiveTwin) -> Surroundings:
    """Put 3 beside the folder, 5 into another batch of its time, 7 far from both, and 9 to a peer."""
    slices = series(12)
    write(slices[2], archive.root / "batch/p/other/3.dcm")
    write(slices[4], archive.root / "near/5.dcm")
    write(slices[6], archive.root / "far/7.dcm")
    archive.created_min |= {archive.root / "near": 5.0, archive.root / "far": 10**6}
    return Surroundings(
        read_folder=Reader(),
        top=archive.root / "batch",
        searches=Completion().searches,
        time_radii_s=Completion().time_radius,
        archive=archive,
        peers=(peer("PACS"),),
        peer_archives=PeersTwin({"PACS": PeerTwin(archive, slices)}),
    )


def test_every_search_that_can_be_configured_exists() -> None:
    assert tuple(SEARCHES) == Completion().searches


def test_what_one_search_does_not_find_the_next_is_asked_for(
    archive: ArchiveTwin, everywhere: Surroundings
) -> None:
    report = completed(archive.root / "batch/p/s/0001.dcm", everywhere)

    assert report.ok
    assert numbers(report) == WHOLE
    found = [(name, wanted, found) for name, _, wanted, found in lines(report) if found]
    assert found == [("ancestors", 4, 1), ("time_radius", 3, 1), ("index", 2, 1), ("peers", 1, 1)]


def test_searches_run_in_the_configured_order(archive: ArchiveTwin, everywhere: Surroundings) -> None:
    report = completed(
        archive.root / "batch/p/s/0001.dcm", replace(everywhere, searches=("peers", "index", "ancestors"))
    )

    assert numbers(report) == WHOLE
    assert [(name, found) for name, _, _, found in lines(report)] == [("peers", 4)]


def test_what_lacks_where_steps_change_comes_from_a_peer_at_the_first_request(tmp_path: Path) -> None:
    steps_mm = [4.0] * 6 + [1.0] + [7.0] * 6
    slices = series(len(steps_mm) + 1)
    for k, ds in enumerate(slices):
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], sum(steps_mm[:k])]
    write_series([ds for ds in slices if ds.InstanceNumber != 8], tmp_path / "s")
    asked = PeerTwin(ArchiveTwin(tmp_path), slices)

    report = completed(
        tmp_path / "s/0001.dcm", surroundings_with(asked.archive, {"PACS": asked}), deadline_s=30.0
    )

    assert report.ok, report.sentence
    assert numbers(report) == [ds.InstanceNumber for ds in slices]
    assert asked.fetched == [(slices[7].SOPInstanceUID,)]
    assert lines(report) == [("peers", "PACS", 1, 1)]


def test_a_search_that_is_not_configured_does_not_run(archive: ArchiveTwin, everywhere: Surroundings) -> None:
    report = completed(archive.root / "batch/p/s/0001.dcm", replace(everywhere, searches=()))
    assert report.verdict == Code.MISSING_INSTANCES
    assert report.searches == ()


def test_every_file_that_was_found_has_one_row(archive: ArchiveTwin, everywhere: Surroundings) -> None:
    report = completed(archive.root / "batch/p/s/0001.dcm", everywhere)
    paths = [row.path for row in report.rows]
    assert len(paths) == len(set(paths)) == 12


def test_what_the_policy_would_fill_is_searched_for_first(
    archive: ArchiveTwin, everywhere: Surroundings
) -> None:
    rules = replace(RULES, policy=Policy.INTERPOLATE)
    report = completed(archive.root / "batch/p/s/0001.dcm", everywhere, rules)
    assert numbers(report) == WHOLE
    assert report.missing == ()


def test_a_conflict_among_what_was_found_ends_the_request(tmp_path: Path) -> None:
    slices = series(12)
    write_series([*slices[:6], *slices[7:]], tmp_path / "batch/s")
    write(slices[6], tmp_path / "batch/a/7.dcm")
    rival = series(12, SOPInstanceUID=uid("rival"))[6]
    write(rival, tmp_path / "batch/b/7.dcm")
    asked = PeerTwin(ArchiveTwin(tmp_path), slices)

    report = completed(
        tmp_path / "batch/s/0001.dcm",
        Surroundings(
            read_folder=Reader(),
            top=tmp_path / "batch",
            searches=("ancestors", "peers"),
            archive=asked.archive,
            peers=(peer("PACS"),),
            peer_archives=PeersTwin({"PACS": asked}),
        ),
    )

    assert report.verdict == Code.CANDIDATE_CONFLICT
    assert asked.asked == 0


def test_lines_that_a_report_brings_along_stay_first(tmp_path: Path) -> None:
    write_series([ds for ds in series(12) if ds.InstanceNumber != 7], tmp_path / "s")
    facts = read_folder(tmp_path / "s")
    earlier = Search("ancestors", "before", 1, 0)

    def select_again(
        found: Sequence[FileFacts], known: Sequence[object], searches: object
    ) -> SelectionReport:
        return select(facts[0], facts, RULES, found=found, pixels_agree=pixels_agree, searches=(earlier,))

    surroundings = Surroundings(read_folder=Reader(), top=tmp_path, searches=("ancestors",))
    report = complete(select_again((), (), ()), select_again, surroundings, lambda: False, 1e12)

    assert report.searches[0] == earlier
    assert [line.asked for line in report.searches[1:]] == [tmp_path.name]


# deadline and cancelling


@dataclass
class Slow:
    """A reader, and a clock on which each folder takes a second."""

    now: float = 0.0
    folders: int = 0

    def read(self, folder: Path) -> tuple[FileFacts, ...]:
        self.now += 1.0
        self.folders += 1
        return read_folder(folder)

    def clock(self) -> float:
        return self.now


def many_folders(root: Path) -> None:
    write_series([ds for ds in series(12) if ds.InstanceNumber != 7], root / "s")
    for number in range(50):
        (root / f"{number:02d}").mkdir()


def test_folders_take_half_of_the_deadline_and_the_rest_is_left_for_index_and_peers(tmp_path: Path) -> None:
    many_folders(tmp_path / "batch")
    write(series(12)[6], tmp_path / "elsewhere/7.dcm")
    slow = Slow()

    report = completed(
        tmp_path / "batch/s/0001.dcm",
        Surroundings(
            read_folder=slow.read,
            top=tmp_path / "batch",
            searches=("ancestors", "index"),
            archive=ArchiveTwin(tmp_path),
            clock=slow.clock,
        ),
        deadline_s=20.0,
    )

    assert slow.folders == 10
    assert "not read: out of time" in report.searches[0].detail
    assert report.searches[0].seconds == 10.0
    assert numbers(report) == WHOLE


def test_a_cancelled_request_stops_between_two_folders(tmp_path: Path) -> None:
    many_folders(tmp_path / "batch")
    slow = Slow()

    with pytest.raises(Cancelled):
        completed(
            tmp_path / "batch/s/0001.dcm",
            Surroundings(
                read_folder=slow.read, top=tmp_path / "batch", searches=("ancestors",), clock=slow.clock
            ),
            deadline_s=100.0,
            cancelled=lambda: slow.folders >= 3,
        )
    assert slow.folders == 3


# real series


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("ct_chest_cmb_crc_01068", ""),
        ("ct_head_ge_tilt_varspacing", ""),
        ("mr_brain_ge_axial_jitter", ""),
    ],
)
def test_a_real_series_torn_into_three_folders_is_put_together(
    case: Callable[[str], Path], tmp_path: Path, name: str, folder: str
) -> None:
    source = case(name)
    largest = max({p.parent for p in source.rglob("*") if p.is_file()}, key=lambda f: len(list(f.iterdir())))
    files = sorted(path for path in largest.iterdir() if path.is_file())
    whole = completed(files[0], Surroundings(read_folder=Reader(), top=largest, searches=()))
    assert whole.ok, whole.sentence
    inner = [facts.path for facts in whole.stack][1:-1]
    torn = {path.name: f"lost{number % 2}" for number, path in enumerate(inner[::7])}
    for path in files:
        target = tmp_path / "batch" / torn.get(path.name, "s") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    report = completed(
        tmp_path / "batch/s" / files[0].name,
        Surroundings(read_folder=Reader(), top=tmp_path / "batch", searches=("ancestors",)),
    )

    assert report.ok, report.sentence
    assert [f.sop_instance_uid for f in report.stack] == [f.sop_instance_uid for f in whole.stack]
    assert sum(line.found for line in report.searches) == len(torn)
