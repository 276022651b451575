"""The commands for an archive: what a person sees, beside what the archive does."""

import json
import os
import re
from pathlib import Path

import pytest

from scp.archive import Archive
from scp.cli import main
from scp.config import load
from tests.builders import image, series, write


@pytest.fixture
def run(capsys, tmp_path: Path):
    """Return a function that runs a command on an archive in *tmp_path*; tells exit code, stdout, stderr."""
    config = tmp_path / "node.toml"
    config.write_text('[archive]\nminimum_free = "0"\n')

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--config", str(config)])
        return (ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    folder = tmp_path / "messy"
    for ds in series(3):
        write(ds, folder / "deep" / f"{ds.InstanceNumber}")
    (folder / "autorun.inf").write_text("no image")
    return folder


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "archive").rglob("*.dcm") if ".scp" not in path.parts]


def test_import_takes_what_is_dicom_and_names_what_it_leaves(run, messy, tmp_path):
    code, out, _ = run("import", messy, "--batch", "cd")
    assert code == 0
    assert out.splitlines()[0].endswith(f"; the archive is {tmp_path / 'archive'}")
    assert "stored 3" in out
    assert f"{messy / 'autorun.inf'}: not-dicom" in out
    assert {path.relative_to(tmp_path / "archive").parts[0] for path in stored(tmp_path)} == {"cd"}
    assert len(stored(tmp_path)) == 3


def test_import_fails_where_a_person_must_decide_and_names_the_file_and_what_to_do(run, tmp_path):
    run("import", write(image(), tmp_path / "one.dcm"))
    other = write(image(PatientSex="F"), tmp_path / "other.dcm")
    code, out, err = run("import", other)
    assert (code, len(stored(tmp_path))) == (1, 2)  # both are kept
    assert err.startswith(f"mpr-scp: 1 file taken in conflict with what is here, {other} first; ")
    assert err.count("\n") == 1 and "mpr-scp conflicts keep" in err
    assert f"{other}: conflict: " in out and "mpr-scp conflicts list" in out


def test_dicom_that_cannot_be_taken_fails_and_what_is_no_dicom_does_not(run, messy):
    write(image(SeriesInstanceUID=""), messy / "illegal.dcm")
    code, out, err = run("import", messy)
    assert (code, "stored 3" in out) == (1, True)
    assert err == f"mpr-scp: 1 DICOM file could not be taken, {messy}/illegal.dcm first\n"


def test_a_root_that_cannot_be_made_is_named_by_its_key_with_what_to_do(run, messy, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for root in ("file", "file/deeper", "/proc/archive"):
        (tmp_path / "node.toml").write_text(f'[archive]\nroot = "{root}"\n')
        code, _, err = run("import", messy)
        assert code == 1
        assert err.startswith(f"mpr-scp: archive.root: {tmp_path / root} cannot be used: ")
        assert "; name a folder in which this user may " in err


def test_a_disk_that_is_too_full_says_how_full_and_what_to_do(run, messy, tmp_path):
    (tmp_path / "node.toml").write_text('[archive]\nminimum_free = "900 TiB"\n')
    code, _, err = run("import", messy)
    assert code == 1
    told = rf"\d+\.\d GiB are free at {tmp_path}/archive, archive.minimum_free asks for 921600.0 GiB; "
    assert re.search(told + "free space, or lower it", err)


def test_import_as_json_counts_by_outcome(run, messy):
    report = json.loads(run("import", messy, "--json")[1])
    assert report["counts"] == {"stored": 3, "not-dicom": 1}
    assert Path(report["archive"]).is_dir()
    assert [Path(row["path"]).name for row in report["left"]] == ["autorun.inf"]


def test_a_whole_archive_verifies(run, messy):
    run("import", messy)
    assert run("verify")[:2] == (0, "3 instances, all as stored\n")


def test_a_changed_pixel_is_named_and_fails(run, messy, tmp_path):
    run("import", messy)
    path = stored(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    code, out, err = run("verify")
    assert code == 1
    assert f"{path}: " in out
    assert "1 instance not as stored" in err


def test_what_was_altered_is_told_until_it_is_accepted(run, messy, tmp_path):
    run("import", messy)
    one, other, _ = stored(tmp_path)
    for path in (one, other):
        path.write_bytes(b"")
    assert run("verify")[0] == run("reindex")[0] + 1 == 1
    code, out, err = run("verify", "--accept", one)
    assert (code, f"accepted: {one}" in out, f"{other}: " in out) == (1, True, True)
    assert "--accept" in err
    assert json.loads(run("verify", "--accept", one.parent, "--json")[1]) == {
        "instances": 1,
        "damaged": [],
        "accepted": [str(other)],
    }
    assert run("verify")[:2] == (0, "1 instance, all as stored\n")


def test_to_accept_what_nobody_doubts_is_told(run, messy, tmp_path):
    run("import", messy)
    code, _, err = run("verify", "--accept", tmp_path / "mistyped")
    assert (code, f"nothing waits to be accepted at {tmp_path / 'mistyped'}" in err) == (1, True)


def test_what_is_gone_is_told_until_it_is_accepted(run, messy, tmp_path):
    run("import", messy)
    gone, kept, _ = stored(tmp_path)
    gone.unlink()
    os.utime(kept, (1e9, 1e9))
    with Archive.open(load(tmp_path / "node.toml").archive) as archive:
        archive.sweep()
    code, out, err = run("verify")
    assert (code, f"{gone}: it is gone" in out, "--accept" in err) == (1, True, True)
    assert run("verify", "--accept", gone)[:2] == (
        0,
        f"2 instances, all as stored\naccepted: {gone}\n",
    )
    assert run("verify")[0] == 0


def test_reindex_finds_what_the_files_say(run, messy, tmp_path):
    run("import", messy)
    for path in stored(tmp_path):
        os.utime(path, (1e9, 1e9))  # a file this young might still be being written
    for path in (tmp_path / "archive" / ".scp").glob("index*"):
        path.unlink()
    code, out, _ = run("reindex")
    assert (code, out) == (0, "3 files read\n")
    assert run("verify")[1] == "3 instances, all as stored\n"


@pytest.fixture
def conflict(run, tmp_path) -> tuple[str, list[Path]]:
    """Import one instance in two versions; return its UID and the files that hold it."""
    run("import", write(image(), tmp_path / "in" / "one.dcm"))
    run("import", write(image(PatientSex="F"), tmp_path / "in" / "other.dcm"))
    return str(image().SOPInstanceUID), stored(tmp_path)


def test_conflicts_are_listed_with_their_files(run, conflict):
    uid, files = conflict
    first, *rest = run("conflicts", "list")[1].splitlines()
    assert (first, rest[-1]) == (f"{uid}: header", "1 conflict")
    assert {line.strip() for line in rest[:-1]} == set(map(str, files))


def test_keeping_one_version_settles_a_conflict(run, conflict, tmp_path):
    uid, (kept, _other) = conflict
    code, out, _ = run("conflicts", "keep", uid, kept)
    assert (code, out.splitlines()[0]) == (0, f"kept {kept}")
    assert run("conflicts", "list")[1] == "0 conflicts\n"
    assert stored(tmp_path) == [kept]


def test_keeping_a_file_that_does_not_hold_the_instance_names_those_that_do(run, conflict, messy):
    uid, files = conflict
    code, _, err = run("conflicts", "keep", uid, messy / "autorun.inf")
    assert code == 1
    assert all(str(path) in err for path in files)


def test_what_was_kept_and_deleted_is_told_to_programs_too(run, conflict):
    uid, (kept, other) = conflict
    told = json.loads(run("conflicts", "keep", uid, kept, "--json")[1])
    assert (told["kept"], [Path(path).name.partition("_")[2] for path in told["set_aside"]]) == (
        str(kept),
        [other.name],
    )
    assert json.loads(run("remove", uid, "--json")[1]) == {"deleted": [str(kept)]}


def test_remove_deletes_every_file_of_an_instance(run, conflict, tmp_path):
    uid, files = conflict
    code, out, _ = run("remove", uid)
    assert (code, set(out.splitlines())) == (0, {f"deleted {path}" for path in files})
    assert stored(tmp_path) == []


def test_removing_what_is_not_there_is_refused(run, messy):
    run("import", messy)
    code, _, err = run("remove", "1.2.3")
    assert code == 1
    assert "1.2.3" in err


@pytest.mark.parametrize("words", [("verify",), ("reindex",), ("conflicts", "list"), ("remove", "1.2.3")])
def test_where_there_is_no_archive_none_is_made_and_found_in_order(run, tmp_path, words):
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert f"there is no archive at {tmp_path / 'archive'}" in err and "--config" in err
    assert not (tmp_path / "archive").exists()


def test_explaining_a_folder_makes_no_archive_where_there_is_none(run, tmp_path):
    for ds in series(12):
        write(ds, tmp_path / "series" / f"{ds.InstanceNumber:02d}.dcm")
    code, out, _ = run("explain", tmp_path / "series")
    assert (code, "12 of 12" in out) == (0, True)
    assert not (tmp_path / "archive").exists()
