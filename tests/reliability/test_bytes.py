"""R20: what went in comes out byte for byte, for all real data, through every service; R18: clocks."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scp.errors import MprScpError, NotDicom
from scp.model import FileRef
from scp.part10 import file_ref
from tests import real_series
from tests.archive.conftest import store_into
from tests.builders import image, series, write
from tests.reliability.nodes import Client, caller, copied_in, identifier, planes_of, whole_node
from tests.reliability.test_crash_states import settings_of

Case = Callable[[str], Path]

LARGE = "ct_chest_cmb_crc_01068"
CASES = [pytest.param(name, marks=pytest.mark.long) if name == LARGE else name for name in real_series.NAMES]

Key = tuple[str, str]
"""SOP Instance UID and transfer syntax."""


def instances(folder: Path) -> Iterator[FileRef]:
    """Yield the instances of a folder that have an identity, the newest of each."""
    found: dict[str, FileRef] = {}
    for path in sorted(folder.rglob("*")):
        with suppress(NotDicom, OSError):
            ref = file_ref(path)
            if ref.sop_class_uid and ref.sop_instance_uid and ref.transfer_syntax_uid:
                found[ref.sop_instance_uid] = ref
    yield from found.values()


def data_set(ref: FileRef) -> bytes:
    return ref.path.read_bytes()[ref.offset : ref.offset + ref.length]


@pytest.mark.data
@pytest.mark.wire
@pytest.mark.parametrize("name", CASES)
def test_bytes_in_are_bytes_out(case: Case, disk: Path, name: str) -> None:
    sent = {ref.sop_instance_uid: ref for ref in instances(case(name))}
    with whole_node(disk / "there", caller("MPRSCP")) as there:
        address = {"host": "127.0.0.1", "port": there.address[1], "ae_title": "MPRSCP"}
        destination = caller(**address, destination=True)
        with whole_node(disk / "here", destination) as here:
            client = Client(here.address[1])
            taken = {one.ref.sop_instance_uid for one in client.sent(sent.values()) if one.status == 0x0000}
            assert taken or name == "oddities_dicom2nifti"
            here._archive.reindex()
            studies = {here._archive.instance_files(uid)[0].header.text("StudyInstanceUID") for uid in taken}
            for study in studies:
                refs = here._archive.refs("STUDY", identifier(level="STUDY", StudyInstanceUID=study))
                for ref in refs:
                    assert data_set(ref) == data_set(sent[ref.sop_instance_uid])
                assert client.move("MPRSCP", level="STUDY", StudyInstanceUID=study).status == 0x0000
            _compare_what_get_brings(client, here, [sent[uid] for uid in taken])
        for uid in taken:
            (facts,) = {facts.path: facts for facts in there._archive.instance_files(uid)}.values()
            assert data_set(file_ref(facts.path)) == data_set(sent[uid])
    print(f"{name}: {len(sent)} instances, {len(taken)} taken")


def _compare_what_get_brings(client: Client, here: object, refs: list[FileRef]) -> None:
    """Retrieve one instance of each class and syntax by C-GET."""
    kinds = {(ref.sop_class_uid, ref.transfer_syntax_uid): ref for ref in refs}
    for (sop_class, syntax), ref in kinds.items():
        facts = here._archive.instance_files(ref.sop_instance_uid)[0]  # type: ignore[attr-defined]
        keys = {k: facts.header.text(k) for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
        client.requestor.get(
            client._node,
            identifier(level="IMAGE", **keys),
            client.received,
            sop_classes=[sop_class],
            transfer_syntaxes=[syntax],
        )
        assert client.received.data_sets[ref.sop_instance_uid, syntax] == data_set(ref)


@contextmanager
def jumping_clock(by_s: float) -> Iterator[None]:
    """Let the wall clock go *by_s* wrong, and back, with every other look at it."""
    looks, real, real_ns = [0], time.time, time.time_ns

    def jump() -> float:
        looks[0] += 1
        return by_s if looks[0] % 2 else 0.0

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "time", lambda: real() + jump())
        patched.setattr(time, "time_ns", lambda: real_ns() + int(jump() * 1e9))
        yield


@pytest.mark.wire
@pytest.mark.parametrize("by_s", [-86400.0 * 400, 86400.0 * 400])
def test_a_clock_that_jumps_ends_no_deadline_and_loses_nothing(disk: Path, by_s: float) -> None:
    copied_in(series(12), disk / "archive" / "theirs")
    with whole_node(disk / "archive") as node, jumping_clock(by_s):
        client = Client(node.address[1])
        node._archive.look_again(30)
        paths = [write(image(k, SeriesInstanceUID="1.2.3"), disk / "in" / f"{k}.dcm") for k in range(12, 16)]
        assert client.store(*paths) == [0x0000] * 4
        assert client.get_status(**planes_of(image().SeriesInstanceUID))[0] == 0x0000
        assert len(client.find(level="SERIES", StudyInstanceUID=image().StudyInstanceUID)) == 2


@pytest.mark.parametrize("off_s", [86400.0 * 30, 10.0])
def test_a_file_from_the_future_is_found(disk: Path, off_s: float) -> None:
    from scp.archive import Archive

    path = write(image(), disk / "archive" / "theirs" / "a.dcm")
    then = time.time() + off_s
    os.utime(path, (then, then))
    with Archive.open(settings_of(disk / "archive")) as archive:
        archive.sweep()
        assert archive.instance_files(image().SOPInstanceUID)


def test_control_a_file_that_is_still_young_is_waited_for(disk: Path) -> None:
    from scp.archive import Archive

    write(image(), disk / "archive" / "theirs" / "a.dcm")
    with Archive.open(settings_of(disk / "archive")) as archive:
        archive.sweep()
        assert archive.instance_files(image().SOPInstanceUID) == ()


def test_control_a_byte_that_changes_on_the_way_is_noticed(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scp.archive import Archive, intake

    real = intake.os.writev
    monkeypatch.setattr(
        intake.os, "writev", lambda fd, parts: real(fd, [bytes(b"".join(parts)[:-1]) + b"\x7f"])
    )
    with Archive.open(settings_of(disk / "archive")) as archive, suppress(MprScpError):
        path = store_into(archive, image(), fragment_bytes=1 << 20).path
        assert not path.read_bytes().endswith(bytes(image().PixelData))
        assert list(archive.verify())
