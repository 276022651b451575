"""What the node remembers of its peers between requests."""

import gc
import threading
import weakref

import pytest

from scp.completion.peer_states import MEMORY_S, MEMORY_SIZE, Flights, Memory, PeerStates
from tests.completion.world import peer

PACS = peer("PACS", parallel=2)


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(clock: Clock) -> PeerStates:
    return PeerStates(clock)


def test_a_peer_that_fails_again_and_again_rests_longer_and_longer_up_to_five_minutes(
    clock: Clock, states: PeerStates
) -> None:
    rests = []
    for _ in range(8):
        states.failed(PACS, "refused")
        rests.append(states.rest_s(PACS))
        clock.now += rests[-1]
        assert states.rest_s(PACS) == 0
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300]


def test_failures_of_requests_that_ran_side_by_side_count_once(states: PeerStates) -> None:
    states.failed(PACS, "refused")
    states.failed(PACS, "refused")
    assert states.of(PACS).failures == 1


def test_one_success_ends_the_rest_and_forgets_the_failures(clock: Clock, states: PeerStates) -> None:
    states.failed(PACS, "refused")
    states.succeeded(PACS)
    assert states.rest_s(PACS) == 0
    states.failed(PACS, "refused")
    assert states.rest_s(PACS) == 5


def test_the_log_says_that_a_peer_rests_and_that_it_is_asked_again(
    clock: Clock, states: PeerStates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with states.turn(PACS, 0):
        states.failed(PACS, "no connection to 127.0.0.1:104")
    states.failed(PACS, "no connection to 127.0.0.1:104")
    clock.now += 5
    with states.turn(PACS, 0):
        states.succeeded(PACS)
    with states.turn(PACS, 0):
        pass
    assert caplog.messages == [
        'peer-rests peer=PACS failures=1 rests_s=5.000 reason="no connection to 127.0.0.1:104"',
        "peer-asked-again peer=PACS failures=1",
    ]


def test_what_a_peer_says_in_its_own_words_stays_out_of_the_log(
    states: PeerStates, caplog: pytest.LogCaptureFixture
) -> None:
    states.failed(PACS, "C-FIND ended with status 0xC001, no such patient: Roe^Jane")
    assert states.of(PACS).last_failure.endswith("Roe^Jane")
    (said,) = caplog.messages
    assert said.endswith('reason="C-FIND ended with status 0xC001"')


def test_a_peer_gets_no_more_requests_at_once_than_it_takes(states: PeerStates) -> None:
    with states.turn(PACS, 0) as first, states.turn(PACS, 0) as second, states.turn(PACS, 0.01) as third:
        assert (first, second, third) == (True, True, False)
    with states.turn(PACS, 0) as again:
        assert again


def test_a_waiting_request_gets_the_turn_that_comes_free(states: PeerStates) -> None:
    got = threading.Event()

    def wait() -> None:
        with states.turn(PACS, 10) as free:
            if free:
                got.set()

    waiting = threading.Thread(target=wait)
    with states.turn(PACS, 0), states.turn(PACS, 0):
        waiting.start()
        assert not got.is_set()
    assert got.wait(10)
    waiting.join(10)


def test_an_answer_is_remembered_for_a_minute(clock: Clock) -> None:
    memory: Memory[str, int] = Memory(clock, int)
    memory.put("a", 1)
    clock.now += MEMORY_S - 0.1
    assert memory.get("a", 0) == 1
    clock.now += 0.2
    assert memory.get("a", 0) == 0


class Answer(list[str]):
    """A list of which one can tell whether anybody still holds it."""


def test_answers_of_more_than_a_minute_ago_take_no_memory(clock: Clock) -> None:
    memory: Memory[str, Answer | None] = Memory(clock, lambda answer: len(answer or ()))
    old = Answer(["1.2.3"])
    held = weakref.ref(old)
    memory.put("old", old)
    del old
    clock.now += MEMORY_S
    memory.put("new", Answer(["1.2.4"]))
    gc.collect()
    assert held() is None
    assert memory.get("new", None) == ["1.2.4"]


def test_the_oldest_answers_make_room_for_the_instances_of_newer_ones(clock: Clock) -> None:
    memory: Memory[str, range] = Memory(clock, len)
    third = range(MEMORY_SIZE // 3)
    for name in ("first", "second", "third"):
        memory.put(name, third)
    memory.put("second", third)  # answered again: its instances count once
    memory.put("fourth", third)
    kept = [name for name in ("first", "second", "third", "fourth") if memory.get(name, range(0))]
    assert kept == ["second", "third", "fourth"]
    memory.put("fifth", range(MEMORY_SIZE))
    assert memory.get("fifth", range(0)) and not memory.get("fourth", range(0))


def test_answers_of_nothing_are_bounded_too(clock: Clock) -> None:
    memory: Memory[int, range | None] = Memory(clock, lambda held: len(held or ()))
    for number in range(MEMORY_SIZE + 1):
        memory.put(number, range(0))
    assert memory.get(0, None) is None and memory.get(1, None) is not None


def test_an_instance_is_retrieved_by_one_request_and_the_others_are_told() -> None:
    flights, landed = Flights(), []

    mine = flights.claim(["1", "2"], 10, landed.append)
    theirs = flights.claim(["2", "3"], 10, landed.append)

    assert (tuple(mine.mine), mine.others) == (("1", "2"), ())
    assert (tuple(theirs.mine), theirs.others) == (("3",), ("2",))
    flights.land(mine)
    assert landed == ["2"]
    assert tuple(flights.claim(["1", "2", "3"], 10, landed.append).mine) == ("1", "2")


def test_who_has_given_up_a_claim_cannot_end_that_of_the_next() -> None:
    flights, landed = Flights(), []
    given_up = flights.claim(["1"], 1, print)
    flights.land(given_up)
    flights.claim(["1"], 1, print)
    flights.claim(["1"], 1, landed.append)
    flights.land(given_up)
    assert landed == []


def test_no_more_is_claimed_than_is_retrieved() -> None:
    flights = Flights()
    assert tuple(flights.claim(["1", "2", "3"], 2, print).mine) == ("1", "2")
    assert tuple(flights.claim(["3"], 2, print).mine) == ("3",)


def test_who_asks_again_and_again_is_told_once() -> None:
    flights, landed = Flights(), []
    claim = flights.claim(["1"], 1, print)
    for _ in range(3):
        flights.claim(["1"], 1, landed.append)
    flights.land(claim)
    assert landed == ["1"]
