"""R9, R11: images that claim what they are not, and compressed frames that break decoders."""

import functools
import multiprocessing
import random
import re
import signal
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from scp.archive import Archive
from scp.archive.intake import SpooledInstance
from scp.errors import Refused, StoreRefused, WorkerFailed
from scp.isolation import local
from scp.model import Origin, Stored
from tests.builders import image, series, uid, write
from tests.reliability.decoding import decode, decode_all
from tests.reliability.nodes import Served, copied_in, planes_of
from tests.reliability.test_crash_states import settings_of

GIB = 1 << 30
BOUND = 256 << 20
"""Bytes that one instance may take of memory, whatever it claims."""


def element(tag: int, vr: bytes, length: int, value: bytes = b"") -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    return head + (struct.pack("<HI", 0, length) if vr in (b"OW", b"OB", b"SQ", b"UN", b"UT") else
                   struct.pack("<H", length)) + value  # fmt: skip


def text(tag: int, vr: bytes, value: str) -> bytes:
    raw = value.encode() + b"\0" * (len(value) % 2)
    return element(tag, vr, len(raw), raw)


def identity() -> bytes:
    """Return the elements that an instance must have to be taken."""
    ds = image()
    return b"".join(
        (
            text(0x00080016, b"UI", ds.SOPClassUID),
            text(0x00080018, b"UI", uid("bomb")),
            text(0x0020000D, b"UI", ds.StudyInstanceUID),
            text(0x0020000E, b"UI", ds.SeriesInstanceUID),
        )
    )


NESTED = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + element(0x00401234, b"SQ", 0xFFFFFFFF)

BOMBS = {
    "an element of 4 GiB": identity() + element(0x00204000, b"UT", 0xFFFFFFF0, b"x" * 100),
    "100,000 sequences nested": identity() + element(0x00400555, b"SQ", 0xFFFFFFFF) + NESTED * 100_000,
    "100,000 items": identity()
    + element(0x00400555, b"SQ", 0xFFFFFFFF)
    + b"\xfe\xff\x00\xe0\0\0\0\0" * 100_000
    + b"\xfe\xff\xdd\xe0\0\0\0\0",
    "pixels of 4 GiB": identity() + element(0x7FE00010, b"OW", 0xFFFFFFF0, b"x" * 100),
    "a million elements": identity()
    + b"".join(element(0x00210000 | n % 65536, b"LO", 0) for n in range(10**6)),
}


def offered(archive: Archive, data_set: bytes, syntax: str) -> str:
    """Store and return what became of it."""
    origin = Origin(str(image().SOPClassUID), uid("bomb"), syntax)
    try:
        incoming = archive.begin(origin)
        for at in range(0, len(data_set), 1 << 17):
            incoming.write(data_set[at : at + (1 << 17)])
        return incoming.commit().outcome
    except StoreRefused as error:
        return type(error).__name__


class Peak:
    """The most memory that the block had resident beyond what was there when it began; Linux only."""

    def __enter__(self) -> "Peak":
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
        self._before = self._bytes()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.grown = self._bytes() - self._before

    def _bytes(self) -> int:
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(peak) << 10


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_that_claims_too_much_is_taken_or_refused_in_bounded_memory(disk: Path, name: str) -> None:
    with Peak() as peak, Archive.open(settings_of(disk / "archive")) as archive:
        assert offered(archive, BOMBS[name], ExplicitVRLittleEndian) in ("stored", "Unparseable")
        (disk / "archive" / "theirs.dcm").write_bytes(bytes(128) + b"DICM" + BOMBS[name])
        archive.reindex()
    assert peak.grown < BOUND


def test_control_a_node_that_decodes_what_it_is_sent_is_noticed(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SpooledInstance._append

    def append(incoming: SpooledInstance, parts: list[bytes]) -> None:
        dcmread(BytesIO(b"".join(parts)), force=True)
        real(incoming, parts)

    monkeypatch.setattr(SpooledInstance, "_append", append)
    with pytest.raises(RecursionError):
        test_a_header_that_claims_too_much_is_taken_or_refused_in_bounded_memory(
            disk, "100,000 sequences nested"
        )


@functools.cache
def deflated_bomb() -> bytes:
    """Return a deflated data set that is twice the bound when it is inflated."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflater.compress(identity() + element(0x7FE00010, b"OW", 2 * BOUND))
    packed += deflater.flush(zlib.Z_FULL_FLUSH)
    block = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return packed + (2 * BOUND >> 20) * block + deflater.flush()


def test_a_deflated_bomb_is_stored_as_it_came_and_inflates_no_memory(disk: Path) -> None:
    assert len(deflated_bomb()) < 4 << 20
    assert _memory_for_the_bomb(disk) < BOUND


def test_control_a_node_that_inflates_what_it_is_sent_is_noticed(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SpooledInstance.commit

    def commit(incoming: SpooledInstance) -> Stored:
        zlib.decompressobj(-15).decompress(deflated_bomb(), BOUND + BOUND // 4)
        return real(incoming)

    monkeypatch.setattr(SpooledInstance, "commit", commit)
    assert _memory_for_the_bomb(disk) > BOUND


def _memory_for_the_bomb(disk: Path) -> int:
    bomb = deflated_bomb()
    with Peak() as peak, Archive.open(settings_of(disk / "archive")) as archive:
        assert offered(archive, bomb, DeflatedExplicitVRLittleEndian) in ("stored", "Unparseable")
    print(f"{peak.grown >> 20} MiB")
    return peak.grown


@pytest.mark.wire
def test_an_image_of_65535_by_65535_is_refused_and_the_node_lives(tmp_path: Path) -> None:
    lies = series(12, Rows=65535, Columns=65535)
    for ds in lies:
        ds.file_meta.TransferSyntaxUID = RLELossless
        ds.PixelData = encapsulate([bytes(64) + b"\x00\x01" * 20])
        ds["PixelData"].is_undefined_length = True
    copied_in(lies, tmp_path / "archive" / "theirs")
    with Served(tmp_path) as served:
        status, comment = served.client.get_status(**planes_of(image().SeriesInstanceUID))
        assert (status, comment.partition(":")[0]) in ((0xA702, "out-of-resources"), (0xA900, "bad-request"))
        served.client.echo()


# R11


def stacked(syntax: str) -> list[Dataset]:
    """Return a small compressed series."""
    datasets = series(10, rows=32, columns=32)
    for k, ds in enumerate(datasets):
        ds.compress(UID(syntax), generate_instance_uid=False)
        ds.SOPInstanceUID = uid(syntax, k)
    return datasets


def broken(ds: Dataset, chance: random.Random) -> Dataset:
    """Return *ds* with its one frame changed, cut or lengthened at random."""
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    changed = bytearray(frame)
    kind = chance.choice(("bytes", "bytes", "cut", "longer", "head"))
    if kind == "cut":
        del changed[chance.randrange(2, len(changed)) :]
    elif kind == "longer":
        changed[chance.randrange(len(changed)) : 0] = chance.randbytes(200)
    else:
        end = 64 if kind == "head" else len(changed)
        for _ in range(chance.randint(1, 12)):
            changed[chance.randrange(min(end, len(changed)))] = chance.randrange(256)
    other = Dataset()
    other.update(ds)
    other.file_meta = ds.file_meta
    del other.PixelData  # else the element of ds would change, and the next one be broken twice
    other.PixelData = encapsulate([bytes(changed)])
    other["PixelData"].is_undefined_length = True
    return other


TRIALS = {RLELossless: 85, JPEG2000Lossless: 85, JPEGLSLossless: 30}
"""Two hundred; JPEG-LS least, since its decoders loop for seconds where the others crash."""

NAMED_AT_LEAST = 0.1
"""The share of broken frames that a decoder must notice; the bytes of many are pixels of another value."""

MANY = [pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("syntax", "trials"),
    [
        *(pytest.param(syntax, trials, id=syntax.name) for syntax, trials in TRIALS.items()),
        *(pytest.param(syntax, 1700, id=f"{syntax.name} 1700", marks=MANY) for syntax in TRIALS),
    ],
)
def test_a_corrupted_frame_is_an_error_of_its_own_and_the_next_image_decodes(
    tmp_path: Path, syntax: UID, trials: int
) -> None:
    chance, whole = random.Random(syntax), stacked(syntax)
    good = write(whole[0], tmp_path / "good.dcm")
    paths = [
        write(broken(chance.choice(whole), chance), tmp_path / f"{number}.dcm") for number in range(trials)
    ]
    in_turn = [path for bad in paths for path in (bad, good)]
    outcomes: list[bytes] = []
    local.start("scp.preload")
    assert decoded_elsewhere([good], deadline_s=60) == [b"1"]
    while len(outcomes) < len(in_turn):
        outcomes += decoded_elsewhere(in_turn[len(outcomes) :][:20], deadline_s=2)
    assert all(outcome == b"1" for outcome in outcomes[1::2]), "a whole image no longer decodes"
    named = sum(outcome not in (b"1", DIED) for outcome in outcomes[0::2])
    print(f"{syntax.name}: {trials} trials, {named} named, {outcomes.count(DIED)} decoders died or hung")
    assert named > trials * NAMED_AT_LEAST, "broken images pass for whole ones"


DIED = b"the decoder died, hung or ate its memory"


def decoded_elsewhere(paths: list[Path], deadline_s: float) -> list[bytes]:
    """Decode in one child as far as it lives; whoever it died of is the last."""
    outcomes: list[bytes] = []
    limits = local.Limits(memory_bytes=GIB, deadline_s=deadline_s)
    try:
        outcomes.extend(local.run(decode, paths, limits, lambda: False))
    except (WorkerFailed, Refused):
        outcomes.append(DIED)
    return outcomes


@pytest.mark.wire
def test_a_series_with_a_corrupted_frame_is_refused_with_the_reason_and_the_next_works(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    bad, good = stacked(JPEG2000Lossless), series(12, SeriesInstanceUID=uid("good"))
    for k, ds in enumerate(good):
        ds.SOPInstanceUID = uid("good", k)
    bad[4].PixelData = encapsulate([chance.randbytes(300)])
    bad[4]["PixelData"].is_undefined_length = True
    copied_in(bad, tmp_path / "archive" / "bad")
    copied_in(good, tmp_path / "archive" / "good")
    with Served(tmp_path) as served:
        process_id = served.pid
        status, comment = served.client.get_status(**planes_of(image().SeriesInstanceUID))
        assert status >= 0xA000 and comment.partition(":")[0] in ("cannot-decode", "missing-instances")
        assert served.client.get_status(**planes_of(uid("good")))[0] == 0x0000
        assert served.pid == process_id and not served.workers()


def test_control_without_limits_the_same_frames_kill_whoever_decodes(tmp_path: Path) -> None:
    chance, whole = random.Random(JPEG2000Lossless), stacked(JPEG2000Lossless)
    bad = [write(broken(chance.choice(whole), chance), tmp_path / f"{number}.dcm") for number in range(67)]
    local.start("scp.preload")
    reader = multiprocessing.get_context("forkserver").Process(target=decode_all, args=(bad,))
    reader.start()
    reader.join(60)
    assert reader.exitcode == -signal.SIGABRT
