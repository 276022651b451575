"""The one door: what is acknowledged is whole and stays, what is refused leaves nothing."""

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from scp import config
from scp.archive import Archive
from scp.archive.recover import note_conflicts
from scp.errors import IdentityMismatch, IndexUnavailable, OutOfSpace, StoreRefused, Unparseable
from tests.archive.conftest import Store, sent, store_into
from tests.builders import image, ramp, series, uid, write

Listing = Callable[[], list[Path]]


def compressed(ds: Dataset) -> Dataset:
    """Return *ds* as another transfer syntax carries it; nobody decodes at intake."""
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds.PixelData = encapsulate([b"fragment"])
    ds["PixelData"].is_undefined_length = True
    return ds


def with_transfer_syntax(ds: Dataset, transfer_syntax_uid: str) -> Dataset:
    ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    return ds


# what is taken


@pytest.mark.parametrize("fragment_bytes", [7, 1000, 1 << 20])
@pytest.mark.parametrize(
    "ds",
    [
        image(),
        with_transfer_syntax(image(), ImplicitVRLittleEndian),
        with_transfer_syntax(image(), DeflatedExplicitVRLittleEndian),
        compressed(image()),
        image(PixelData=None, Rows=None),
    ],
    ids=["explicit", "implicit", "deflated", "encapsulated", "no pixels"],
)
def test_a_stored_data_set_comes_back_byte_for_byte(
    archive: Archive, ds: Dataset, fragment_bytes: int
) -> None:
    stored = store_into(archive, ds, fragment_bytes)
    question = Dataset()
    question.QueryRetrieveLevel, question.StudyInstanceUID = "STUDY", ds.StudyInstanceUID
    (ref,) = archive.refs("STUDY", question)
    assert ref.path == stored.path
    assert ref.path.read_bytes()[ref.offset : ref.offset + ref.length] == sent(ds)[1]
    assert ref.transfer_syntax_uid == ds.file_meta.TransferSyntaxUID
    assert pydicom.dcmread(ref.path).SOPInstanceUID == ds.SOPInstanceUID
    assert list(archive.verify()) == []


def test_the_facts_of_intake_are_those_of_a_scan(archive: Archive, store: Store) -> None:
    stored = store(image(3))
    (from_index,) = archive.instance_files(stored.sop_instance_uid)
    archive.reindex()
    (from_file,) = archive.instance_files(stored.sop_instance_uid)
    assert from_index == from_file


def test_pixel_digests_do_not_depend_on_the_rest_of_the_data_set(archive: Archive, store: Store) -> None:
    one = archive.instance_files(store(image(3)).sop_instance_uid)[0].pixel_data
    other = image(3, SOPInstanceUID=uid("other"), SeriesDescription="longer than before")
    padded = image(3, SOPInstanceUID=uid("padded"))
    padded.add_new(0xFFFCFFFC, "OB", bytes(10))
    for ds in (other, padded):
        found = archive.instance_files(store(ds).sop_instance_uid)[0].pixel_data
        assert one is not None
        assert found is not None
        assert found.sha256 == one.sha256


def test_an_identical_instance_writes_nothing(store: Store, visible: Listing, spool: Path) -> None:
    first = store(image())
    second = store(image())
    assert (second.outcome, second.path) == ("duplicate", first.path)
    assert visible() == [first.path]
    assert list(spool.iterdir()) == []


def test_an_instance_that_people_copied_in_is_known(archive: Archive, store: Store, visible: Listing) -> None:
    path = write(image(), archive.root / "theirs" / "a.dcm")
    os.utime(path, ns=(0, 0))
    archive.sweep()
    assert store(image()).outcome == "duplicate"
    assert visible() == [path]


def test_same_uid_with_other_content_keeps_both_and_lists_them(archive: Archive, store: Store) -> None:
    first, second = store(image()), store(image(SeriesDescription="Other"))
    assert (first.outcome, second.outcome) == ("stored", "conflict")
    assert archive.conflicts() == {first.sop_instance_uid: (second.path, first.path)}
    assert first.path.parent == second.path.parent
    assert len(archive.instance_files(first.sop_instance_uid)) == 2


def test_what_differs_is_told_of_a_conflict(archive: Archive, store: Store) -> None:
    uids = [store(image(k)).sop_instance_uid for k in range(3)]
    store(image(0, SeriesDescription="Other"))
    store(image(1, pixels=ramp(5, 8, 10)))
    store(image(2, pixels=ramp(5, 8, 10), SeriesDescription="Other"))
    assert [archive.what_differs(each) for each in uids] == ["header", "Pixel Data", "header and Pixel Data"]


def test_queries_and_retrieves_serve_the_newest_of_two(archive: Archive, store: Store) -> None:
    store(image())
    newest = store(image(ContentTime="235959"))
    question = Dataset()
    question.QueryRetrieveLevel, question.StudyInstanceUID = "STUDY", image().StudyInstanceUID
    assert [ref.path for ref in archive.refs("STUDY", question)] == [newest.path]


def test_another_transfer_syntax_is_kept_and_no_conflict(archive: Archive, store: Store) -> None:
    first, second = store(image()), store(compressed(image()))
    assert second.outcome == "stored"
    assert first.path != second.path
    assert archive.conflicts() == {}
    assert note_conflicts(archive._index, archive.root) == 0


def test_a_series_keeps_its_home(archive: Archive, store: Store) -> None:
    first = store(image(0))
    origin, data_set = sent(image(1, StudyDescription="named otherwise now"))
    incoming = archive.begin(origin, batch="tomorrow")
    incoming.write(data_set)
    assert incoming.commit().path.parent == first.path.parent


def test_a_new_series_goes_to_the_folder_of_its_study(archive: Archive, store: Store) -> None:
    first = store(image(0))
    origin, data_set = sent(image(1, SeriesInstanceUID="1.2.3.4"))
    incoming = archive.begin(origin, batch="tomorrow")
    incoming.write(data_set)
    path = incoming.commit().path
    assert path.parent != first.path.parent
    assert path.parent.parent == first.path.parent.parent


def test_two_patients_under_one_series_uid_never_share_a_folder(store: Store) -> None:
    one, other = store(image(0)), store(image(1, PatientID="P-2"))
    assert one.path.parent.parent.parent != other.path.parent.parent.parent


def test_people_s_folders_get_nothing(archive: Archive, store: Store) -> None:
    path = write(image(0), archive.root / "theirs" / "a.dcm")
    os.utime(path, ns=(0, 0))
    archive.sweep()
    stored = store(image(1))
    assert list(path.parent.iterdir()) == [path]
    assert stored.path.is_relative_to(archive.root)


def test_a_file_in_the_way_is_never_overwritten(archive: Archive, store: Store) -> None:
    first = store(image(0))
    in_the_way = first.path.with_name(f"{image(1).SOPInstanceUID}.dcm")
    in_the_way.write_bytes(b"somebody's own")
    stored = store(image(1))
    assert in_the_way.read_bytes() == b"somebody's own"
    assert stored.path != in_the_way


def test_a_whole_file_without_a_row_is_taken_as_the_duplicate_it_is(archive: Archive, store: Store) -> None:
    first = store(image(0))
    archive.reindex()
    with archive._index.writing() as connection:
        connection.exec_driver_sql("DELETE FROM instance")
        connection.exec_driver_sql("DELETE FROM file")
    assert store(image(0)).outcome == "duplicate"
    assert [facts.path for facts in archive.instance_files(first.sop_instance_uid)] == [first.path]


def test_a_file_system_without_hard_links_stores_all_the_same(
    archive: Archive, store: Store, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_at(monkeypatch, "link", OSError(errno.EPERM, "no hard links"))
    in_the_way = store(image(0)).path.with_name(f"{image(1).SOPInstanceUID}.dcm")
    in_the_way.write_bytes(b"somebody's own")
    stored = store(image(1))
    assert in_the_way.read_bytes() == b"somebody's own"
    assert pydicom.dcmread(stored.path).PixelData == image(1).PixelData
    assert list(spool.iterdir()) == []


# what is refused


def _refused(archive: Archive, ds: Dataset, **announced: str) -> type[StoreRefused]:
    origin, data_set = sent(ds)
    try:
        incoming = archive.begin(replace(origin, **announced))
        incoming.write(data_set)
        incoming.commit()
    except StoreRefused as error:
        return type(error)
    raise AssertionError("it was taken")


@pytest.mark.parametrize("field", ["sop_class_uid", "sop_instance_uid"])
def test_an_instance_announced_as_another_is_refused(
    archive: Archive, visible: Listing, spool: Path, field: str
) -> None:
    assert _refused(archive, image(), **{field: "1.2.3"}) is IdentityMismatch
    assert visible() == []
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("illegal", ["", "../../x", "1.2.x", "1" * 65])
def test_an_illegal_uid_is_refused_before_anything_is_written(
    archive: Archive, spool: Path, illegal: str
) -> None:
    assert _refused(archive, image(), sop_instance_uid=illegal) is Unparseable
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_instance_of_no_study_or_series_is_refused(
    archive: Archive, visible: Listing, keyword: str
) -> None:
    assert _refused(archive, image(**{keyword: ""})) is Unparseable
    assert visible() == []


@pytest.mark.parametrize(
    "data_set", [b"", b"\0" * 7, b"garbage, not elements" * 9, b"\x08\x00\x16\x00UI\xff\xff1"]
)
def test_what_does_not_parse_is_refused(
    archive: Archive, visible: Listing, spool: Path, data_set: bytes
) -> None:
    incoming = archive.begin(sent(image())[0])
    with pytest.raises(Unparseable):
        incoming.write(data_set)
        incoming.commit()
    assert visible() == []
    assert list(spool.iterdir()) == []


def test_an_abandoned_instance_leaves_nothing(archive: Archive, visible: Listing, spool: Path) -> None:
    origin, data_set = sent(image())
    incoming = archive.begin(origin)
    incoming.write(data_set[:100])
    incoming.abandon()
    incoming.abandon()
    assert visible() == []
    assert list(spool.iterdir()) == []


def test_a_disk_below_its_minimum_refuses(settings: config.Archive) -> None:
    with Archive.open(settings.model_copy(update={"minimum_free": 1 << 60})) as archive:
        assert _refused(archive, image()) is OutOfSpace


# steps that fail


STEPS = ("open", "writev", "fdatasync", "mkdir", "link", "fsync")


def _fail_at(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    """Let one call of the operating system fail from now on, wherever the archive makes it."""

    def failing(*_arguments: object, **_options: object) -> None:
        raise error

    target = "pathlib.Path.mkdir" if step == "mkdir" else f"scp.archive.{_HOME[step]}.os.{step}"
    monkeypatch.setattr(target, failing)


_HOME = {"open": "intake", "writev": "intake", "fdatasync": "intake", "link": "filing", "fsync": "filing"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_step_that_fails_leaves_nothing_and_says_why(
    archive: Archive, visible: Listing, spool: Path, step: str, number: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        _fail_at(patched, step, OSError(number, os.strerror(number)))
        expected = OutOfSpace if number in (errno.ENOSPC, errno.EDQUOT) else StoreRefused
        assert _refused(archive, image()) is expected
    assert visible() == []
    assert list(spool.iterdir()) == []
    assert archive.instance_count() == 0
    assert store_into(archive, image()).outcome == "stored"


class Killed(BaseException):
    """Stands for the end of a process: nothing of it runs on, its cleaning up neither."""


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_a_step_leaves_nothing_or_a_whole_instance(
    settings: config.Archive, step: str
) -> None:
    ds = image()
    with pytest.MonkeyPatch.context() as patched, Archive.open(settings) as archive:
        patched.setattr("scp.archive.intake.SpooledInstance.abandon", lambda _incoming: None)
        _fail_at(patched, step, Killed())
        with pytest.raises(Killed):
            store_into(archive, ds)
    with Archive.open(settings) as archive:
        archive.sweep()
        assert list((archive.root / ".scp" / "spool").iterdir()) == []
        found = list(archive.root.glob("*/*/*/*/*"))
        assert len(found) == (step == "fsync")
        for path in found:
            assert pydicom.dcmread(path).PixelData == ds.PixelData
        assert store_into(archive, ds).outcome == ("duplicate" if found else "stored")


def test_an_index_that_does_not_answer_refuses_and_leaves_no_file(
    archive: Archive, visible: Listing, spool: Path
) -> None:
    origin, data_set = sent(image())
    incoming = archive.begin(origin)
    incoming.write(data_set)
    with archive._index.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE instance RENAME TO away")
    with pytest.raises(IndexUnavailable):
        incoming.commit()
    assert visible() == []
    assert list(spool.iterdir()) == []


def _recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that the archive's steps towards durability are written into as they are taken."""
    steps: list[str] = []

    def recording(module: str, name: str) -> None:
        real = getattr(os, name)

        def step(*arguments: object) -> object:
            steps.append(name)
            return real(*arguments)

        monkeypatch.setattr(f"scp.archive.{module}.os.{name}", step)

    for name in ("fdatasync", "link", "fsync"):
        recording(_HOME[name], name)
    return steps


def test_content_is_synced_before_it_has_a_name_and_the_name_before_it_is_acknowledged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = _recorded(monkeypatch)
    store(image(0))
    assert steps == [
        "fdatasync",
        "link",
        *["fsync"] * 5,
    ]  # four new folders, and the file
    steps.clear()
    store(image(1))
    assert steps == ["fdatasync", "link", "fsync"]


def test_folders_made_for_one_that_failed_are_synced_for_the_next(
    archive: Archive, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        _fail_at(patched, "link", OSError(errno.EIO, "once"))
        assert _refused(archive, image(0)) is StoreRefused
    steps = _recorded(monkeypatch)
    store(image(0))
    assert steps.count("fsync") == 5


def test_without_durable_nothing_is_synced(settings: config.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = _recorded(monkeypatch)
    with Archive.open(settings.model_copy(update={"durable": False})) as archive:
        assert store_into(archive, image()).outcome == "stored"
    assert steps == ["link"]


# many at once


def test_many_threads_store_at_once_and_lose_nothing(archive: Archive, visible: Listing, spool: Path) -> None:
    outcomes: list[str] = []

    def work(part: int) -> None:
        outcomes.extend(store_into(archive, image(k)).outcome for k in range(part, 48, 3))

    threads = [threading.Thread(target=work, args=(part % 3,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["duplicate"] * 48 + ["stored"] * 48
    assert len(visible()) == archive.instance_count() == 48
    assert {path.parent for path in visible()} == {visible()[0].parent}
    assert list(spool.iterdir()) == []


def test_one_that_cannot_be_filed_does_not_fail_the_others_of_its_group(
    archive: Archive, visible: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = series(6)
    bad = datasets[2].SOPInstanceUID
    real = os.link
    gathered = threading.Barrier(len(datasets))

    def link(source: Path, target: Path) -> None:
        if bad in str(target):
            raise OSError(errno.EIO, "it fails for this one")
        real(source, target)

    monkeypatch.setattr("scp.archive.filing.os.link", link)
    results: dict[str, str] = {}

    def work(ds: Dataset) -> None:
        origin, data_set = sent(ds)
        incoming = archive.begin(origin)
        incoming.write(data_set)
        gathered.wait()
        try:
            results[ds.SOPInstanceUID] = incoming.commit().outcome
        except StoreRefused:
            results[ds.SOPInstanceUID] = "refused"

    with archive._filing._turn:  # while somebody files, the others gather
        threads = [threading.Thread(target=work, args=(ds,)) for ds in datasets]
        for thread in threads:
            thread.start()
        while len(archive._filing._waiting) < len(datasets):
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert results.pop(bad) == "refused"
    assert set(results.values()) == {"stored"}
    assert len(visible()) == len(datasets) - 1


def test_nobody_waits_for_ever_for_one_who_ends_while_filing_for_all(
    archive: Archive, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    def end(_group: object) -> None:
        raise SystemExit

    def work(ds: Dataset) -> None:
        with pytest.raises((SystemExit, StoreRefused)) as caught:
            store(ds)
        ended.append(caught.type.__name__)

    with archive._filing._turn, monkeypatch.context() as patched:
        patched.setattr(archive._filing, "_file_group", end)
        threads = [threading.Thread(target=work, args=(ds,)) for ds in series(3)]
        for thread in threads:
            thread.start()
        while len(archive._filing._waiting) < len(threads):
            threading.Event().wait(0.001)
        archive._filing._turn.release()
        for thread in threads:
            thread.join(30)
        archive._filing._turn.acquire()
    assert sorted(ended) == ["StoreRefused", "StoreRefused", "SystemExit"]
    assert store(image()).outcome == "stored"
