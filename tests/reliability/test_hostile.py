"""R10 and R21: hostile identifiers through every door, and patient data that must not leave the archive."""

import logging
import re
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from scp.archive import Archive
from scp.errors import BadRequest, MprScpError, PeerFailed
from scp.model import FileRef, Origin
from scp.node import Node
from scp.part10 import file_ref
from scp.services.identifier import decoded
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write, write_series
from tests.reliability.nodes import Client, Served, copied_in, planes_of, whole_node

FIELDS = {  # what can reach a path, a query, a log or a page
    "PatientID": 0x00100020,
    "PatientName": 0x00100010,
    "IssuerOfPatientID": 0x00100021,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "SOPInstanceUID": 0x00080018,
    "SOPClassUID": 0x00080016,
    "StudyDate": 0x00080020,
    "StudyDescription": 0x00081030,
    "SeriesDescription": 0x0008103E,
    "SeriesNumber": 0x00200011,
    "Modality": 0x00080060,
    "BodyPartExamined": 0x00180015,
    "AccessionNumber": 0x00080050,
    "InstanceNumber": 0x00200013,
    "SpecificCharacterSet": 0x00080005,
    "ImagePositionPatient": 0x00200032,
}

HOSTILE = (
    b"..", b"../../etc/passwd", b"/etc/passwd", b"\0", b"a\0b", b"\n", b"x\r\nInjected: yes", b"A" * 1000,
    b"CON", b"NUL.dcm", b"COM1", b"\x1b[2J\x1b]0;x\x07", b"\x1b$B\x30\x42\x1b(B", b"\xff\xfe\x80", b"%",
    b"*", b"?", b"'; DROP TABLE instance; --", b'" OR 1=1', b"<script>alert(1)</script>", b"{date}", b"{0}",
    b"%s%n", b"~", b"-rf", b".scp", b".", b"\\\\server\\share", b"ISO 2022 IR 87\\ISO_IR 192", b"1e999",
    b"nan", b"-1", b"9" * 400, b"\xed\xa0\x80", "\u202egnp.exe".encode(), "\ufffd\uf8ff".encode(), b"",
)  # fmt: skip

hostile = st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=70))
fields = st.dictionaries(st.sampled_from(sorted(FIELDS)), hostile, min_size=1, max_size=4)


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def instance_of(values: dict[str, bytes]) -> str:
    """Return the SOP Instance UID that goes with these values: theirs, or one of a thousand."""
    theirs = values.get("SOPInstanceUID")
    return uid("hostile", crc32(repr(values).encode()) % 1000) if theirs is None else theirs.decode("latin-1")


def encoded(values: dict[str, bytes]) -> bytes:
    """Return the data set of an image, implicit little endian, with these bytes as they are."""
    base = image(0)
    elements = {FIELDS[keyword]: value + b"\0" * (len(value) % 2) for keyword, value in values.items()}
    for tag, text in {
        0x00080016: str(base.SOPClassUID),
        0x00080018: instance_of(values),
        0x0020000D: str(base.StudyInstanceUID),
        0x0020000E: str(base.SeriesInstanceUID),
    }.items():
        elements.setdefault(tag, text.encode() + b"\0" * (len(text) % 2))
    parts = []
    for tag, value in sorted(elements.items()):
        parts += [(tag >> 16).to_bytes(2, "little"), (tag & 0xFFFF).to_bytes(2, "little")]
        parts += [len(value).to_bytes(4, "little"), value]
    return b"".join(parts)


def outside(root: Path) -> list[Path]:
    """Return what lies beside the archive."""
    return [path for path in root.parent.iterdir() if path not in (root, root.parent / "in")]


def illegible(root: Path) -> list[str]:
    """Return the paths in the archive that a shell, a browser or a person could misread."""
    plain = re.compile(r"[A-Za-z0-9^._-]+")
    paths = (path for path in root.rglob("*") if ".scp" not in path.relative_to(root).parts)
    return [str(p) for p in paths if not plain.fullmatch(p.name) or p.name.startswith(("-", "."))]


@pytest.fixture
def node(disk: Path) -> Iterator[Node]:
    (disk / "in").mkdir()
    with whole_node(disk / "archive", archive={"batch": "{calling_ae}"}) as running:
        write_series(series(3), disk / "in" / "good")
        assert Client(running.address[1]).store(*(disk / "in" / "good").iterdir()) == [0x0000] * 3
        yield running


def through_the_archive(archive: Archive, folder: Path, values: dict[str, bytes]) -> None:
    """Store, scan, import and ask with hostile values, without the network."""
    data_set = encoded(values)
    origin = Origin(
        values.get("SOPClassUID", str(image().SOPClassUID).encode()).decode("latin-1"),
        instance_of(values),
        ImplicitVRLittleEndian,
        values.get("PatientID", b"CALLER").decode("latin-1"),
    )
    with suppress(MprScpError):
        incoming = archive.begin(origin)
        incoming.write(data_set)
        incoming.commit()
    bare = folder / "bare.dcm"
    bare.write_bytes(data_set)
    archive.import_paths([bare], batch=values.get("StudyDescription", b"b").decode("latin-1"))
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    for keyword in values.keys() - {"SpecificCharacterSet"}:
        identifier.add_new(FIELDS[keyword], "LO", values[keyword].decode("latin-1"))
    for model in ("STUDY", "PATIENT"):
        with suppress(MprScpError):
            list(archive.find(model, identifier))
        with suppress(MprScpError):
            archive.refs(model, identifier)


def hold(node: Node, count: int) -> None:
    archive = node._archive
    folder = archive.root.parent / "in"

    @examples(count)
    @given(fields)
    def every_door(values: dict[str, bytes]) -> None:
        through_the_archive(archive, folder, values)

    every_door()
    archive.reindex()
    archive.sweep()
    assert outside(archive.root) == []
    assert illegible(archive.root) == []
    assert list(archive.verify()) == []
    for k in range(3):
        assert archive.instance_files(image(k).SOPInstanceUID)


@pytest.mark.parametrize(
    "count", [440, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_hostile_values_stay_values(node: Node, count: int) -> None:
    hold(node, count)


def test_control_a_folder_named_by_unchecked_text_is_noticed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.archive.layout._readable", lambda text, **_: text.replace("\0", "")[:40])
    with pytest.raises((AssertionError, OSError)):
        hold(node, 40)


@pytest.mark.wire
def test_hostile_values_over_associations(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(node.address[1])
    scratch = node._archive.root.parent / "in" / "sent"
    caplog.set_level(logging.DEBUG)

    @examples(60)
    @given(fields)
    def every_service(values: dict[str, bytes]) -> None:
        data_set = encoded(values)
        scratch.write_bytes(data_set)
        named = instance_of(values)[:64]
        ref = FileRef(scratch, str(image().SOPClassUID), named, ImplicitVRLittleEndian, 0, len(data_set))
        with suppress(PeerFailed, UnicodeError, ValueError):
            list(client.sent([ref]))
        keys = {keyword: value.decode("latin-1") for keyword, value in values.items()}
        for ask in (client.find, client.get_status):
            with suppress(PeerFailed, UnicodeError, ValueError, TypeError, AssertionError):
                ask(**{"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID} | keys)

    every_service()
    client.echo()
    assert outside(node._archive.root) == []
    assert illegible(node._archive.root) == []
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("scp")]
    assert lines
    assert [line for line in lines if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", line)] == []


def test_a_wild_card_is_only_one_where_the_standard_has_it(node: Node) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    for pattern, count in (("P-1", 1), ("P-?", 1), ("P*", 1), ("P-%", 0), ("%", 0), ("P__", 0), ("P-[1]", 0)):
        identifier.PatientID = pattern
        assert len(list(node._archive.find("STUDY", identifier))) == count, pattern


def _key(group: int, element: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", group, element, len(value) if length is None else length) + value


@pytest.mark.parametrize(
    "key",
    [
        _key(0x0028, 0x0010, b"abc"),
        _key(0x0018, 0x9087, b"abc"),
        _key(0x0040, 0x0100, (b"\xfe\xff\x00\xe0" + b"\xff" * 4 + _key(0x40, 0x100, b"", 0xFFFFFFFF)) * 2000),
    ],
    ids=["a number of three bytes", "a float of three bytes", "nested without end"],
)
def test_a_key_that_cannot_be_decoded_is_the_requestor_s_fault(key: bytes) -> None:
    with pytest.raises(BadRequest):
        decoded(BytesIO(_key(0x0008, 0x0052, b"SERIES") + key), ImplicitVRLittleEndian)


# R21

CANARY = "ZQCANARY"
CANARIES = {
    "PatientName": f"{CANARY}NAME^JANE",
    "PatientID": f"{CANARY}ID",
    "PatientBirthDate": "19010203",
    "AccessionNumber": f"{CANARY}ACC",
    "StudyDescription": f"{CANARY}STUDY",
    "SeriesDescription": f"{CANARY}SERIES",
    "ReferringPhysicianName": f"{CANARY}^DOCTOR",
    "InstitutionName": f"{CANARY}PLACE",
}

SPOOLED = (".scp/spool", ".scp/results", ".scp/conflicts", ".scp/rejections")


def every_kind_of_trouble(served: Served, folder: Path) -> None:
    """Do with a patient's images all that is logged: what works, what is refused, what fails."""
    client = served.client
    good = write_series(series(14, rows=32, columns=32, **CANARIES), folder / "good")
    assert client.store(*good, *good) == [0x0000] * 28
    other = image(2, rows=32, columns=32, **CANARIES | {"SeriesDescription": f"{CANARY}OTHER"})
    client.store(write(other, folder / "conflict.dcm"))
    for name, changed in {
        "odd": {"PatientBirthDate": f"{CANARY}!", "KVP": f"{CANARY}", "SeriesNumber": None},
        "no series": {"SeriesInstanceUID": ""},
        "no class": {"SOPClassUID": "1.2.3.4"},
    }.items():
        ds = image(40, rows=32, columns=32, **CANARIES)
        for keyword, value in changed.items():
            tag = ds[keyword].tag
            del ds[tag]
            if value is not None:
                ds.add_new(tag, "LO", value)
        ref = file_ref(write(ds, folder / f"{name}.dcm"))
        wrong = FileRef(ref.path, str(other.SOPClassUID), ref.sop_instance_uid, *_rest(ref))
        list(client.sent([wrong]))
    cut = good[0].read_bytes()
    (folder / "cut.dcm").write_bytes(cut[: len(cut) // 2])
    client.store(folder / "cut.dcm")
    keys = planes_of(SERIES_UID)
    for more in (
        {},
        {"PatientName": f"{CANARY}WRONG"},
        {"PatientID": f"{CANARY}WRONG"},
        {"ReformattingOperationInitialViewDirection": CANARY},
        {"ReformattingInterval": -1.0},
    ):
        client.get_status(**keys | more)
        with suppress(PeerFailed):
            client.find(**keys | more)
    with suppress(PeerFailed):
        client.find(level="STUDY", PatientName=f"{CANARY}*")
    client.get_status(SeriesInstanceUID=CANARY)
    client.get_status(StudyInstanceUID=STUDY_UID, SeriesInstanceUID=SERIES_UID)
    _break_a_stored_file(served)
    client.get_status(**planes_of(uid("broken"), "SAGITTAL"))


def _rest(ref: FileRef) -> tuple[str, int, int]:
    return ref.transfer_syntax_uid, ref.offset, ref.length


def _break_a_stored_file(served: Served) -> None:
    """Let a file of a series hold no pixels that decode, in a folder that is named like the patient."""
    broken = series(12, rows=32, columns=32, SeriesInstanceUID=uid("broken"), **CANARIES)
    for k, ds in enumerate(broken):
        ds.SOPInstanceUID = uid("broken", k)
        ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    paths = copied_in(broken, served.root / f"{CANARY}^JANE")
    paths[3].write_bytes(paths[3].read_bytes()[:-60] + b"\x55" * 60)


@pytest.mark.wire
def test_patient_data_is_in_no_log_and_no_temporary_name_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tempfile.TemporaryDirectory()  # a short name: the fork server's socket lies there
    monkeypatch.setenv("TMPDIR", temporary.name)
    with temporary, Served(tmp_path) as served:
        every_kind_of_trouble(served, tmp_path / "out")
        names = [p.name for folder in SPOOLED for p in (served.root / folder).rglob("*")]
        contents = [p.read_bytes() for p in Path(temporary.name).rglob("*") if p.is_file()]
    log = served.log.read_text()
    assert len(log.splitlines()) > 30
    leaks = [line for line in log.splitlines() if CANARY in line or "19010203" in line]
    assert leaks == []
    assert [name for name in names if CANARY in name] == []
    assert [content for content in contents if CANARY.encode() in content] == []


@pytest.mark.wire
def test_control_a_log_that_says_what_an_error_says_is_noticed(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError(CANARY)

    path = write(image(7), node._archive.root.parent / "in" / "a.dcm")
    monkeypatch.setattr("scp.archive.intake.SpooledInstance.commit", fail)
    assert Client(node.address[1]).store(path) == [0xC0FF]
    assert caplog.records and CANARY not in caplog.text
    monkeypatch.setattr("scp.services.status.traceback.format_tb", lambda _: [CANARY])
    Client(node.address[1]).store(path)
    assert CANARY in caplog.text
