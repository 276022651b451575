"""``curved`` unrolls a surface; what it writes claims no place in the patient."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from scp.cli import app
from tests.builders import series, write_series

LINE = [[1.0, 1.0, 10.0], [1.0, 6.0, 10.0], [8.0, 6.0, 10.0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_series(series(12), tmp_path / "in" / "series")
    return tmp_path / "in" / "series"


def run(folder: Path, out: Path, line: object = LINE, *options: str):
    path = out.parent / "line.json"
    path.write_text(line if isinstance(line, str) else json.dumps(line))
    return CliRunner().invoke(app, ["curved", str(folder), "--line", str(path), "--out", str(out), *options])


def test_columns_follow_the_line_and_rows_stand_upright_on_it(folder, tmp_path):
    done = run(folder, tmp_path / "out", LINE, "--height", "4")
    assert done.exit_code == 0, done.output
    ds = pydicom.dcmread(tmp_path / "out" / "00001.dcm")
    points = [(1, j) for j in range(1, 7)] + [(i, 6) for i in range(2, 9)]
    expected = [[50 * z + 10 * j + i for i, j in points] for z in (12, 11, 10, 9, 8)]
    assert np.array_equal(ds.pixel_array, expected)
    assert "ImagePositionPatient" not in ds
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
    assert "13 columns along 12.0 mm, 5 rows" in done.output
    assert "1 row," in run(folder, tmp_path / "flat", LINE, "--height", "0.5").output


@pytest.mark.parametrize("line", ["no json", "{}", "[[1, 2]]", '[["a", 1, 2], [1, 1, 1]]'])
def test_a_file_that_holds_no_points_is_a_mistake_of_the_command_line(folder, tmp_path, line):
    assert run(folder, tmp_path / "out", line).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_folder_of_the_result_is_never_overwritten(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert run(folder, tmp_path / "out").exit_code == 2


def test_a_picture_beside_the_volume_is_refused_and_nothing_is_written(folder, tmp_path):
    beside = [[x, y, z + 1000] for x, y, z in LINE]
    done = run(folder, tmp_path / "out", beside)
    assert done.exit_code == 1
    assert "no pixel of the picture lies in the volume" in str(done.exception)
    assert "the volume within x 0 to 9, y 0 to 7, z 0 to 22 mm" in str(done.exception)
    assert not (tmp_path / "out").exists()
    assert run(folder, tmp_path / "out", [*beside, LINE[0]]).exit_code == 0  # one end is in it


def test_a_picture_of_too_many_pixels_is_refused_by_its_option_with_what_to_do(folder, tmp_path):
    long = [LINE[0], [1e5, 1.0, 10.0]]
    for option, done in (
        ("--height", run(folder, tmp_path / "out", LINE, "--height", "1e5")),
        ("--line", run(folder, tmp_path / "out", long)),
    ):
        assert done.exit_code == 1
        assert str(done.exception).startswith(f"{option}: 1000")
        assert "at most 4096 are possible: ask for a shorter one" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_selection_is_told_as_for_planes(folder, tmp_path):
    (folder / "0006.dcm").unlink()
    done = run(folder, tmp_path / "out", LINE, "--policy", "interpolate")
    assert "verdict        ok" in done.stdout and "interpolated   6" in done.stdout


def test_json_names_the_picture_and_the_selection(folder, tmp_path):
    done = run(folder, tmp_path / "out", LINE, "--height", "4", "--json")
    said = json.loads(done.stdout)
    assert (said["verdict"], said["used"], said["length_mm"]) == ("ok", 12, 12.0)
    assert said["planes"] == [str(tmp_path / "out" / "00001.dcm")]
    assert Path(said["sheet"]).is_file()


def test_missing_images_are_refused_with_what_helps(folder, tmp_path):
    (folder / "0006.dcm").unlink()
    done = run(folder, tmp_path / "out")
    assert done.exit_code == 1
    assert "--policy interpolate or pad" in str(done.exception)
    assert not (tmp_path / "out").exists()
    filled = run(folder, tmp_path / "out", LINE, "--policy", "interpolate")
    assert filled.exit_code == 0, filled.output
