"""Results are made once, kept under what decides their bytes, and never outlive who wants them.

The series has 12 axial slices of 8 x 10 pixels of 1 mm, 2 mm apart.
"""

import multiprocessing
from collections.abc import Collection, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from scp import pipeline
from scp.archive import Archive, ResultCache
from scp.config import Config
from scp.errors import BadRequest, Cancelled, Code, Refused
from scp.isolation import local
from scp.model import Direction, FileFacts, IsCancelled, Operation, PlaneRequest
from scp.pipeline import Means
from scp.planning import Prospect
from scp.production import MemoryNeed, produce
from tests.builders import series, write, write_series
from tests.folder_means import TRANSVERSE, asked, means_of

MANY_PLANES = PlaneRequest(Direction.TRANSVERSE, interval_mm=0.006)
"""Three thousand and more: a child is busy with them for a while."""


@pytest.fixture(scope="module", autouse=True)
def children() -> None:
    local.start("scp.preload")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(series(12), tmp_path / "tree" / "series")
    return tmp_path / "tree" / "series"


@pytest.fixture
def results(tmp_path: Path) -> ResultCache:
    (tmp_path / "results").mkdir()
    return ResultCache(tmp_path / "results", 1 << 30)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return new_spool(tmp_path)


def new_spool(tmp_path: Path) -> Path:
    folder = tmp_path / f"spool-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    return folder


def never() -> bool:
    return False


def prospect_of(folder: Path, means: Means, planes: PlaneRequest = TRANSVERSE) -> Prospect:
    return pipeline.preview(asked(folder, planes), means, never)


def made(prospect: Prospect, means: Means, spool: Path, cancelled: IsCancelled = never) -> list[bytes]:
    """Return the files of the objects, in their order."""
    return [ref.path.read_bytes() for ref in produce(prospect, means.workshop, spool, cancelled)]


def without_memory(folder: Path, results: ResultCache | None = None) -> Means:
    """Return means under which no child can ever be started."""
    return means_of(folder.parent, kept=results, memory=1)


def test_objects_are_those_that_were_promised_in_the_order_of_their_numbers(folder, spool):
    means = means_of(folder.parent)
    prospect = prospect_of(folder, means)
    refs = list(produce(prospect, means.workshop, spool, never))
    assert [ref.sop_instance_uid for ref in refs] == list(prospect.series.sop_instance_uids)
    planes = [pydicom.dcmread(ref.path) for ref in refs]
    assert [ds.InstanceNumber for ds in planes] == list(range(1, 24))
    assert {ds.SeriesInstanceUID for ds in planes} == {prospect.series.series_instance_uid}


def test_planes_that_several_threads_write_are_those_that_one_object_holds_in_order(folder, tmp_path):
    means = means_of(folder.parent)
    planes = PlaneRequest(Direction.CORONAL, interval_mm=0.1)  # 71 of them: two whole chunks and a rest
    each, whole = (
        [pydicom.dcmread(BytesIO(file)) for file in made(prospect, means, new_spool(tmp_path))]
        for sop_class in ("secondary_capture", "multiframe")
        for prospect in [pipeline.preview(asked(folder, planes, sop_class=sop_class), means, never)]
    )
    assert [ds.InstanceNumber for ds in each] == list(range(1, 72))
    assert len(whole) == 1
    assert len({ds.PixelData for ds in each}) > 1
    assert np.array_equal(
        [apply_modality_lut(ds.pixel_array, ds) for ds in each],
        apply_modality_lut(whole[0].pixel_array, whole[0]),
    )


def test_a_kept_result_is_given_again_byte_for_byte_and_nothing_is_rendered(folder, results, tmp_path):
    means = means_of(folder.parent, kept=results)
    first = made(prospect_of(folder, means), means, new_spool(tmp_path))
    idle = without_memory(folder, results)
    assert made(prospect_of(folder, idle), idle, new_spool(tmp_path)) == first
    with pytest.raises(Refused):
        made(prospect_of(folder, idle, MANY_PLANES), idle, new_spool(tmp_path))


def test_the_same_sources_make_the_same_bytes_without_a_cache(folder, tmp_path):
    means = means_of(folder.parent)
    once, again = (made(prospect_of(folder, means), means, new_spool(tmp_path)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("change", ["a voxel", "a header"])
def test_a_changed_source_has_other_uids_and_never_what_was_kept(folder, results, tmp_path, change):
    means = means_of(folder.parent, kept=results)
    before = prospect_of(folder, means)
    made(before, means, new_spool(tmp_path))
    changed = series(12)[5]
    if change == "a voxel":
        changed.PixelData = b"\x07\x00" + changed.PixelData[2:]
    else:
        changed.AccessionNumber = "A-2"
    write(changed, folder / "0006.dcm")
    after = prospect_of(folder, means)
    assert after.series.series_instance_uid != before.series.series_instance_uid
    assert not set(after.series.sop_instance_uids) & set(before.series.sop_instance_uids)
    with pytest.raises(Refused):  # nothing kept serves it: a child would be needed
        made(after, without_memory(folder, results), new_spool(tmp_path))


@pytest.mark.parametrize(
    "sections",
    [
        {"reconstruction": {"interpolation": "nearest"}},
        {"reconstruction": {"pixel_spacing": 0.5}},
        {"results": {"compression": "rle"}},
        {"results": {"uid_root": "1.2.3"}},
        {"completion": {"policy": "pad"}},
    ],
)
def test_whatever_decides_a_byte_of_the_result_decides_its_uid(folder, sections):
    plain = prospect_of(folder, means_of(folder.parent)).series.series_instance_uid
    other = prospect_of(folder, means_of(folder.parent, **sections)).series.series_instance_uid
    assert other != plain


def test_what_decides_no_byte_leaves_the_uid(folder):
    plain = prospect_of(folder, means_of(folder.parent)).series.series_instance_uid
    settings = {"threads": 1, "deadline": "1 min", "cache": "1 GiB"}
    assert prospect_of(
        folder, means_of(folder.parent, reconstruction=settings)
    ).series.series_instance_uid == (plain)


def test_a_cancel_while_planes_are_made_ends_the_child_and_keeps_nothing(folder, results, spool):
    means = means_of(folder.parent, kept=results)
    prospect = prospect_of(folder, means, MANY_PLANES)
    with pytest.raises(Cancelled):
        made(prospect, means, spool, lambda: len(list(spool.iterdir())) >= 3)
    assert multiprocessing.active_children() == []
    assert 3 <= len(list(spool.iterdir())) < len(prospect.series.sop_instance_uids)
    with results.lease(prospect.series.series_instance_uid) as kept:
        assert not kept


def test_who_stops_taking_objects_ends_the_child_and_gives_its_memory_back(folder, results, spool):
    means = means_of(folder.parent, kept=results)
    prospect = prospect_of(folder, means, MANY_PLANES)
    refs = produce(prospect, means.workshop, spool, never)
    next(refs)
    refs.close()
    assert multiprocessing.active_children() == []
    with means.workshop.budget.reserve(means.workshop.budget.total_bytes, lambda: True):
        pass


def test_what_can_never_fit_is_refused_before_a_pixel_is_read(folder, spool):
    prospect = prospect_of(folder, means_of(folder.parent))
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(Refused) as caught:
        made(prospect, without_memory(folder), spool)
    assert caught.value.code == "out-of-resources"
    assert list(spool.iterdir()) == []


MIB = 1 << 20


@pytest.mark.parametrize(
    ("volume", "plane", "threads", "advice"),
    [
        (500, 8, 2, "raise it, or ask for fewer planes at once"),
        (500, 500, 2, "raise it"),
        (900, 8, 1, "raise it"),
        (200, 8, 20, "raise it, or ask for fewer planes at once, or set reconstruction.threads to 1"),
    ],
    ids=["many planes", "one is too much", "the volume is too much", "many threads"],
)
def test_what_does_not_fit_is_told_what_would_and_nothing_else(volume, plane, threads, advice):
    need = MemoryNeed(volume * MIB, 10 * MIB, plane * MIB, 32, threads)
    assert need.total_bytes > 1000 * MIB
    assert need.advice(1000 * MIB) == advice


def test_a_refusal_for_memory_names_the_volume_apart_from_the_planes(folder, spool):
    with pytest.raises(Refused, match=r"\(volume 0 MiB, planes 0 MiB, all else \d+ MiB\) needs \d+ MiB"):
        made(prospect_of(folder, means_of(folder.parent)), without_memory(folder), spool)


def test_a_child_has_no_longer_than_the_deadline_of_the_configuration(folder, spool):
    means = means_of(folder.parent, reconstruction={"deadline": "1 ms"})
    with pytest.raises(Refused) as caught:
        made(prospect_of(folder, means), means, spool)
    assert caught.value.code == "deadline"
    assert multiprocessing.active_children() == []


def test_planes_that_miss_the_volume_are_refused_before_anything_is_made(folder):
    beside = PlaneRequest(Direction.TRANSVERSE, position=(0.0, 0.0, 500.0))
    with pytest.raises(BadRequest):
        prospect_of(folder, means_of(folder.parent), beside)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(Config(archive={"root": tmp_path / "archive", "minimum_free": 1}).archive) as opened:
        yield opened


def kept_in(archive: Archive, prospect: Prospect) -> list[FileFacts]:
    series = prospect.series
    return list(archive.series_files(series.study_instance_uid, series.series_instance_uid))


KEEP = {"keep": True}


@pytest.mark.parametrize("sop_class", ["secondary_capture", "source", "multiframe"])
def test_results_that_are_to_be_kept_are_filed_and_are_never_sources(folder, archive, tmp_path, sop_class):
    means = means_of(folder.parent, archive=archive, results=KEEP)
    request = asked(folder, sop_class=sop_class)
    prospect = pipeline.preview(request, means, never)
    files = made(prospect, means, new_spool(tmp_path))
    filed = kept_in(archive, prospect)
    assert {facts.sop_instance_uid for facts in filed} == set(prospect.series.sop_instance_uids)
    pixels = {ds.SOPInstanceUID: ds.PixelData for ds in map(pydicom.dcmread, map(BytesIO, files))}
    assert all(pydicom.dcmread(facts.path).PixelData == pixels[facts.sop_instance_uid] for facts in filed)
    report = pipeline.explain(asked(filed[0].path), means, never)
    assert report.verdict == "not-a-source-image"


def test_a_result_from_the_cache_is_filed_too_and_only_once(folder, results, archive, tmp_path):
    plain = means_of(folder.parent, kept=results)
    prospect = prospect_of(folder, plain)
    made(prospect, plain, new_spool(tmp_path))
    keeping = means_of(folder.parent, kept=results, archive=archive, results=KEEP)
    for _ in range(2):
        made(prospect_of(folder, keeping), keeping, new_spool(tmp_path))
        assert len(kept_in(archive, prospect)) == len(prospect.series.sop_instance_uids)


def test_what_is_stopped_or_not_to_be_kept_leaves_nothing_in_the_archive(folder, archive, tmp_path):
    stopped = means_of(folder.parent, archive=archive, results=KEEP)
    prospect = prospect_of(folder, stopped)
    refs = produce(prospect, stopped.workshop, new_spool(tmp_path), never)
    next(refs)
    refs.close()
    plain = means_of(folder.parent, archive=archive)
    made(prospect, plain, new_spool(tmp_path))
    assert kept_in(archive, prospect) == []


def uncompressed_only(sop_classes: Collection[str], _transfer_syntax: str) -> dict[str, str]:
    return dict.fromkeys(sop_classes, str(ImplicitVRLittleEndian))


def test_results_are_compressed_for_who_takes_them_so_and_made_plain_for_others(folder):
    means = means_of(folder.parent, results={"compression": "rle"})
    plain = means_of(folder.parent)
    asked_for = asked(folder)
    compressed = pipeline.preview(asked_for, means, never)
    assert compressed.series.transfer_syntax_uid == RLELossless
    for_others = pipeline.preview(asked_for, replace(means, takes=uncompressed_only), never)
    assert for_others.series == pipeline.preview(asked_for, plain, never).series


def test_a_listed_result_stays_what_was_listed_and_is_converted_on_its_way(folder):
    means = means_of(folder.parent, results={"compression": "rle"})
    listed = pipeline.preview(asked(folder), means, never).series
    request = asked(folder, result_series_uid=listed.series_instance_uid)
    assert pipeline.preview(request, replace(means, takes=uncompressed_only), never).series == listed


@pytest.mark.parametrize(("interval", "notes"), [(0.0, ["the last 1 mm lie in no slab"]), (2.0, [])])
def test_slabs_that_leave_out_the_far_edge_say_so(folder: Path, interval: float, notes: list[str]) -> None:
    planes = PlaneRequest(operation=Operation.SLAB, thickness_mm=4.0, interval_mm=interval)
    prospect = pipeline.preview(asked(folder, planes), means_of(folder.parent), never)
    said = [note.detail for note in prospect.report.notes if note.code == Code.SLABS_END_EARLY]
    assert [detail.split(";")[0] for detail in said] == notes
