"""From an image in a folder to objects: what belongs, what is searched for, what is filled, and what is said.

The series has 12 axial slices of 8 x 10 pixels of 1 mm, 2 mm apart, Instance Number k + 1 at z = 2 k mm; its
23 transverse planes lie 1 mm apart.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from scp import pipeline, production
from scp.errors import DecodingFailed, Refused
from scp.isolation import local
from scp.model import IsCancelled, MPRRequest, Policy
from scp.pipeline import Means
from scp.rendering import RenderJob, write_pieces
from tests.builders import ramp, series, write, write_series
from tests.folder_means import asked, means_of

MISSING_Z = 10.0
"""Where the slice with Instance Number 6 lies."""


@pytest.fixture(scope="module", autouse=True)
def children() -> None:
    local.start("scp.preload")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a series, in a tree of its own."""
    return tmp_path / "tree" / "study" / "series"


@pytest.fixture
def means(tmp_path: Path) -> Means:
    return means_of(tmp_path / "tree")


def never() -> bool:
    return False


def made(request: MPRRequest, means: Means) -> list[Dataset]:
    """Return the objects of the request, in the order of their numbers."""
    top = means.config.archive.root.parent
    spool = top / f"spool-{len(list(top.iterdir()))}"
    spool.mkdir()
    production = pipeline.begin(request, means, spool, never)
    return [pydicom.dcmread(ref.path) for ref in production.refs]


def refusal(request: MPRRequest, means: Means) -> str:
    """Return the Error Comment with which the request ends."""
    with pytest.raises(Refused) as caught:
        made(request, means)
    return caught.value.error_comment


def compressed(count: int = 12) -> list[Dataset]:
    """Return slices in JPEG-LS."""
    slices = series(count)
    for ds in slices:
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    return slices


def spoil(path: Path) -> None:
    """Make the compressed pixels of the file no image; header and length stay."""
    ds = pydicom.dcmread(path)
    frame = pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = ds.PixelData.replace(frame, b"\x00" * len(frame))
    ds.save_as(path)


def without(number: int, count: int = 12) -> list[Dataset]:
    return [ds for ds in series(count) if ds.InstanceNumber != number]


def z_of(ds: Dataset) -> float:
    return float(ds.ImagePositionPatient[2])


def touching(planes: list[Dataset]) -> Iterator[Dataset]:
    """Yield those to whose pixels the missing slice contributes: nearer to it than its neighbours are."""
    yield from (ds for ds in planes if abs(z_of(ds) - MISSING_Z) < 2.0)


def test_a_corrupt_slice_is_replaced_by_its_copy_in_a_sibling_folder(folder, means):
    paths = write_series(compressed(), folder)
    write(compressed()[5], folder.parent / "copies" / "again.dcm")
    whole = made(asked(paths[2]), means)
    spoil(paths[5])
    planes = made(asked(paths[2]), means)
    assert len(planes) == len(whole) == 23
    assert all((a.pixel_array == b.pixel_array).all() for a, b in zip(planes, whole, strict=True))
    assert not any(ds.SeriesDescription.startswith(("INTERPOLATED", "INCOMPLETE")) for ds in planes)


def test_the_report_says_that_the_corrupt_file_does_not_decode_and_who_replaced_it(folder, means):
    paths = write_series(compressed(), folder)
    copy = write(compressed()[5], folder.parent / "copies" / "again.dcm")
    spoil(paths[5])
    spool = folder.parent / "spool"
    spool.mkdir()
    production = pipeline.begin(asked(paths[2]), means, spool, never)
    production.refs.close()
    report = production.prospect.report
    assert {row.path: row.reason for row in report.rows}[paths[5]] == "cannot-decode"
    assert [facts.path for facts in report.stack][5] == copy
    assert [(search.name, search.wanted, search.found) for search in report.searches] == [("ancestors", 1, 1)]


def test_copies_are_compared_within_the_memory_that_all_children_share(folder, tmp_path):
    paths = write_series(compressed(), folder)
    write(series(12)[5], folder / "again.dcm")
    enough, little = (means_of(tmp_path / "tree", memory=memory) for memory in (1 << 30, 1 << 20))
    assert pipeline.explain(asked(paths[2]), enough, never).ok
    assert pipeline.explain(asked(paths[2]), little, never).verdict == "out-of-resources"


def test_a_corrupt_slice_without_a_copy_is_a_missing_one(folder, means):
    paths = write_series(compressed(), folder)
    spoil(paths[5])
    assert refusal(asked(paths[2]), means) == "missing-instances: 1 of 12 (6)"


def test_several_corrupt_slices_are_all_named(folder, means):
    paths = write_series(compressed(), folder)
    for number in (4, 6, 9):
        spoil(paths[number - 1])
    assert refusal(asked(paths[0]), means) == "missing-instances: 3 of 12 (4, 6, 9)"


def test_a_corrupt_current_image_is_refused_as_itself(folder, means):
    paths = write_series(compressed(), folder)
    spoil(paths[5])
    assert refusal(asked(paths[5]), means).startswith("cannot-decode")


def test_a_corrupt_copy_of_a_corrupt_slice_is_no_help(folder, means):
    paths = write_series(compressed(), folder)
    copy = write(compressed()[5], folder.parent / "copies" / "again.dcm")
    spoil(paths[5])
    spoil(copy)
    assert refusal(asked(paths[2]), means) == "missing-instances: 1 of 12 (6)"


def test_a_corrupt_slice_is_filled_where_the_policy_says_so(folder, means):
    paths = write_series(compressed(), folder)
    spoil(paths[5])
    planes = made(asked(paths[2], policy=Policy.INTERPOLATE), means)
    assert all(ds.SeriesDescription.startswith("INTERPOLATED") for ds in planes)


@pytest.mark.parametrize(
    ("policy", "word", "done"),
    [(Policy.INTERPOLATE, "INTERPOLATED", "interpolated"), (Policy.PAD, "INCOMPLETE", "padded")],
)
def test_objects_say_what_was_filled_and_which_planes_it_touches(folder, means, policy, word, done):
    write_series(without(6), folder)
    planes = made(asked(folder, policy=policy), means)
    assert len(planes) == 23
    assert all(ds.SeriesDescription.startswith(f"{word} TRA 1.0 MPR") for ds in planes)
    assert {ds.ImageComments for ds in planes} == {f"used 11 of 12; {done} 6"}
    named = [ds for ds in planes if f"Touches missing images, {done}: 6" in ds.DerivationDescription]
    assert [z_of(ds) for ds in named] == [z_of(ds) for ds in touching(planes)] == [11.0, 10.0, 9.0]


def test_an_interpolated_slice_lies_between_its_neighbours(folder, means):
    write_series(without(6), folder)
    planes = made(asked(folder, policy=Policy.INTERPOLATE), means)
    for ds in planes:
        assert np.array_equal(ds.pixel_array, ramp(0, 8, 10) + round(50 * z_of(ds)))


def test_a_padded_slice_is_padding_and_mixes_into_nothing(folder, means):
    write_series(without(6), folder)
    for ds in made(asked(folder, policy=Policy.PAD), means):
        nearest_z = {9.0: 8.0, 11.0: 12.0}.get(z_of(ds), z_of(ds))
        if nearest_z == MISSING_Z:
            assert (ds.pixel_array == ds.PixelPaddingValue).all()
        else:
            assert np.array_equal(ds.pixel_array, ramp(0, 8, 10) + round(50 * nearest_z))


def test_the_policy_of_the_configuration_serves_who_asks_for_none(tmp_path, folder):
    write_series(without(6), folder)
    padding = means_of(tmp_path / "tree", completion={"policy": "pad"})
    assert made(asked(folder), padding)[0].SeriesDescription.startswith("INCOMPLETE")
    assert refusal(asked(folder, policy=Policy.REFUSE), padding) == "missing-instances: 1 of 12 (6)"


def test_an_adopted_image_fills_its_place_and_the_objects_say_so(tmp_path, folder):
    slices = series(12)
    del slices[5].SeriesInstanceUID
    write_series(slices, folder)
    adopting = means_of(tmp_path / "tree", completion={"adopt_unlabelled": True})
    planes = made(asked(folder / "0001.dcm"), adopting)
    assert all(ds.SeriesDescription.startswith("ADOPTED") for ds in planes)
    assert "images without Series Instance UID adopted" in planes[0].DerivationDescription
    assert "adopted" in planes[0].ImageComments
    assert refusal(asked(folder / "0001.dcm"), means_of(tmp_path / "tree")) == (
        "missing-instances: 1 of 12 (6)"
    )


def test_ten_images_are_counted_without_those_that_are_filled(folder, means):
    paths = write_series(without(6, count=10), folder)
    assert refusal(asked(folder, policy=Policy.INTERPOLATE), means) == "too-few-images: 9 of 10"
    write(series(11)[10], paths[-1].with_name("0011.dcm"))
    assert len(made(asked(folder, policy=Policy.INTERPOLATE), means)) == 21


def test_fewer_images_are_enough_where_the_request_says_so(folder, means):
    write_series(series(3), folder)
    assert refusal(asked(folder), means) == "too-few-images: 3 of 10"
    assert len(made(asked(folder, minimum_images=3), means)) == 5


def test_a_listed_result_is_refused_once_its_images_changed(folder, means):
    paths = write_series(series(12), folder)
    listed = pipeline.preview(asked(folder), means, never).series.series_instance_uid
    assert made(asked(folder, result_series_uid=listed), means)[0].SeriesInstanceUID == listed
    changed = series(12)[5]
    changed.PixelData = bytes(len(changed.PixelData))
    write(changed, paths[5])
    assert (
        refusal(asked(folder, result_series_uid=listed), means)
        == "result-stale: images changed, now 12, query again"
    )


def test_an_image_that_nobody_knows_is_refused_as_unknown(folder, means):
    write_series(series(12), folder)
    for request in (
        MPRRequest(asked(folder).planes, sop_instance_uid="1.2.3"),
        MPRRequest(asked(folder).planes, series_instance_uid="1.2.3"),
        asked(folder / "none.dcm"),
    ):
        assert refusal(request, means).startswith("unknown-image")


def test_a_failure_that_leaving_the_files_out_does_not_mend_is_raised(folder, means, monkeypatch):
    paths = write_series(series(12), folder)

    def always_fails(*_: object) -> None:
        raise DecodingFailed("the disk is gone", paths[0])

    monkeypatch.setattr(pipeline, "produce", always_fails)
    with pytest.raises(DecodingFailed, match="the disk is gone"):
        made(asked(paths[5], minimum_images=2), means)


class FailingCluster:
    """Renders as a cluster does, part after part; the first time, a worker of a later part fails."""

    def __init__(self, _address: str) -> None:
        pass

    def run(
        self,
        render_part: Callable[[RenderJob], Iterator[bytes]],
        job: RenderJob,
        _limits: local.Limits,
        _cancelled: IsCancelled,
    ) -> Iterator[bytes]:
        pieces = render_part(job)
        spoiled = [facts.path for facts in job.stack if facts.path.name == "0006.dcm"]
        for number, piece in enumerate(pieces):
            if number == 3 and spoiled:
                raise DecodingFailed("the worker's copy of the slice is no image", *spoiled)
            yield piece


def test_nothing_of_an_attempt_that_failed_is_in_the_object_of_the_next(folder, tmp_path, monkeypatch):
    paths = write_series(series(12), folder)
    monkeypatch.setattr(production.dask, "Cluster", FailingCluster)
    means = means_of(tmp_path / "tree", reconstruction={"executor": "dask://127.0.0.1:1"})
    request = asked(paths[2], policy=Policy.INTERPOLATE, sop_class="multiframe")
    (attempted_twice,) = made(request, means)
    paths[5].unlink()
    (attempted_once,) = made(request, means)
    assert attempted_twice.NumberOfFrames == 23
    assert attempted_twice == attempted_once


def test_an_attempt_begins_in_an_empty_folder(folder, means, tmp_path, monkeypatch):
    paths = write_series(compressed(), folder)
    spoil(paths[5])
    produce, found = pipeline.produce, []

    def produce_after_a_look(prospect: object, workshop: object, spool: Path, cancelled: object) -> object:
        found.append(sorted(path.name for path in spool.iterdir()))
        shutil.copy(paths[0], spool / "09999.dcm")
        return produce(prospect, workshop, spool, cancelled)

    monkeypatch.setattr(pipeline, "produce", produce_after_a_look)
    made(asked(paths[2], policy=Policy.INTERPOLATE), means)
    assert found == [[], []]


def test_the_first_piece_of_an_object_replaces_what_lies_there(tmp_path):
    (tmp_path / "00001.dcm").write_bytes(b"of an attempt that failed")
    (whole,) = write_pieces([b"head", b"tail"], 2, tmp_path)
    assert whole.read_bytes() == b"headtail"


def test_what_the_system_does_not_write_at_once_is_written_next(tmp_path, monkeypatch):
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, parts: writev(file, [b"".join(parts)[:3]]))
    (whole,) = write_pieces([b"head", b"tail"], 2, tmp_path)
    assert whole.read_bytes() == b"headtail"


def test_copies_are_decoded_once_however_often_the_searches_have_news(folder, means, monkeypatch):
    slices = compressed()
    paths = write_series([ds for ds in slices if ds.InstanceNumber not in (6, 9)], folder)
    write(series(12)[2], folder / "again.dcm")
    write(slices[5], folder.parent / "one" / "0006.dcm")
    write(slices[8], folder.parent.parent / "two" / "0009.dcm")
    run, jobs, selections, select = local.run, [], [], pipeline.select

    def run_and_count(function: object, job: object, *rest: object) -> object:
        jobs.append(job)
        return run(function, job, *rest)

    def select_and_count(*given: object, **options: object) -> object:
        selections.append(given)
        return select(*given, **options)

    monkeypatch.setattr(local, "run", run_and_count)
    monkeypatch.setattr(pipeline, "select", select_and_count)
    assert pipeline.explain(asked(paths[0]), means, never).ok
    assert len(selections) > 2
    assert len(jobs) == 1
