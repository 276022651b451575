"""R3: every call towards disk and index fails in turn, and the archive says so, loses nothing and goes on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from scp.archive import Archive, intake
from scp.archive.filing import Filing
from scp.errors import IndexUnavailable, StoreRefused
from scp.node import Node
from scp.services.status import Outcome
from tests.archive.conftest import sent, store_into
from tests.builders import SERIES_UID, image, series, uid
from tests.reliability.faults import ERRORS, Faults
from tests.reliability.nodes import Client, copied_in, planes_of, whole_node
from tests.reliability.test_crash_states import settings_of


def patient(number: object, k: int = 0) -> Dataset:
    """Return an image of a patient of its own, so that a store makes every folder."""
    return image(
        k,
        PatientID=f"P-{number}",
        StudyInstanceUID=uid("study", number),
        SeriesInstanceUID=uid("series", number),
        SOPInstanceUID=uid("instance", number, k),
    )


def whole_files(root: Path) -> dict[str, bytes]:
    """Return what people see in the archive, by name."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if ".scp" not in path.relative_to(root).parts}


def served(archive: Archive, ds: Dataset) -> list[bytes]:
    """Return the data sets that a retrieve of an instance would send."""
    size = len(sent(ds)[1])
    return [facts.path.read_bytes()[-size:] for facts in archive.instance_files(ds.SOPInstanceUID)]


def calls_of_a_store(archive: Archive) -> int:
    store_into(archive, patient("the first makes the batch's folder"))
    faults = Faults(archive.root)
    with faults.armed():
        store_into(archive, patient("counted"))
    return len(faults.calls)


def complaints(archive: Archive, faults: Faults) -> Iterator[str]:
    """Store while a call fails, and yield what is not as it should be, then and afterwards."""
    first, second = patient(faults.fails_at), patient(faults.fails_at, 1)
    before = whole_files(archive.root)
    told = False
    with faults.armed():
        try:
            told = store_into(archive, first).outcome == "stored"
        except (StoreRefused, IndexUnavailable):
            pass
        except Exception as error:
            yield f"{type(error).__name__} came out: {error}"
    name = f"call {faults.fails_at} ({faults.calls[faults.fails_at - 1]})"
    new = [content for file, content in whole_files(archive.root).items() if file not in before]
    if told and served(archive, first) != [sent(first)[1]]:
        yield f"{name}: acknowledged and not there"
    if not told and new and not faults.for_ever:
        yield f"{name}: refused and there all the same"
    if any(not content.endswith(sent(first)[1]) for content in new):
        yield f"{name}: half an instance"
    for ds in (first, second):
        store_into(archive, ds)
        if served(archive, ds) != [sent(ds)[1]]:
            yield f"{name}: what is stored afterwards is not served"
    if len(whole_files(archive.root)) != len(before) + 2:
        yield f"{name}: {sorted(set(whole_files(archive.root)) - set(before))}"


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("number", ERRORS)
def test_whichever_call_of_a_store_fails(disk: Path, number: int, for_ever: bool) -> None:
    settings = settings_of(disk / "archive")
    with Archive.open(settings) as archive:
        count = calls_of_a_store(archive)
        found = [
            text
            for fails_at in range(1, count + 1)
            for text in complaints(archive, Faults(archive.root, number, fails_at, for_ever))
        ]
    assert count > 20
    assert found == []
    with Archive.open(settings) as archive:
        archive.sweep()
        assert list((archive.root / ".scp" / "spool").iterdir()) == []
        assert list(archive.verify()) == []


def test_control_a_store_that_never_undoes_is_noticed(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Filing, "_undo", lambda *_: None)
    assert _any_complaint(disk)


def test_control_an_error_that_is_swallowed_is_noticed(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = intake.SpooledInstance._append

    def append(incoming: intake.SpooledInstance, parts: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            real(incoming, parts)

    monkeypatch.setattr(intake.SpooledInstance, "_append", append)
    assert _any_complaint(disk)


def _any_complaint(disk: Path) -> bool:
    with Archive.open(settings_of(disk / "archive")) as archive:
        return any(
            list(complaints(archive, Faults(archive.root, ERRORS[0], fails_at)))
            for fails_at in range(1, calls_of_a_store(archive) + 1)
        )


def _outcome_of_planes(node: Node) -> tuple[int, str, bytes]:
    """Return final status, Error Comment and everything that came of a reconstruction by C-GET."""
    client = Client(node.address[1])
    status, comment = client.get_status(**planes_of(SERIES_UID))
    return status, comment, b"".join(data for _, data in sorted(client.received.data_sets.items()))


def _sample(count: int, wanted: int) -> list[int]:
    return sorted({1 + round(at * (count - 1) / (wanted - 1)) for at in range(wanted)})


def complaints_of_planes(root: Path, sampled: int) -> list[str]:
    """Reconstruct while one call after the other fails; return what is not as it should be."""
    copied_in(series(12), root / "theirs")
    with whole_node(root, reconstruction={"cache": 0}) as node:
        node._archive.look_again(30)
        expected = _outcome_of_planes(node)
        assert expected[0] == 0x0000
        counted = Faults(root)
        with counted.armed():
            _outcome_of_planes(node)
        found = []
        for turn, fails_at in enumerate(_sample(len(counted.calls), min(sampled, len(counted.calls)))):
            faults = Faults(root, ERRORS[turn % len(ERRORS)], fails_at, for_ever=turn % 2 == 1)
            with faults.armed():
                outcome = _outcome_of_planes(node)
            if outcome != expected and (outcome[0] < 0xA000 or not outcome[1]):
                found.append(f"call {fails_at} ({counted.calls[fails_at - 1]}): {outcome[:2]}")
            if turn % 6 == 5 and _outcome_of_planes(node) != expected:
                found.append(f"call {fails_at}: the next request is not answered as ever")
    return found


@pytest.mark.wire
@pytest.mark.parametrize(
    "sampled", [25, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_whichever_call_of_a_reconstruction_fails(disk: Path, sampled: int) -> None:
    assert complaints_of_planes(disk / "archive", sampled) == []
    left = {path.name.partition("-")[0] for path in (disk / "archive" / ".scp" / "results").iterdir()}
    assert left <= {"spool"}, "what could not be removed goes at the next start, by its name"


@pytest.mark.wire
def test_control_a_reconstruction_that_says_done_whatever_failed_is_noticed(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.services.retrieve.failed", lambda _: Outcome(0x0000))
    assert complaints_of_planes(disk / "archive", 8)
