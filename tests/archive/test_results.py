"""Finished results are kept under a budget, whole or not at all."""

import os
from pathlib import Path

import pytest

from scp.archive import ResultCache, results


def made(folder: Path, size: int = 100) -> Path:
    """Return a folder with a finished result of two objects."""
    folder.mkdir()
    for name in ("00001.dcm", "00002.dcm"):
        (folder / name).write_bytes(b"x" * (size // 2))
    return folder


def names(cache: ResultCache, uid: str) -> list[str]:
    with cache.lease(uid) as files:
        return [path.name for path in files]


def kept(tmp_path: Path, uid: str) -> Path:
    """Return the folder of a result that is kept."""
    (place,) = (tmp_path / "results").glob(f"{uid}_*")
    return place


def cache_of(tmp_path: Path, budget_bytes: int) -> ResultCache:
    (tmp_path / "results").mkdir()
    return ResultCache(tmp_path / "results", budget_bytes)


def test_what_is_kept_is_found_in_the_order_of_its_objects(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 1000)
    cache.keep("2.25.1", made(tmp_path / "spool"))
    assert names(cache, "2.25.1") == ["00001.dcm", "00002.dcm"]
    assert names(cache, "2.25.2") == []
    assert not (tmp_path / "spool").exists()


def test_the_longest_unused_result_makes_room(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 250)
    for number in (1, 2):
        cache.keep(f"2.25.{number}", made(tmp_path / f"spool{number}"))
        os.utime(kept(tmp_path, f"2.25.{number}"), (number, number))
    names(cache, "2.25.1")  # used again
    cache.keep("2.25.3", made(tmp_path / "spool3"))
    assert [bool(names(cache, f"2.25.{n}")) for n in (1, 2, 3)] == [True, False, True]


def test_a_result_that_is_being_sent_is_never_removed(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 150)
    cache.keep("2.25.1", made(tmp_path / "spool1"))
    with cache.lease("2.25.1") as files:
        cache.keep("2.25.2", made(tmp_path / "spool2"))
        assert all(path.is_file() for path in files)


def test_nothing_over_the_budget_is_kept(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 0)
    cache.keep("2.25.1", made(tmp_path / "spool"))
    assert names(cache, "2.25.1") == []


def test_only_a_uid_names_a_result(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 1000)
    cache.keep("../elsewhere", made(tmp_path / "spool"))
    assert names(cache, "../elsewhere") == [] and (tmp_path / "spool").exists()


def test_what_a_dead_process_left_is_removed_and_what_is_being_made_stays(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, 1000)
    abandoned, current = cache.new_spool(), cache.new_spool()
    os.utime(abandoned, (0, 0))
    cache.remove_abandoned()
    assert (abandoned.exists(), current.exists()) == (False, True)


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that tells which boot this is, as Linux does."""
    path = tmp_path / "boot_id"
    path.write_text("3f0b8a52-7a0e-4f0a-9c53-5b6f1d2f7a10\n")
    monkeypatch.setattr(results, "BOOT_ID", path)
    return path


def reboot(boot: Path) -> None:
    boot.write_text("c1d0a7ce-0f7c-4a58-8f1e-3a4f8a9d6e21\n")


def test_a_result_outlives_its_process_but_not_its_boot(tmp_path: Path, boot: Path) -> None:
    cache_of(tmp_path, 1000).keep("2.25.1", made(tmp_path / "spool"))
    assert names(ResultCache(tmp_path / "results", 1000), "2.25.1") == ["00001.dcm", "00002.dcm"]
    (kept(tmp_path, "2.25.1") / "00002.dcm").write_bytes(b"")  # as a power cut may leave it
    reboot(boot)
    again = ResultCache(tmp_path / "results", 1000)
    assert names(again, "2.25.1") == []
    again.keep("2.25.1", made(tmp_path / "anew"))
    with again.lease("2.25.1") as files:
        assert [path.stat().st_size for path in files] == [50, 50]


def test_results_of_another_boot_use_up_the_budget_until_they_are_removed(tmp_path: Path, boot: Path) -> None:
    cache_of(tmp_path, 150).keep("2.25.1", made(tmp_path / "spool1"))
    torn = kept(tmp_path, "2.25.1")
    reboot(boot)
    ResultCache(tmp_path / "results", 150).keep("2.25.2", made(tmp_path / "spool2"))
    assert not torn.exists()


def test_at_the_start_results_of_another_boot_go_when_they_were_not_used_for_long(
    tmp_path: Path, boot: Path
) -> None:
    before = cache_of(tmp_path, 1000)
    for number in (1, 2):
        before.keep(f"2.25.{number}", made(tmp_path / f"spool{number}"))
    used, unused = kept(tmp_path, "2.25.1"), kept(tmp_path, "2.25.2")
    os.utime(unused, (0, 0))
    before.remove_abandoned()
    assert used.exists() and unused.exists()
    reboot(boot)
    ResultCache(tmp_path / "results", 1000).remove_abandoned()
    assert used.exists() and not unused.exists()


def test_where_the_boot_cannot_be_told_a_result_is_its_process_own(tmp_path: Path, boot: Path) -> None:
    boot.unlink()
    cache = cache_of(tmp_path, 1000)
    cache.keep("2.25.1", made(tmp_path / "spool"))
    assert names(cache, "2.25.1") and not names(ResultCache(tmp_path / "results", 1000), "2.25.1")
