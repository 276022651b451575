"""R12, R13, R14: the guards against peers that answer badly, destinations that die, who leaves are needed.

What the other ends do is scripted where completion and the services are tested; here the same tests must fail
once a guard is taken out.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scp.completion import peer_archives, peers
from scp.errors import PeerFailed
from scp.model import FileRef, Incoming, KnownInstance, Origin
from scp.net.fastpath import Assembly
from scp.net.lazy_sender import LazySender
from scp.net.requestor import _PickySink
from scp.net.sending import Sent
from tests.completion import test_peer_transport as completing
from tests.completion.test_peer_transport import Trial, trial
from tests.net.nodes import RunningNode, start_node
from tests.services import test_leaving as leaving
from tests.services import test_retrieve as retrieving

__all__ = ["start_node", "trial"]  # fixtures

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings(r"ignore:Exception in thread Thread-\d+ \(run_reactor\)"),
]


def test_control_a_node_that_keeps_whatever_a_peer_sends_is_noticed(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(picky: _PickySink, origin: Origin) -> Incoming:
        return picky._sink.begin(origin)

    monkeypatch.setattr(_PickySink, "begin", begin)
    with pytest.raises(AssertionError):
        completing.test_instances_that_were_not_asked_for_are_not_even_stored(trial)


def test_control_a_node_that_believes_every_answer_is_noticed(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(held: Any, _current: object, peer: Any) -> peer_archives.Answer:
        known = {one.sop_instance_uid: one.instance_number for one in held}
        return peer_archives.Answer(tuple(KnownInstance(*one, peer.name) for one in known.items()))

    monkeypatch.setattr(peers, "check", believe)
    with pytest.raises(AssertionError):
        completing.test_a_peer_that_knows_the_patient_otherwise_is_reported_and_nothing_is_retrieved(trial)


def test_control_a_sender_that_takes_silence_for_consent_is_noticed(
    start_node: Callable[..., RunningNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LazySender.send

    def send(sender: LazySender, ref: FileRef) -> Sent:
        with contextlib.suppress(PeerFailed):
            real(sender, ref)
        return Sent(ref, 0x0000)

    monkeypatch.setattr(LazySender, "send", send)
    for number, noticed in enumerate(
        (
            retrieving.test_a_destination_that_dies_in_the_middle_fails_the_rest,
            retrieving.test_all_failed_is_a_failure,
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(AssertionError):
            noticed(start_node, folder)


def test_control_a_node_that_keeps_what_never_became_whole_is_noticed(
    start_node: Callable[..., RunningNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Assembly, "abandon", lambda _: None)
    with pytest.raises(AssertionError):
        leaving.test_an_instance_that_is_not_whole_leaves_nothing(start_node, "half a data set", "close")
