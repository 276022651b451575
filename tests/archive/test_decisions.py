"""What a person decides about conflicts and removals, and whose files that touches."""

from pathlib import Path

import pytest

from scp.archive import Archive
from scp.errors import Code, Refused
from tests.archive.conftest import Store
from tests.archive.test_scan import settled
from tests.builders import image, write

UID = str(image().SOPInstanceUID)


def test_keeping_one_content_settles_the_conflict_and_loses_nothing(archive: Archive, store: Store) -> None:
    kept, other = store(image()).path, store(image(SeriesDescription="Other")).path
    content = other.read_bytes()
    (aside,) = archive.keep(UID, kept)
    assert aside.read_bytes() == content
    assert archive.conflicts() == {}
    assert [facts.path for facts in archive.instance_files(UID)] == [kept]
    archive.reindex()
    assert archive.conflicts() == {}


def test_a_removed_instance_is_gone_for_good(archive: Archive, store: Store) -> None:
    paths = {store(image()).path, store(image(SeriesDescription="Other")).path}
    assert set(archive.remove(UID)) == paths
    assert not any(path.exists() for path in paths)
    archive.reindex()
    assert archive.instance_files(UID) == ()
    assert archive.conflicts() == {}


def test_people_s_files_are_neither_moved_nor_deleted(archive: Archive, store: Store) -> None:
    own = store(image()).path
    theirs = write(image(SeriesDescription="Other"), archive.root / "theirs" / "a.dcm")
    settled(theirs)
    archive.reindex()
    for decide in (lambda: archive.keep(UID, own), lambda: archive.remove(UID)):
        with pytest.raises(Refused) as caught:
            decide()
        assert caught.value.code == Code.DUPLICATE_CONFLICT
        assert str(theirs) in caught.value.sentence
    assert own.exists()
    assert theirs.exists()
    assert archive.keep(UID, theirs) != ()
    assert [facts.path for facts in archive.instance_files(UID)] == [theirs]


@pytest.mark.parametrize("uid", ["1.2.3", UID])
def test_what_is_not_there_cannot_be_decided_about(archive: Archive, uid: str) -> None:
    for decide in (lambda: archive.keep(uid, Path("/nothing")), lambda: archive.remove(uid)):
        with pytest.raises(Refused) as caught:
            decide()
        assert caught.value.code == Code.UNKNOWN_IMAGE
