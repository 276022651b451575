"""Archives that a benchmark made are what a node would have stored."""

import shutil
from pathlib import Path

import pytest

from scp.archive import Archive, sweep
from scp.archive.scan import Scan
from scp.cli.bench import grown
from scp.config import Archive as Settings
from scp.part10 import read_facts

STUDIES = 2


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    for module in (grown, sweep):
        monkeypatch.setattr(module, "SETTLED_NS", 0)
    monkeypatch.setattr(grown, "EACH", 3)
    root = tmp_path / "archive"
    grown.grow(root, STUDIES * grown.EACH)
    with Archive.open(Settings(root=root, durable=False, minimum_free=0)) as opened:
        yield opened


def files_of(archive: Archive) -> list[Path]:
    return sorted(archive.root.glob("*/*/*/*/*"))


def test_the_index_says_what_the_files_say(archive: Archive) -> None:
    paths = files_of(archive)
    assert len(paths) == archive.instance_count() == STUDIES * grown.EACH
    for folder in {path.parent for path in paths}:
        for indexed in archive.read_folder(folder):
            (read,) = read_facts(indexed.path)
            assert (indexed.header, indexed.stamp) == (read.header, read.stamp)
            assert indexed.pixel_data.offset == read.pixel_data.offset
    assert list(archive.verify()) == []


def test_a_sweep_finds_no_folder_changed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(Scan, "refresh", lambda _scan, path, *_: looked.append(path))
    assert archive.sweep() == 0
    assert looked == []


def test_what_is_stored_again_is_known(archive: Archive) -> None:
    paths = files_of(archive)
    assert archive.import_paths(paths).counts == {"duplicate": len(paths)}
    assert files_of(archive) == paths


def test_files_lie_where_the_node_would_store_them(archive: Archive, tmp_path: Path) -> None:
    paths = files_of(archive)
    copies = [Path(shutil.copy(path, tmp_path)) for path in paths]
    for path in paths:
        archive.remove(read_facts(path)[0].sop_instance_uid)
    assert files_of(archive) == []
    assert archive.import_paths(copies).counts == {"stored": len(paths)}
    assert files_of(archive) == paths
