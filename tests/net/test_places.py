"""Who makes room."""

from scp.net.places import Holder, who_makes_room

GOOD = Holder(1, "10.0.0.1", configured=True, idle_s=50)
BUSY = Holder(2, "10.0.0.9", configured=True, idle_s=0)
MANY = [Holder(10 + n, "10.0.0.66", configured=True, idle_s=5 + n) for n in range(3)]
STRANGER = Holder(30, "192.0.2.1", configured=False, idle_s=2)


def test_the_longest_idle_of_the_address_that_holds_most_makes_room() -> None:
    assert who_makes_room([GOOD, BUSY, *MANY], newcomer_configured=True) == MANY[-1]


def test_nobody_at_work_or_between_two_messages_makes_room() -> None:
    pausing = Holder(3, "10.0.0.9", configured=False, idle_s=0.2)
    assert who_makes_room([BUSY, pausing], newcomer_configured=True) is None


def test_a_configured_peer_never_makes_room_for_an_unknown_one() -> None:
    assert who_makes_room([GOOD, *MANY], newcomer_configured=False) is None
    assert who_makes_room([GOOD, *MANY, STRANGER], newcomer_configured=False) == STRANGER
