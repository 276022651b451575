"""R22: two nodes on one tree and one PostgreSQL index, one of which dies in the middle."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scp import config
from scp.archive import Archive
from scp.archive.filing import Filing
from scp.part10 import file_ref
from tests.archive.conftest import sent, store_into
from tests.builders import image, uid, write
from tests.reliability.nodes import Served, in_threads

pytestmark = [pytest.mark.foreign, pytest.mark.kill]

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install mpr-scp[postgres]")


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL's server is not installed: this test runs one")
    return found[-1].parent


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run a server of its own and return its URL; it refuses to run as root, so another runs it."""
    binaries, folder = _binaries(), Path(tempfile.mkdtemp())
    user = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
    os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*words: str) -> None:
        runs_as = {"user": user.pw_uid, "group": user.pw_gid} if os.getuid() == 0 else {}
        subprocess.run(
            [binaries / words[0], *words[1:]], check=True, cwd=folder, stdout=subprocess.DEVNULL, **runs_as
        )

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "mpr", "-A", "trust", "-E", "UTF8", "--no-sync")
    run(
        "pg_ctl",
        "-D",
        data,
        "-w",
        "-l",
        f"{folder}/log",
        "-o",
        f"-p {port} -k {folder} -h 127.0.0.1",
        "start",
    )
    yield f"postgresql+psycopg://mpr@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)


def settings_of(root: Path, url: str) -> config.Archive:
    return config.Archive(root=root, minimum_free=0, database=url, batch="batch")


def test_an_archive_works_on_postgresql_as_on_sqlite(tmp_path: Path, url: str) -> None:
    with Archive.open(settings_of(tmp_path / "archive", url)) as archive:
        archive.reindex()
        assert [store_into(archive, image(k)).outcome for k in (0, 1, 0)] == ["stored", "stored", "duplicate"]
        assert store_into(archive, image(0, SeriesDescription="Ärztin\0'")).outcome == "conflict"
        archive.reject("1.2.3", ["1.5"])
        archive.reindex()
        assert len(archive.instance_files(image(1).SOPInstanceUID)) == 1
        assert set(archive.conflicts()) == {image(0).SOPInstanceUID}
        assert archive.rejected() == {"1.5"}
        assert list(archive.verify()) == []


def first_images(round_: int, part: int) -> list[image]:  # type: ignore[valid-type]
    """Return images of one new patient, all of one series."""
    return [
        image(
            k,
            PatientID=f"P-{round_}",
            StudyInstanceUID=uid("study", round_),
            SeriesInstanceUID=uid("series", round_),
            SOPInstanceUID=uid("instance", round_, part, k),
        )
        for k in range(4)
    ]


def store_all(archive: Archive, datasets: list[image], told: list[str]) -> None:  # type: ignore[valid-type]
    for ds in datasets:
        store_into(archive, ds)
        told.append(ds.SOPInstanceUID)


def homes_of(archive: Archive, round_: int) -> set[Path]:
    return {facts.path.parent for facts in archive.series_files("", uid("series", round_))}


@pytest.mark.parametrize("rounds", [20, pytest.param(300, marks=pytest.mark.long)])
def test_two_archives_that_receive_a_patient_s_first_images_at_once_agree_on_a_home(
    tmp_path: Path, url: str, rounds: int
) -> None:
    settings = settings_of(tmp_path / "archive", url)
    with Archive.open(settings) as one, Archive.open(settings) as other:
        one.reindex()
        for round_ in range(rounds):
            told: list[str] = []
            in_threads(
                partial(store_all, one, first_images(round_, 0), told),
                partial(store_all, other, first_images(round_, 1), told),
            )
            assert len(told) == 8
            assert len(homes_of(one, round_)) == 1
            assert len(other.series_files("", uid("series", round_))) == 8


@pytest.mark.wire
def test_a_node_that_dies_leaves_the_other_serving_all_that_was_acknowledged(
    tmp_path: Path, url: str
) -> None:
    root = tmp_path / "archive"
    text = f'[node]\nport = 0\n[archive]\nroot = "{root}"\ndatabase = "{url}"\nminimum_free = "0 KiB"\n'
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    told: dict[str, bytes] = {}
    with Archive.open(settings_of(root, url)) as archive:
        archive.reindex()  # the tests share the server

    def send(served: Served, part: int, count: int) -> None:
        datasets = [ds for round_ in range(100, 100 + count) for ds in first_images(round_, part)]
        refs = (file_ref(write(ds, tmp_path / f"{part}-{n}.dcm")) for n, ds in enumerate(datasets))
        with contextlib.suppress(Exception):
            for n, outcome in enumerate(served.client.sent(refs)):
                if outcome.status == 0x0000:
                    told[outcome.ref.sop_instance_uid] = sent(datasets[n])[1]
                if part == 0 and n == 20:
                    served.kill()

    with Served(folders[0], text) as one, Served(folders[1], text) as other:
        in_threads(partial(send, one, 0, 15), partial(send, other, 1, 15))
        other.client.echo()
    assert len(told) > 60
    with Archive.open(settings_of(root, url)) as archive:
        for name, data_set in told.items():
            (facts,) = archive.instance_files(name)
            assert facts.path.read_bytes().endswith(data_set)
        assert list(archive.verify()) == []


def test_control_without_taking_turns_they_do_not_agree(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.archive.index.TAKE_TURN", {})
    settings = settings_of(tmp_path / "archive", url)
    failures = []

    def store(archive: Archive, round_: int, part: int) -> None:
        try:
            store_all(archive, first_images(round_, part), [])
        except Exception as error:
            failures.append(type(error).__name__)

    with Archive.open(settings) as one, Archive.open(settings) as other:
        retried: list[object] = []
        real = Filing._file_group
        monkeypatch.setattr(
            Filing, "_file_group", lambda filing, group: (retried.append(group), real(filing, group))[1]
        )
        for filed, round_ in enumerate(range(500, 530), start=1):
            in_threads(partial(store, one, round_, 0), partial(store, other, round_, 1))
            if failures or len(homes_of(one, round_)) != 1 or len(retried) > filed * 8:
                return
    pytest.fail("thirty patients were filed as if the archives had taken turns")
