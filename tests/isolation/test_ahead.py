"""Work runs ahead of its consumer, and ends with it."""

import threading
from collections.abc import Callable, Iterator

import pytest

from scp.errors import DecodingFailed
from scp.isolation.ahead import Ahead


def test_items_come_in_order_while_the_work_goes_on_without_waiting() -> None:
    done = threading.Event()

    def work(_stopped: Callable[[], bool]) -> Iterator[int]:
        yield from range(100)
        done.set()

    with Ahead(work) as items:
        assert done.wait(10), "the work waited for its consumer"
        assert list(items) == list(range(100))


def test_a_failure_reaches_the_consumer_after_what_came_before_it() -> None:
    def work(_stopped: Callable[[], bool]) -> Iterator[int]:
        yield 1
        raise DecodingFailed("slice 7")

    with Ahead(work) as items:
        taken = iter(items)
        assert next(taken) == 1
        with pytest.raises(DecodingFailed, match="slice 7"):
            next(taken)


def test_who_leaves_stops_the_work() -> None:
    closed = threading.Event()

    def work(stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            while not stopped():
                yield 1
        finally:
            closed.set()

    with Ahead(work) as items:
        assert next(iter(items)) == 1
    assert closed.wait(10)
