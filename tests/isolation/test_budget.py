"""Memory is given out first come, first served, and comes back."""

import threading

import pytest

from scp.errors import Cancelled, Refused
from scp.isolation.budget import MemoryBudget


def test_what_can_never_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(Refused) as caught, MemoryBudget(100 << 20).reserve(200 << 20, lambda: False):
        pass
    assert caught.value.error_comment == "out-of-resources: 200 of 100 MiB"
    assert "planes" not in str(caught.value), "whatever the work is"


def test_what_does_not_fit_now_waits_until_somebody_is_done() -> None:
    budget, entered, order = MemoryBudget(10), threading.Event(), []

    def second() -> None:
        entered.set()
        with budget.reserve(6, lambda: False):
            order.append("second")

    with budget.reserve(6, lambda: False):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert entered.wait(10)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_a_waiting_request_that_is_cancelled_leaves_the_queue() -> None:
    budget = MemoryBudget(10)
    with budget.reserve(10, lambda: False), pytest.raises(Cancelled), budget.reserve(5, lambda: True):
        pass
    with budget.reserve(10, lambda: False):
        pass
