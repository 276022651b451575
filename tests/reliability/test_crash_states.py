"""R2: whatever a crash leaves of an operation, the archive recovers, and what was acknowledged is there."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from scp import config
from scp.archive import Archive, ResultCache, results
from scp.archive.durability import Syncing
from scp.archive.filing import Filing
from scp.model import Origin
from tests.archive.conftest import sent, store_into
from tests.builders import image, write
from tests.reliability.crashes import Recorder, State, WrittenOut

ONE, OTHER, SECOND = image(0), image(0, SeriesDescription="other content"), image(1)


def settings_of(root: Path, *, durable: bool = True) -> config.Archive:
    return config.Archive(root=root, minimum_free=0, durable=durable, batch="batch")


@dataclass(frozen=True)
class Work:
    """What is done: *before* is there and durable, *unsynced* people copied in just now."""

    do: Callable[[Archive, Recorder], None]
    before: tuple[Dataset, ...] = ()
    unsynced: tuple[Dataset, ...] = ()


def _store(*datasets: Dataset) -> Callable[[Archive, Recorder], None]:
    def do(archive: Archive, recorder: Recorder) -> None:
        for ds in datasets:
            store_into(archive, ds)
            recorder.acknowledge(content_key(sent(ds)[1]))

    return do


def _import(archive: Archive, recorder: Recorder) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for ds in (ONE, SECOND):
            write(ds, Path(folder) / f"{ds.InstanceNumber}.dcm")
        archive.import_paths([Path(folder)], batch="batch")
    for ds in (ONE, SECOND):
        recorder.acknowledge(content_key(sent(ds)[1]))


def _index(archive: Archive, recorder: Recorder) -> None:
    archive.sweep()
    archive.reindex()


def _keep(archive: Archive, recorder: Recorder) -> None:
    (newest, _) = archive.conflicts()[ONE.SOPInstanceUID]
    archive.keep(ONE.SOPInstanceUID, newest)
    recorder.acknowledge("kept")


def _remove(archive: Archive, recorder: Recorder) -> None:
    archive.remove(ONE.SOPInstanceUID)
    recorder.acknowledge("removed")


def _reject(archive: Archive, recorder: Recorder) -> None:
    archive.reject("1.2.3", [ONE.SOPInstanceUID])
    recorder.acknowledge("rejected")


WORKS = {
    "store into a new archive": Work(_store(ONE)),
    "store a second of a series": Work(_store(SECOND), before=(ONE,)),
    "duplicate": Work(_store(ONE), before=(ONE,)),
    "duplicate of what was just copied in": Work(_store(ONE), unsynced=(ONE,)),
    "conflict": Work(_store(OTHER), before=(ONE,)),
    "import": Work(_import),
    "index": Work(_index, before=(ONE, SECOND)),
    "keep": Work(_keep, before=(ONE, OTHER)),
    "remove": Work(_remove, before=(ONE,)),
    "reject": Work(_reject, before=(ONE,)),
}


def content_key(data_set: bytes) -> str:
    return data_set.hex()[-64:] + str(len(data_set)) + str(hash(data_set))


SENT = {id(ds): sent(ds)[1] for ds in (ONE, OTHER, SECOND)}
"""What a sender sends of each: to encode it again for every state would take a third of the time."""

KEYS = {id(ds): content_key(SENT[id(ds)]) for ds in (ONE, OTHER, SECOND)}
VERSIONS = {KEYS[id(ds)]: ds for ds in (ONE, OTHER, SECOND)}


@pytest.fixture(autouse=True)
def syncing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Syncing:
    """Sync as on a file system of which nothing is known, or as on one with a journal (``Syncing.ONCE``)."""
    asked: Syncing = getattr(request, "param", Syncing.TWICE)
    monkeypatch.setattr(
        "scp.archive.archive.syncing_of", lambda _folder, *, durable: asked if durable else Syncing.NEVER
    )
    return asked


def record(work: Work, disk: Path, *, blind: str = "", journal: bool = False) -> Recorder:
    """Do the work once and return what it did to the disk; with a *journal* or without."""
    top = disk / "work"
    top.mkdir()
    root = top / "archive"
    theirs: tuple[Path, ...] = ()
    if work.before:
        with Archive.open(settings_of(root)) as archive:
            for ds in work.before:
                store_into(archive, ds)
    for ds in work.unsynced:
        path = write(ds, root / "theirs" / "a.dcm")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        theirs = (path.parent, path)
    recorder = Recorder(top, root / ".scp" / "index.sqlite", theirs, journal=journal)
    with recorder.recording(blind), Archive.open(settings_of(root)) as archive:
        archive.sweep()
        work.do(archive, recorder)
    return recorder


def complaints(state: State, disk: Path) -> list[str]:
    """Rebuild one state, start an archive on it, and return what is not as it should be."""
    top = disk / "state"
    top.mkdir()
    root = top / "archive"
    try:
        state.rebuild(top, root)
        with Archive.open(settings_of(root, durable=False)) as archive:
            archive.sweep()
            return list(_complaints(state, archive))
    finally:
        shutil.rmtree(top)


def _complaints(state: State, archive: Archive) -> Iterator[str]:
    kept = [path for path in _visible(archive.root) if path.parent.name != "theirs"]
    for path in kept:
        if not any(path.read_bytes().endswith(data_set) for data_set in SENT.values()):
            yield f"{path.name} is no whole instance"
    if list((archive.root / ".scp" / "spool").iterdir()):
        yield "the spool is not empty"
    contents = {content_key(data) for data in _served(archive)}
    told = state.acknowledged
    for key in (told & VERSIONS.keys()) - contents:
        yield f"an acknowledged instance is lost, {VERSIONS[key].SeriesDescription}"
    if "kept" in told and archive.conflicts():
        yield "a settled conflict is back"
    if {KEYS[id(ONE)], KEYS[id(OTHER)]} <= contents and not archive.conflicts():
        yield "a conflict is not listed"
    if "removed" in told and contents:
        yield "a removed instance is back"
    if "rejected" in told and archive.rejected() != {ONE.SOPInstanceUID}:
        yield "a rejection is forgotten"
    for ds in (ONE, SECOND):
        _store_again(archive, ds)
        if KEYS[id(ds)] not in {content_key(data) for data in _served(archive)}:
            yield "what is sent again is not served"
    yield from (f"verify: {damage.detail}" for damage in archive.verify())


def _store_again(archive: Archive, ds: Dataset) -> None:
    origin = Origin(ds.SOPClassUID, ds.SOPInstanceUID, ds.file_meta.TransferSyntaxUID, "SENDER")
    incoming = archive.begin(origin)
    incoming.write(SENT[id(ds)])
    incoming.commit()


def _visible(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and ".scp" not in p.relative_to(root).parts]


def _served(archive: Archive) -> Iterator[bytes]:
    """Yield every data set that a retrieve could send, each from the file that the index names."""
    for ds in (ONE, SECOND):
        for facts in archive.instance_files(ds.SOPInstanceUID):
            yield _data_set(facts.path.read_bytes())


def _data_set(content: bytes) -> bytes:
    return content[144 + int.from_bytes(content[140:144], "little") :]


@pytest.mark.parametrize("name", WORKS)
def test_every_state_that_a_crash_may_leave_is_recovered_from(name: str, disk: Path) -> None:
    assert not _all_complaints(name, record(WORKS[name], disk), disk)


ONE_WAIT = ("store into a new archive", "store a second of a series", "duplicate")
"""What is done otherwise where one wait for the disk is enough."""


@pytest.mark.parametrize("syncing", [Syncing.ONCE], indirect=True, ids=["one wait"])
@pytest.mark.parametrize("name", ONE_WAIT)
def test_with_a_journal_one_wait_for_the_disk_is_enough(name: str, disk: Path, syncing: Syncing) -> None:
    recorder = record(WORKS[name], disk, journal=True)
    assert not _all_complaints(name, recorder, disk)
    assert name == "duplicate" or any(isinstance(one, WrittenOut) for one in recorder.operations)


def _all_complaints(name: str, recorder: Recorder, disk: Path) -> set[str]:
    states = list(recorder.states())
    print(f"{name}: {len(states)} states, {len(recorder.operations)} operations")
    return {f"after {state.crash_after}: {text}" for state in states for text in complaints(state, disk)}


@pytest.mark.parametrize("syncing", [Syncing.ONCE], indirect=True, ids=["one wait"])
@pytest.mark.parametrize(
    ("blind", "journal"),
    [("write_out", True), ("fsync", True), ("", False)],
    ids=["order", "wait", "journal"],
)
def test_control_without_order_wait_or_journal_one_wait_is_not_enough(
    disk: Path, blind: str, journal: bool, syncing: Syncing
) -> None:
    recorder = record(WORKS["store a second of a series"], disk, blind=blind, journal=journal)
    found = (text for state in recorder.states() for text in complaints(state, disk))
    assert any("lost" in text or "no whole instance" in text for text in found)


CONTROLS = {
    "content": ("store a second of a series", ""),
    "folder": ("store a second of a series", "scp.archive.filing.sync"),
    "root": ("store into a new archive", "scp.archive.archive.sync"),
    "known": ("duplicate of what was just copied in", "scp.archive.filing.Filing._make_durable"),
    "rejections": ("reject", "scp.archive.rejections.sync"),
}


@pytest.mark.parametrize("guard", CONTROLS)
def test_control_without_a_sync_something_acknowledged_is_lost(
    guard: str, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, target = CONTROLS[guard]
    if target:
        monkeypatch.setattr(target, lambda *_: None)
    recorder = record(WORKS[name], disk, blind="" if target else "fdatasync")
    monkeypatch.undo()
    assert any("acknowledged" in text or "forgotten" in text for text in _last_complaints(recorder, disk))


def _last_complaints(recorder: Recorder, disk: Path) -> Iterator[str]:
    return (text for state in recorder.last_states() for text in complaints(state, disk))


def test_control_an_acknowledgement_before_the_name_is_a_loss(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder: list[Recorder] = []
    real = Filing._file_together

    def early(filing: Filing, group: list[object]) -> None:
        recorder[0].acknowledge(content_key(sent(SECOND)[1]))
        real(filing, group)  # type: ignore[arg-type]

    top = disk / "work"
    top.mkdir()
    with Archive.open(settings_of(top / "archive")) as archive:
        store_into(archive, ONE)
        recorder.append(Recorder(top, archive.root / ".scp" / "index.sqlite"))
        monkeypatch.setattr(Filing, "_file_together", early)
        with recorder[0].recording():
            store_into(archive, SECOND)
    monkeypatch.undo()
    assert any(complaints(state, disk) for state in recorder[0].states())


PLANE = bytes(range(256))


def test_a_kept_result_that_a_crash_may_have_torn_is_not_served(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot, top = disk / "boot_id", disk / "work"
    monkeypatch.setattr(results, "BOOT_ID", boot)
    boot.write_text("before")
    (top / "results").mkdir(parents=True)
    recorder = Recorder(top, top / "index.sqlite")
    with recorder.recording():
        cache = ResultCache(top / "results", 1000)
        spool = cache.new_spool()
        (spool / "00001.dcm").write_bytes(PLANE)
        cache.keep("2.25.1", spool)
    assert {(), (PLANE,), (PLANE[:128],)} <= _kept_results(recorder, disk), "control: torn and whole"
    boot.write_text("after")
    assert _kept_results(recorder, disk) == {()}


def _kept_results(recorder: Recorder, disk: Path) -> set[tuple[bytes, ...]]:
    """Return what each state that a crash may leave has of the result, as its objects' bytes."""
    found = set()
    for state in recorder.states():
        top = disk / "state"
        state.rebuild(top, top)
        with ResultCache(top / "results", 1000).lease("2.25.1") as files:
            found.add(tuple(path.read_bytes() for path in files))
        shutil.rmtree(top)
    return found
