"""R4, R5, R6: a full disk, a damaged index, an archive folder that is not as it should be."""

import errno
import os
import pwd
import resource
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scp.archive import Archive, filing, index, intake, layout
from scp.archive.series_homes import SeriesHomes
from scp.errors import ConfigurationError, IndexUnavailable, OutOfSpace, StoreRefused
from scp.model import Stored
from tests.archive.conftest import sent, store_into
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write, write_series
from tests.reliability.nodes import Client, Served, copied_in, planes_of, whole_node
from tests.reliability.test_crash_states import settings_of

wire = pytest.mark.wire

OUT_OF_RESOURCES, UNABLE_TO_PERFORM, UNAVAILABLE = 0xA700, 0xA702, 0xC001


# R4


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as running:
        yield running


def limit_files_of(served: Served, size: int) -> None:
    """Let no file of the node grow beyond *size*: what it writes then fails as on a full disk (EFBIG).

    Nor those of the processes that it started, and of their children to come.
    """
    started = Path(f"/proc/{served.pid}/task/{served.pid}/children").read_text(encoding="ascii").split()
    for pid in (served.pid, *map(int, started)):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def left_behind(root: Path) -> list[Path]:
    """Return the files in the spool and those that people see."""
    own = ("index.sqlite", "rejections", "served-by")
    return [p for p in root.rglob("*") if p.is_file() and not any(word in str(p) for word in own)]


@wire
def test_a_disk_that_is_full_during_a_store_refuses_and_keeps_nothing(served: Served, tmp_path: Path) -> None:
    path = write(image(rows=512, columns=512), tmp_path / "a.dcm")
    limit_files_of(served, 100_000)
    assert served.client.store(path) == [OUT_OF_RESOURCES]
    assert left_behind(served.root) == []
    limit_files_of(served, resource.RLIM_INFINITY)
    assert served.client.store(path) == [0x0000]


@wire
def test_a_disk_that_is_full_for_the_index_refuses_and_keeps_nothing(served: Served, tmp_path: Path) -> None:
    first = write_series(series(30), tmp_path / "first")
    assert served.client.store(*first) == [0x0000] * 30
    before = left_behind(served.root)
    log = served.root / ".scp" / "index.sqlite-wal"
    assert log.stat().st_size > 64 << 10
    limit_files_of(served, 32 << 10)
    path = write(image(30), tmp_path / "a.dcm")
    (status,) = served.client.store(path)
    assert status in (OUT_OF_RESOURCES, UNAVAILABLE)
    assert left_behind(served.root) == before
    limit_files_of(served, resource.RLIM_INFINITY)
    assert served.client.store(path, *first) == [0x0000] * 31


@wire
def test_a_disk_that_is_full_during_a_result_refuses_with_the_reason(served: Served, tmp_path: Path) -> None:
    paths = write_series(series(20, rows=64, columns=64), tmp_path / "in")
    assert served.client.store(*paths) == [0x0000] * 20
    sagittal = planes_of(image().SeriesInstanceUID, "SAGITTAL")
    assert served.client.get_status(**sagittal)[0] == 0x0000  # the fork server has compiled what it writes
    limit_files_of(served, 2048)
    keys = planes_of(image().SeriesInstanceUID)
    status, comment = served.client.get_status(**keys)
    assert (status, comment[:16]) in ((UNABLE_TO_PERFORM, "out-of-resources"), (UNABLE_TO_PERFORM, ""))
    limit_files_of(served, resource.RLIM_INFINITY)
    assert served.client.get_status(**keys)[0] == 0x0000


def test_an_index_that_sqlite_calls_full_is_told_as_a_full_disk(tmp_path: Path) -> None:
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        with archive._index.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(OutOfSpace):
            for k in range(500):
                store_into(archive, image(k, StudyDescription="long" * 300))


def test_control_a_write_that_ignores_the_full_disk_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writev(descriptor: int, parts: list[bytes]) -> int:
        return sum(map(len, parts))  # as if it had been written

    monkeypatch.setattr(intake.os, "writev", writev)
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        with suppress(StoreRefused):
            store_into(archive, image())
        assert left_behind(archive.root) == [] or not _serves(archive, 0)


# R5


def _serves(archive: Archive, k: int) -> bool:
    ds = image(k)
    found = archive.instance_files(ds.SOPInstanceUID)
    return any(facts.path.read_bytes().endswith(sent(ds)[1]) for facts in found)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 100)


def _garble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is no database " * 400)


def _of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE version SET number = number - 1")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "truncated": _truncate,
    "garbled": _garble,
    "of an older version": _of_another_version,
    "log deleted": lambda path: path.with_name(path.name + "-wal").unlink(),
    "log garbled": lambda path: _garble(path.with_name(path.name + "-wal")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_damaged_under_a_running_archive_loses_nothing_acknowledged(
    tmp_path: Path, damage: str
) -> None:
    assert _lost_by(damage, tmp_path / "archive") == []


def test_control_what_an_index_had_is_lost_where_files_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Archive, "reindex", lambda _: None)
    assert _lost_by("deleted", tmp_path / "archive")


def test_a_garbled_index_is_set_aside_by_the_next_start_and_else_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path / "archive")
    Archive.open(settings).close()
    _garble(settings.root / ".scp" / "index.sqlite")
    with monkeypatch.context() as unguarded:
        unguarded.setattr(index, "_is_damage", lambda _: False)
        with pytest.raises(IndexUnavailable):
            Archive.open(settings)
    with Archive.open(settings) as archive:
        assert store_into(archive, image()).outcome == "stored"


def test_control_an_index_of_another_version_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path / "archive")
    path = settings.root / ".scp" / "index.sqlite"
    with Archive.open(settings) as archive:
        store_into(archive, image(0))
    for believed in (False, True):
        _of_another_version(path)
        if believed:
            monkeypatch.setattr(index, "_is_usable", lambda *_: True)
        with Archive.open(settings) as archive:
            assert _serves(archive, 0) is believed, "only a sweep may bring it back"
            archive.sweep()
            store_into(archive, image(0))


def _lost_by(damage: str, root: Path) -> list[int]:
    """Return which of twelve images an archive no longer has whose index is damaged at the sixth."""
    settings = settings_of(root)
    told = []
    with Archive.open(settings) as archive:
        for k in range(12):
            if k == 6:
                DAMAGES[damage](archive.root / ".scp" / "index.sqlite")
            with suppress(StoreRefused, IndexUnavailable):
                store_into(archive, image(k))
                told.append(k)
    with Archive.open(settings) as archive:
        archive.reindex()
        lost = [k for k in told if not _serves(archive, k)]
        assert store_into(archive, image(50)).outcome == "stored"
    return lost


def test_an_index_locked_by_another_process_refuses_within_its_deadline_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BUSY_TIMEOUT_S", 0.05)
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        with closing(sqlite3.connect(archive.root / ".scp" / "index.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(IndexUnavailable):
                store_into(archive, image())
            assert left_behind(archive.root) == []
        assert store_into(archive, image()).outcome == "stored"


def test_control_without_its_deadline_a_locked_index_holds_whoever_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BUSY_TIMEOUT_S", 3600)
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        with closing(sqlite3.connect(archive.root / ".scp" / "index.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            storing = threading.Thread(target=store_into, args=(archive, image()))
            storing.start()
            storing.join(0.5)
            assert storing.is_alive()
        storing.join(60)
        assert _serves(archive, 0)


def test_an_index_made_anew_beside_a_running_archive_mixes_no_two_series(tmp_path: Path) -> None:
    """What one process remembers of the index is wrong after another has rebuilt it."""
    settings = settings_of(tmp_path / "archive")
    with Archive.open(settings) as node, Archive.open(settings) as other:
        for number in range(5):
            store_into(node, _of_patient(number, 0))
        other.reindex()
        store_into(other, _of_patient(9, 0))
        for number in range(5):
            store_into(node, _of_patient(number, 1))
        for number in (*range(5), 9):
            found = node.series_files("", uid("series of", number))
            assert {facts.header.text("PatientID") for facts in found} == {f"P-{number}"}
            assert len(found) == (1 if number == 9 else 2)


def _of_patient(number: int, k: int) -> image:  # type: ignore[valid-type]
    return image(
        k,
        PatientID=f"P-{number}",
        StudyInstanceUID=uid("study of", number),
        SeriesInstanceUID=uid("series of", number),
        SOPInstanceUID=uid("instance of", number, k),
    )


def test_many_slow_readers_keep_no_writer_waiting(tmp_path: Path) -> None:
    question = image()
    question.QueryRetrieveLevel = "IMAGE"
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        for k in range(3):
            store_into(archive, image(k))
        asked = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": image().StudyInstanceUID}
        identifier = type(question)()
        for keyword, value in asked.items():
            setattr(identifier, keyword, value)
        readers = [archive.find("STUDY", identifier) for _ in range(40)]
        assert all(next(reader) for reader in readers)
        assert store_into(archive, image(5)).outcome == "stored"
        for reader in readers:
            reader.close()  # type: ignore[attr-defined]


# R6


def _as_nobody(work: Callable[[Path], bool], folder: Path) -> bool:
    """Tell what *work* tells of *folder* when its owner does it, who is not allowed everything."""
    nobody = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else os.getuid()
    os.chown(folder, nobody, -1)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(nobody)
            os._exit(0 if work(folder) else 1)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1), "it broke on its way"
    return code == 0


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that others can reach, too; pytest's own are for one user."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def _refuses_to_start(root: Path) -> bool:
    """Tell whether no archive is opened in a folder that may not be written to, and nothing is made there.

    Its index lies elsewhere: what is refused is what can keep no instance.
    """
    root.chmod(0o555)
    with tempfile.TemporaryDirectory() as elsewhere, suppress(ConfigurationError):
        settings = settings_of(root).model_copy(update={"database": f"sqlite:///{elsewhere}/index"})
        Archive.open(settings).close()
        return False
    return list(root.iterdir()) == []


def test_a_folder_that_may_not_be_written_to_is_an_error_at_start(reachable: Path) -> None:
    assert _as_nobody(_refuses_to_start, reachable)


def test_control_an_archive_that_makes_no_folders_starts_where_it_can_keep_nothing(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.archive.archive._make_work_folders", lambda *_, **__: None)
    monkeypatch.setattr("scp.archive.archive.recover.empty_spool", lambda _: None)
    assert not _as_nobody(_refuses_to_start, reachable)


def _endures_being_read_only(root: Path, *, ours_too: bool) -> bool:
    """Take the right to write away and give it back; tell whether stores are refused, and all else works."""
    with Archive.open(settings_of(root)) as archive:
        store_into(archive, image(0))
        folders = [p for p in (root, *root.rglob("*")) if p.is_dir() and (ours_too or ".scp" not in p.parts)]
        before = left_behind(root)
        for folder in folders:
            folder.chmod(0o555)
        refused = False
        try:
            store_into(archive, image(1))
        except StoreRefused:
            refused = left_behind(root) == before and _serves(archive, 0)
        for folder in folders:
            folder.chmod(0o755)
        return refused and store_into(archive, image(1)).outcome == "stored" and _serves(archive, 1)


@pytest.mark.parametrize("ours_too", [True, False], ids=["all of it", "but for the node's own"])
def test_an_archive_that_becomes_read_only_refuses_serves_what_it_has_and_recovers(
    reachable: Path, ours_too: bool
) -> None:
    assert _as_nobody(partial(_endures_being_read_only, ours_too=ours_too), reachable)


def test_control_a_store_that_ignores_what_the_folder_says_is_noticed(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = filing.Filing.file

    def file(filing: filing.Filing, spooled: intake.Spooled) -> Stored:
        with suppress(StoreRefused):
            return real(filing, spooled)
        return Stored(spooled.origin.sop_instance_uid, spooled.path, "stored")

    monkeypatch.setattr(filing.Filing, "file", file)
    assert not _as_nobody(partial(_endures_being_read_only, ours_too=False), reachable)


def _statuses_around_a_journey(root: Path, path: Path) -> list[int]:
    """Store a file before the archive's folder goes away, while it is away, and when it is back."""
    statuses = []
    with whole_node(root) as node:
        client = Client(node.address[1])
        statuses += client.store(path)
        root.rename(root.with_name("elsewhere"))
        statuses += client.store(path)
        client.echo()
        with suppress(FileNotFoundError):
            shutil.rmtree(root)
        root.with_name("elsewhere").rename(root)
        statuses += client.store(path)
    return statuses


@wire
def test_an_archive_that_goes_away_refuses_and_the_node_lives(tmp_path: Path) -> None:
    path = write(image(), tmp_path / "a.dcm")
    assert _statuses_around_a_journey(tmp_path / "archive", path) == [0x0000, OUT_OF_RESOURCES, 0x0000]


@wire
def test_control_an_archive_that_makes_its_folder_anew_promises_what_goes_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Archive.begin

    def begin(archive: Archive, *arguments: Any, **options: Any) -> intake.SpooledInstance:
        (archive.root / ".scp" / "spool").mkdir(parents=True, exist_ok=True)
        return real(archive, *arguments, **options)

    monkeypatch.setattr(Archive, "begin", begin)
    path = write(image(), tmp_path / "a.dcm")
    assert _statuses_around_a_journey(tmp_path / "archive", path) == [0x0000, 0x0000, 0x0000]


def _store_into_another_file_system(archive: Archive) -> None:
    def link(_source: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(filing.os, "link", link)
        with pytest.raises(StoreRefused):
            store_into(archive, image())


def test_a_batch_on_another_file_system_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        _store_into_another_file_system(archive)
        assert left_behind(archive.root) == []
        assert store_into(archive, image()).outcome == "stored"


def test_control_a_store_that_does_not_clean_up_leaves_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake.SpooledInstance, "abandon", lambda _: None)
    with Archive.open(settings_of(tmp_path / "archive")) as archive:
        _store_into_another_file_system(archive)
        assert left_behind(archive.root)


def _stores_beside_temporary_files_of_another_file_system(disk: Path) -> bool:
    if disk.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is only one file system here")
    with Archive.open(settings_of(disk / "archive")) as archive, suppress(StoreRefused):
        return store_into(archive, image()).outcome == "stored"
    return False


def test_an_archive_on_another_file_system_than_the_temporary_files_works(disk: Path) -> None:
    assert _stores_beside_temporary_files_of_another_file_system(disk)


def test_control_a_spool_among_the_temporary_files_is_noticed(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = intake.SpooledInstance.__init__
    monkeypatch.setattr(
        intake.SpooledInstance, "__init__", lambda one, _, *rest, **named: real(one, tmp_path, *rest, **named)
    )
    assert not _stores_beside_temporary_files_of_another_file_system(disk)


THEIRS = Path("Löwe, ours — do not touch")


def _everything_of(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *sorted(folder.rglob("*")))
    }


def _leaves_people_s_own_files_alone(top: Path) -> bool:
    theirs = top / "archive" / THEIRS
    copied_in(series(15), theirs)
    for name, content in {"Thumbs.db": b"\0", "notes.txt": b"mine", "._0001.dcm": b"", ".scp": b"x"}.items():
        (theirs / name).write_bytes(content)
    (theirs / "link").symlink_to("/etc")
    os.utime(theirs, (1_700_000_000, 1_700_000_000))
    before = _everything_of(theirs)
    _do_all_that_a_node_does(top / "archive", theirs, top / "in")
    return _everything_of(theirs) == before


@wire
def test_whatever_the_node_does_people_s_own_files_stay_as_they_are(tmp_path: Path) -> None:
    assert _leaves_people_s_own_files_alone(tmp_path)


@wire
def test_control_a_node_that_files_into_people_s_folders_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeriesHomes, "home_of", lambda *_: THEIRS)
    assert not _leaves_people_s_own_files_alone(tmp_path)


def test_a_file_of_people_s_own_under_the_name_of_an_instance_stays(tmp_path: Path) -> None:
    assert _keeps_what_has_the_name_of_an_instance(tmp_path / "archive")


def test_control_a_store_that_replaces_what_has_its_name_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "_move_in", lambda source, target: source.replace(target))
    assert not _keeps_what_has_the_name_of_an_instance(tmp_path / "archive")


def _keeps_what_has_the_name_of_an_instance(root: Path) -> bool:
    with Archive.open(settings_of(root)) as archive:
        path = store_into(archive, image(0)).path
        theirs = path.with_name(layout.instance_name(image(1).SOPInstanceUID))
        theirs.write_bytes(b"mine")
        assert store_into(archive, image(1)).outcome == "stored"
        assert _serves(archive, 1)
    return theirs.read_bytes() == b"mine"


def _do_all_that_a_node_does(root: Path, theirs: Path, folder: Path) -> None:
    incoming = write_series([*series(16), image(3, SeriesDescription="another")], folder)
    with whole_node(root) as node:
        client = Client(node.address[1])
        node._archive.look_again(30)
        assert client.store(*incoming) == [0x0000] * 17
        node._archive.reindex()
        list(node._archive.verify())
        node._archive.import_paths([theirs, folder])
        client.get_status(**planes_of(image().SeriesInstanceUID))
        uids = {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID}
        assert client.get_status(**uids)[0] == 0x0000
