"""Finished results are kept under a budget, whole or not at all."""

import os
from pathlib import Path

from scp.archive import ResultCache


def made(folder: Path, size: int = 100) -> Path:
    """Return a folder with a finished result of two objects."""
    folder.mkdir()
    for name in ("00001.dcm", "00002.dcm"):
        (folder / name).write_bytes(b"x" * (size // 2))
    return folder


def names(cache: ResultCache, uid: str) -> list[str]:
    with cache.lease(uid) as files:
        return [path.name for path in files]


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
        os.utime(tmp_path / "results" / f"2.25.{number}", (number, number))
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
