"""What is kept of listed results: as long as it holds, and no longer."""

from sqlalchemy import func, select

from scp.archive import Archive, VirtualSeries
from scp.archive.index import verdict
from tests.archive.conftest import Store
from tests.builders import image

STUDY, SERIES = str(image().StudyInstanceUID), str(image().SeriesInstanceUID)
SOURCE = VirtualSeries(STUDY, SERIES, "COR")


def test_a_promise_holds_until_files_or_rules_change(archive: Archive) -> None:
    promises = archive.promises
    promises.keep(SOURCE, "files", "rules", {"SeriesInstanceUID": "1.2.3", "NumberOfFrames": (1, 2)})
    assert promises.kept(SOURCE, "files", "rules") == {"SeriesInstanceUID": "1.2.3", "NumberOfFrames": (1, 2)}
    assert promises.kept(SOURCE, "other files", "rules") is None
    assert promises.kept(SOURCE, "files", "other rules") is None
    assert promises.kept(VirtualSeries(STUDY, SERIES, "SAG"), "files", "rules") is None


def test_what_is_outdated_is_replaced_whatever_outdated_it(archive: Archive) -> None:
    for files, rules in (("files", "rules"), ("other files", "rules"), ("other files", "other rules")):
        archive.promises.keep(SOURCE, files, rules, {})
    with archive._index.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(verdict)) == 1


def test_a_fingerprint_tells_that_an_instance_of_the_series_was_rejected(
    archive: Archive, store: Store
) -> None:
    store(image())
    before = archive.promises.fingerprint(STUDY, SERIES)
    archive.reject("1.2.9", ["1.2.8"])
    assert archive.promises.fingerprint(STUDY, SERIES) == before, "nothing of this series"
    archive.reject("1.2.9", [str(image().SOPInstanceUID)])
    assert archive.promises.fingerprint(STUDY, SERIES) != before
