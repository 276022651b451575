"""An archive of its own for each test, and data sets as a sender would send them."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from scp import config
from scp.archive import Archive
from scp.archive.durability import Syncing
from scp.model import Origin, Stored
from scp.part10 import open_data_set

Store = Callable[..., Stored]


def sent(ds: Dataset) -> tuple[Origin, bytes]:
    """Return what a C-STORE request says of *ds*, and the bytes of its data set."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    raw = buffer.getvalue()
    start = open_data_set(lambda offset, size: raw[offset : offset + size], len(raw)).offset
    origin = Origin(ds.SOPClassUID, ds.SOPInstanceUID, ds.file_meta.TransferSyntaxUID, "SENDER", "127.0.0.1")
    return origin, raw[start:]


def store_into(archive: Archive, ds: Dataset, fragment_bytes: int = 1000) -> Stored:
    """Store *ds* in fragments, as the network delivers it."""
    origin, data_set = sent(ds)
    incoming = archive.begin(origin)
    for at in range(0, len(data_set), fragment_bytes):
        incoming.write(data_set[at : at + fragment_bytes])
    return incoming.commit()


@pytest.fixture(autouse=True)
def syncing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Syncing:
    """Sync as on a file system of which nothing is known, unless a test asks for another way."""
    asked: Syncing = getattr(request, "param", Syncing.TWICE)

    def syncing_of(_folder: Path, *, durable: bool) -> Syncing:
        return asked if durable else Syncing.NEVER

    monkeypatch.setattr("scp.archive.archive.syncing_of", syncing_of)
    return asked


@pytest.fixture
def settings(tmp_path: Path) -> config.Archive:
    return config.Archive(root=tmp_path / "archive", minimum_free=0)


@pytest.fixture
def archive(settings: config.Archive) -> Iterator[Archive]:
    with Archive.open(settings) as opened:
        yield opened


@pytest.fixture
def store(archive: Archive) -> Store:
    """Return a function that stores a data set into the test's archive."""
    return lambda ds, **options: store_into(archive, ds, **options)


@pytest.fixture
def visible(archive: Archive) -> Callable[[], list[Path]]:
    """Return a function that lists every file that a person sees in the archive."""

    def listing() -> list[Path]:
        files = (path for path in archive.root.rglob("*") if path.is_file())
        return sorted(path for path in files if ".scp" not in path.relative_to(archive.root).parts)

    return listing


@pytest.fixture
def spool(archive: Archive) -> Path:
    return archive.root / ".scp" / "spool"
