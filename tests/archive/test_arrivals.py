"""Who waits for an instance is told."""

import threading

from scp.archive import Archive
from tests.archive.conftest import Store, store_into
from tests.builders import image, series


def test_a_request_that_waits_is_woken_when_the_last_one_is_stored(archive: Archive) -> None:
    datasets = series(3)
    with archive.arrivals.waiting([ds.SOPInstanceUID for ds in datasets]) as waiting:
        sender = threading.Thread(target=lambda: [store_into(archive, ds) for ds in datasets])
        sender.start()
        assert waiting.wait(30.0)
        sender.join()
        assert set(waiting.arrived) == {ds.SOPInstanceUID for ds in datasets}


def test_what_was_there_already_arrives_too_when_it_is_sent_again(archive: Archive, store: Store) -> None:
    store(image())
    with archive.arrivals.waiting([image().SOPInstanceUID]) as waiting:
        store(image())
        assert waiting.wait(0.0)


def test_what_nobody_asked_for_is_no_arrival(archive: Archive, store: Store) -> None:
    with archive.arrivals.waiting(["1.2.3"]) as waiting:
        store(image())
        assert waiting.arrived == {}
        assert not waiting.wait(0.0)


def test_two_requests_share_one_arrival(archive: Archive, store: Store) -> None:
    uids = [image().SOPInstanceUID]
    with archive.arrivals.waiting(uids) as one, archive.arrivals.waiting(uids) as other:
        store(image())
        assert one.wait(0.0)
        assert other.wait(0.0)
