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


def test_who_looks_in_between_is_told_that_there_is_nothing_yet() -> None:
    go_on = threading.Event()

    def work(_stopped: Callable[[], bool]) -> Iterator[int]:
        go_on.wait(10)
        yield 1

    with Ahead(work) as items:
        with pytest.raises(TimeoutError):
            items.next(0.01)
        go_on.set()
        assert items.next(10) == 1
        with pytest.raises(StopIteration):
            items.next(10)


def test_work_that_is_far_enough_ahead_waits_and_is_closed_by_its_own_thread() -> None:
    made: list[int] = []
    closed_in: list[str] = []
    closed = threading.Event()

    def work(_stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            for number in range(100):
                made.append(number)
                yield number
        finally:
            closed_in.append(threading.current_thread().name)
            closed.set()

    items = Ahead(work, most=2)
    assert items.next(10) == 0
    items.close()
    assert closed.wait(10)
    assert closed_in == ["ahead"]
    assert len(made) <= 5, "one taken, two waiting, one in hand, one more once the first was taken"
