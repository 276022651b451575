"""``mpr`` and ``explain`` without a server: what is written, what is printed, what is refused."""

import json
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from scp.cli import main
from tests.builders import image, series, write


@pytest.fixture
def run(capsys):
    """Return a function that runs a command and tells exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return (ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with twelve slices of 8 x 10, 2 mm apart, and a text file."""
    for ds in series(12):
        write(ds, tmp_path / "batch" / "series" / f"{ds.InstanceNumber:02d}.dcm")
    (tmp_path / "batch" / "series" / "notes.txt").write_text("no image")
    return tmp_path / "batch" / "series"


def test_mpr_writes_planes_and_a_contact_sheet(run, folder, tmp_path):
    code, out, _ = run("mpr", folder, "--out", tmp_path / "cor", "--direction", "coronal")
    assert code == 0
    planes = [pydicom.dcmread(path) for path in sorted((tmp_path / "cor").glob("*.dcm"))]
    assert len(planes) == 8
    assert {tuple(ds.ImageOrientationPatient) for ds in planes} == {(1, 0, 0, 0, 0, -1)}
    with Image.open(tmp_path / "cor" / "contact_sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert "8 planes and contact_sheet.png" in out


def test_axial_is_another_word_for_transverse(run, folder, tmp_path):
    assert run("mpr", folder, "--out", tmp_path / "tra", "--direction", "Axial")[0] == 0
    ds = pydicom.dcmread(tmp_path / "tra" / "00001.dcm")
    assert ds.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert ds.SeriesDescription.startswith("TRA")


def test_pixels_larger_than_voxels_are_told_to_be_means(run, folder, tmp_path):
    config = tmp_path / "node.toml"
    config.write_text("[reconstruction]\npixel_spacing = 2.0\n")
    _, coarse, _ = run("mpr", folder, "--out", tmp_path / "coarse", "--config", config)
    _, fine, _ = run("mpr", folder, "--out", tmp_path / "fine")
    assert coarse.endswith("; each pixel the mean of 1 x 2 samples over its area\n")
    assert "samples" not in fine


def test_planes_in_one_object_are_shown_like_planes_in_many(run, folder, tmp_path):
    config = tmp_path / "node.toml"
    config.write_text('[results]\nsop_class = "multiframe"\n')
    assert run("mpr", folder, "--out", tmp_path / "many")[0] == 0
    assert run("mpr", folder, "--out", tmp_path / "one", "--config", config)[0] == 0
    assert len(list((tmp_path / "one").glob("*.dcm"))) == 1
    with (
        Image.open(tmp_path / "many" / "contact_sheet.png") as many,
        Image.open(tmp_path / "one" / "contact_sheet.png") as one,
    ):
        assert one.size == many.size


def test_the_current_image_may_be_named_instead_of_its_folder(run, folder, tmp_path):
    code, out, _ = run("mpr", folder / "07.dcm", "--out", tmp_path / "sag", "--direction", "sagittal")
    assert code == 0
    assert "current image  07.dcm" in out
    assert len(list((tmp_path / "sag").glob("*.dcm"))) == 10


def test_a_thickness_asks_for_slabs_and_an_orientation_for_oblique_planes(run, folder, tmp_path):
    assert run("mpr", folder, "--out", tmp_path / "a", "--thickness", 4, "--method", "maximum")[0] == 0
    assert pydicom.dcmread(next((tmp_path / "a").glob("*.dcm"))).SliceThickness == 4
    code, _, _ = run("mpr", folder, "--out", tmp_path / "b", "--orientation=1,0,0,0,0.6,-0.8")
    assert code == 0
    assert list(pydicom.dcmread(next((tmp_path / "b").glob("*.dcm"))).ImageOrientationPatient)[4:] == [
        0.6,
        -0.8,
    ]


@pytest.mark.parametrize("option", [("--thickness", 10), ("--method", "maximum")])
def test_what_only_slabs_have_is_not_ignored_for_thin_planes(run, folder, tmp_path, option):
    code, _, err = run("mpr", folder, "--out", tmp_path / "out", "--operation", "mpr", *option)
    assert code == 2
    assert option[0] in err and "--operation slab" in err
    assert not (tmp_path / "out").exists()


def test_a_position_asks_for_one_plane_through_it(run, folder, tmp_path):
    code, out, _ = run("mpr", folder, "--out", tmp_path / "one", "--position", "0,3,0")
    assert code == 0
    (plane,) = (tmp_path / "one").glob("*.dcm")
    assert out.endswith(f"\n1 plane and contact_sheet.png in {tmp_path / 'one'}\n")
    assert pydicom.dcmread(plane).ImagePositionPatient[1] == 3


def test_a_refusal_writes_nothing(run, folder, tmp_path):
    (folder / "05.dcm").unlink()
    code, out, err = run("mpr", folder, "--out", tmp_path / "cor")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch"]


def test_a_folder_that_holds_something_is_not_written_to(run, folder, tmp_path):
    code, _, err = run("mpr", folder, "--out", folder)
    assert code == 2
    assert "is not empty" in err


@pytest.mark.parametrize(
    "options",
    [
        ("--orientation=1,0,0",),
        ("--position", "1,2,x"),
        ("--position", "1,2,nan"),
        ("--direction", "askew"),
        ("--policy", "foo"),
        ("--interval", "nan"),
        ("--interval", "-1"),
        ("--thickness", "inf"),
    ],
)
def test_numbers_and_words_that_mean_nothing_are_usage_errors(run, folder, tmp_path, options):
    code, _, err = run("mpr", folder, "--out", tmp_path / "out", *options)
    assert code == 2
    assert options[0].partition("=")[0] in err
    assert "Value error" not in err


@pytest.mark.parametrize(
    ("options", "lacks"),
    [(("--operation", "slab"), "--thickness"), (("--direction", "oblique"), "--orientation")],
)
def test_what_a_choice_needs_is_asked_for_by_its_option(run, folder, tmp_path, options, lacks):
    code, _, err = run("mpr", folder, "--out", tmp_path / "out", *options)
    assert code == 2
    assert f"Invalid value for {lacks}: " in err


@pytest.mark.parametrize(("option", "value"), [("--thickness", "1e6"), ("--interval", "1e-6")])
def test_what_the_images_do_not_allow_is_said_of_the_option_with_what_to_do(
    run, folder, tmp_path, option, value
):
    code, _, err = run("mpr", folder, "--out", tmp_path / "out", option, value)
    assert code == 1
    assert err.startswith(f"mpr-scp: {option}: ")
    assert "at most 4096 are possible: ask for a " in err


def test_an_out_that_cannot_be_made_is_named_and_nothing_hidden(run, folder):
    for parent in (folder / "notes.txt", Path("/proc")):
        code, _, err = run("mpr", folder, "--out", parent / "cor")
        assert code == 2
        assert f"Invalid value for --out: {parent / 'cor'} cannot be made: " in err
        assert err.endswith("; name a folder where you may write\n") and "/." not in err


def test_a_series_that_is_too_small_may_be_taken_as_it_is_from_two_images_on(run, folder):
    for path in sorted(folder.glob("*.dcm"))[7:]:
        path.unlink()
    told = run("explain", folder)[2]
    assert told.endswith("10 are needed; find the others, or take these for the whole: --minimum 7.\n")
    assert run("explain", folder, "--minimum", 7)[0] == 0
    for path in sorted(folder.glob("*.dcm"))[1:]:
        path.unlink()
    assert "--minimum" not in run("explain", folder)[2]


def test_what_lies_in_a_sister_folder_completes_the_series(run, folder, tmp_path):
    sister = folder.parent / "sister"
    sister.mkdir()
    (folder / "05.dcm").rename(sister / "05.dcm")
    assert run("mpr", folder, "--out", tmp_path / "cor")[0] == 0


def test_within_says_how_far_to_look(run, folder, tmp_path):
    sister = folder.parent / "sister"
    sister.mkdir()
    (folder / "05.dcm").rename(sister / "05.dcm")
    assert run("mpr", folder, "--out", tmp_path / "cor", "--within", folder)[0] == 1


def test_the_policy_of_the_command_line_fills_a_hole(run, folder, tmp_path):
    (folder / "05.dcm").unlink()
    refused = run("explain", folder)[2]
    assert refused.endswith(
        "is missing: 5; find them, or let a policy fill them: --policy interpolate or pad.\n"
    )
    assert run("mpr", folder, "--out", tmp_path / "none")[2] == refused
    code, out, _ = run("mpr", folder, "--out", tmp_path / "cor", "--policy", "interpolate")
    assert (code, "interpolated   5 at 8.0 mm" in out, "missing " in out) == (0, True, False)
    assert "padded         5 at 8.0 mm" in run("explain", folder, "--policy", "pad")[1]


def test_only_a_policy_that_works_is_suggested(run, folder):
    for name in ("05", "06"):
        (folder / f"{name}.dcm").unlink()
    refused = run("explain", folder)[2]
    assert refused.endswith(
        "missing: 5, 6; 2 in a row, at most 1 may be interpolated; find them, or let a policy fill them: "
        "--policy pad.\n"
    )
    assert run("mpr", folder, "--out", folder / "planes", "--policy", "interpolate")[2] == refused
    assert run("explain", folder, "--policy", "pad")[0] == 0


def test_no_policy_is_suggested_where_filled_slices_would_not_make_enough_images(run, folder):
    (folder / "05.dcm").unlink()
    refused = run("explain", folder, "--minimum", "12")[2]
    assert refused.endswith("is missing: 5; 11 images are here, 12 are needed; find them.\n")
    assert run("explain", folder, "--minimum", "12", "--policy", "pad")[0] == 1


def without_geometry(k: int, **changes: object) -> Dataset:
    """Return slice *k* with nothing that says where it lies."""
    ds = image(k, **changes)
    del ds.ImagePositionPatient
    return ds


def test_a_dicomdir_is_not_what_a_folder_is_refused_for(run, tmp_path):
    directory = image(0, SOPClassUID=MediaStorageDirectoryStorage, SOPInstanceUID="1.0")
    write(directory, tmp_path / "DICOMDIR")
    write(without_geometry(1), tmp_path / "only.dcm")
    code, out, err = run("explain", tmp_path)
    assert code == 1
    assert f"mpr-scp: The current image {tmp_path / 'only.dcm'}: ImagePositionPatient is missing" in err
    assert ["DICOMDIR", "not-an-image", "it is a DICOMDIR"] in [
        line.split(maxsplit=2) for line in out.splitlines()
    ]
    assert "verdict        no-geometry\n" in out
    assert run("mpr", tmp_path, "--out", tmp_path / "planes")[2] == err


def test_a_dicomdir_is_told_of_by_name_where_a_folder_holds_no_image(run, tmp_path):
    directory = image(0, SOPClassUID=MediaStorageDirectoryStorage, SOPInstanceUID="1.0")
    write(directory, tmp_path / "DICOMDIR")
    assert f"no DICOM image in {tmp_path}: a DICOMDIR; name" in run("explain", tmp_path)[2]
    (tmp_path / "notes.txt").write_text("no image")
    assert f"no DICOM image in {tmp_path}: not-dicom 1 and a DICOMDIR; name" in run("explain", tmp_path)[2]
    for name in ("IMAGES", "VIEWER"):
        (tmp_path / name).mkdir()
    told = run("explain", tmp_path)[2]
    assert told.endswith(": not-dicom 1 and a DICOMDIR, 2 sub-folders; name one of them\n")


def test_images_that_are_missing_at_an_end_without_a_number_are_counted(run, folder):
    for path in folder.glob("*.dcm"):
        write(image(int(path.stem) - 1, ImagesInAcquisition=15, InstanceNumber=None), path)
    assert "missing        3 unnamed\n" in run("explain", folder)[1]


def test_explain_lists_what_is_left_out_and_why(run, folder):
    write(image(3, PatientName="Doe^John", SOPInstanceUID="1.2.3"), folder / "stray.dcm")
    code, out, _ = run("explain", folder)
    assert code == 0
    assert "used           12 of 12" in out
    assert ["notes.txt", "not-dicom"] in [line.split()[:2] for line in out.splitlines()]
    assert ["stray.dcm", "other-patient"] in [line.split()[:2] for line in out.splitlines()]


def test_explain_as_json_is_printed_also_when_the_series_is_refused(run, folder):
    (folder / "05.dcm").unlink()
    code, out, err = run("explain", folder, "--json")
    report = json.loads(out)
    assert (code, report["verdict"]) == (1, "missing-instances")
    assert [missing["instance_number"] for missing in report["missing"]] == [5]
    assert err.startswith("mpr-scp: ")


def test_explain_as_json_has_every_file_once_and_the_keys_that_programs_rely_on(run, folder):
    report = json.loads(run("explain", folder, "--json")[1])
    assert {"verdict", "used", "counts", "files", "missing", "notes", "searches"} <= report.keys()
    assert sorted(row["path"] for row in report["files"]) == sorted(path.name for path in folder.iterdir())
    assert {"path", "reason", "detail", "sop_instance_uid", "instance_number", "position_mm"} <= report[
        "files"
    ][0].keys()


def test_explain_of_a_folder_without_images_is_json_too(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    code, out, _ = run("explain", tmp_path, "--json")
    assert code == 1
    assert json.loads(out)["used"] == 0


def test_a_file_that_is_no_image_is_told_of_alone(run, folder):
    code, out, err = run("explain", folder / "notes.txt")
    assert (code, "left out       not-dicom 1\n" in out) == (1, True)
    assert err.startswith(f"mpr-scp: {folder / 'notes.txt'} is no DICOM image: neither DICM ")
    assert err.endswith("; name an image or a folder of images\n")
    report = json.loads(run("explain", folder / "notes.txt", "--json")[1])
    assert (report["verdict"], report["counts"]) == ("not-dicom", {"not-dicom": 1})


def two_series(folder: Path, *, second: int = 11) -> None:
    """Put two series that differ in Series Instance UID into *folder*."""
    for prefix, uid, count in (("brain", "1.2.3.1", 12), ("chest", "1.2.3.2", second)):
        for k in range(count):
            own = {"SeriesInstanceUID": uid, "SOPInstanceUID": f"{uid}.{k + 1}"}
            write(image(k, **own), folder / f"{prefix}_{k:02d}.dcm")


def test_a_folder_of_two_series_names_a_file_of_each_and_tells_of_every_file(run, tmp_path):
    two_series(tmp_path)
    code, out, err = run("explain", tmp_path)
    assert code == 1
    assert err == (
        "mpr-scp: 2 series here: brain_06.dcm (12 images), chest_05.dcm (11 images); "
        "name one of these files.\n"
    )
    assert "verdict        which-stack: 2 series, name an image" in out
    assert out.count("other-series ") == 12  # the count, and a line for each image of the other series
    assert run("mpr", tmp_path, "--out", tmp_path / "planes")[2] == err
    assert run("explain", tmp_path / "chest_05.dcm")[0] == 0


def test_series_too_small_for_a_volume_are_named_by_file_too(run, tmp_path):
    two_series(tmp_path, second=3)
    for path in tmp_path.glob("brain_0[2-9].dcm"):
        path.unlink()
    assert "brain_10.dcm (4 images), chest_01.dcm (3 images)" in run("explain", tmp_path)[2]


def test_a_folder_that_has_only_sub_folders_says_so(run, folder):
    code, out, err = run("explain", folder.parent)
    assert (code, out) == (1, "")
    assert err == f"mpr-scp: no files directly in {folder.parent}, 1 sub-folder; name it\n"
    (folder.parent / "second").mkdir()
    assert run("mpr", folder.parent, "--out", folder / "o")[2].endswith("2 sub-folders; name one of them\n")


def test_an_empty_folder_is_named(run, tmp_path):
    assert run("explain", tmp_path)[2].startswith(f"mpr-scp: the folder {tmp_path} is empty")


def test_a_folder_without_any_dicom_image_is_named_with_the_reason_of_each_file(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "picture.png").write_text("no image")
    code, out, err = run("explain", tmp_path)
    assert code == 1
    assert f"no DICOM image in {tmp_path}: not-dicom 2; name" in err
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [
        ["notes.txt", "not-dicom"],
        ["picture.png", "not-dicom"],
    ]
