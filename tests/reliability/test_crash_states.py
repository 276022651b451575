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
from scp.archive import Archive
from scp.archive.filing import Filing
from tests.archive.conftest import sent, store_into
from tests.builders import image, write
from tests.reliability.crashes import Recorder, State

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


VERSIONS = {content_key(sent(ds)[1]): ds for ds in (ONE, OTHER, SECOND)}


def record(work: Work, disk: Path, *, blind: str = "") -> Recorder:
    """Do the work once and return what it did to the disk."""
    top = disk / "work"
    top.mkdir()
    root, theirs = top / "archive", ()
    if work.before:
        with Archive.open(settings_of(root)) as archive:
            for ds in work.before:
                store_into(archive, ds)
    for ds in work.unsynced:
        path = write(ds, root / "theirs" / "a.dcm")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        theirs = (path.parent, path)
    recorder = Recorder(top, root / ".scp" / "index.sqlite", theirs)
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
        if not any(path.read_bytes().endswith(sent(ds)[1]) for ds in VERSIONS.values()):
            yield f"{path.name} is no whole instance"
    if list((archive.root / ".scp" / "spool").iterdir()):
        yield "the spool is not empty"
    contents = {content_key(data) for data in _served(archive)}
    told = state.acknowledged
    for key in (told & VERSIONS.keys()) - contents:
        yield f"an acknowledged instance is lost, {VERSIONS[key].SeriesDescription}"
    if "kept" in told and archive.conflicts():
        yield "a settled conflict is back"
    if {content_key(sent(ds)[1]) for ds in (ONE, OTHER)} <= contents and not archive.conflicts():
        yield "a conflict is not listed"
    if "removed" in told and contents:
        yield "a removed instance is back"
    if "rejected" in told and archive.rejected() != {ONE.SOPInstanceUID}:
        yield "a rejection is forgotten"
    for ds in (ONE, SECOND):
        store_into(archive, ds)
        if content_key(sent(ds)[1]) not in {content_key(data) for data in _served(archive)}:
            yield "what is sent again is not served"
    yield from (f"verify: {damage.detail}" for damage in archive.verify())


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
    recorder = record(WORKS[name], disk)
    states = list(recorder.states())
    found = {f"after {state.crash_after}: {text}" for state in states for text in complaints(state, disk)}
    print(f"{name}: {len(states)} states, {len(recorder.operations)} operations")
    assert not found


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
