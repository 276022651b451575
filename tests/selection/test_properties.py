"""What holds for every folder: order, names and strangers change nothing, and every loss is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from scp.errors import Code
from scp.model import FileFacts
from scp.selection import select
from scp.selection.spacing import Kind, explain
from tests.selection.slices import FOLDER, RULES, at_positions, changed, foreign, missing_of, series, slice_at

COUNT = 16

STRANGERS = st.sampled_from(
    [
        {"PatientName": "Doe^John"},
        {"PatientID": "P-2"},
        {"StudyInstanceUID": "7"},
        {"SeriesInstanceUID": "7"},
        {"SeriesInstanceUID": None},
        {"SeriesNumber": 9},
        {"Modality": "MR"},
        {"Rows": 256},
        {"PixelSpacing": (0.7, 0.7)},
        {"ImageOrientationPatient": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},
        {"FrameOfReferenceUID": "7"},
        {"KVP": 80},
        {"ImageType": ("DERIVED", "SECONDARY", "SCREEN SAVE")},
        {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        {"ImagePositionPatient": None},
    ]
)


@st.composite
def strangers(draw: st.DrawFn) -> list[FileFacts]:
    changes = draw(st.lists(STRANGERS, max_size=8))
    places = draw(st.lists(st.integers(-5, COUNT + 5), min_size=len(changes), max_size=len(changes)))
    return [
        foreign(f"x{n}.dcm", k, SOPInstanceUID=f"9.{n}", **change)
        for n, (k, change) in enumerate(zip(places, changes, strict=True))
    ]


@given(st.permutations(range(COUNT)), st.permutations(range(COUNT)), strangers(), st.integers(0, COUNT - 1))
def test_order_names_and_strangers_do_not_change_the_stack(order, names, others, chosen):
    slices = [
        replace(image, path=FOLDER / f"{name}.dcm") for image, name in zip(series(COUNT), names, strict=True)
    ]
    folder = [*(slices[k] for k in order), *others]
    report = select(slices[chosen], folder[::2] + folder[1::2], RULES)
    assert report.ok and list(report.stack) == slices
    assert len(report.rows) == len(folder)


@given(
    st.sets(st.integers(1, COUNT * 2 - 2), max_size=COUNT),
    st.sampled_from([1, -1]),
    st.floats(0.3, 12.0),
    st.integers(-3, 500),
    strangers(),
)
def test_every_inner_slice_that_lacks_is_named_with_number_and_position(gone, sign, step_mm, first, others):
    count = COUNT * 2
    slices = [slice_at(k, step_mm * k, InstanceNumber=first + sign * k) for k in range(count)]
    here = [image for k, image in enumerate(slices) if k not in gone]
    report = select(here[0], [*here, *others], RULES)
    assert missing_of(report) == [(first + sign * k, round(step_mm * k, 3)) for k in sorted(gone)]
    assert report.ok is (not gone)


@given(
    st.sets(st.integers(1, COUNT - 2), max_size=4),
    st.lists(st.floats(-0.09, 0.09), min_size=COUNT, max_size=COUNT),
)
def test_jitter_hides_no_hole_and_makes_none(gone, jitter):
    slices = [slice_at(k, 3.0 * (k + jitter[k]), InstanceNumber=k) for k in range(COUNT)]
    here = [image for k, image in enumerate(slices) if k not in gone]
    report = select(here[0], here, RULES)
    assert [number for number, _ in missing_of(report)] == sorted(gone)


@given(st.sets(st.integers(1, COUNT * 2 - 2), min_size=1, max_size=COUNT))
def test_found_images_complete_whatever_lacks(gone):
    slices = series(COUNT * 2)
    here = [image for k, image in enumerate(slices) if k not in gone]
    found = [replace(slices[k], path=Path("/elsewhere") / slices[k].path.name) for k in gone]
    report = select(here[0], here, RULES, found=found[::-1])
    assert report.ok and len(report.stack) == COUNT * 2 and not report.missing


@st.composite
def changing_steps(draw: st.DrawFn) -> list[float]:
    """Return the steps of two regimes, with a shorter one where they join or none."""
    below, above = draw(st.permutations([4.0, 4.0 * draw(st.floats(1.6, 3.0))]))
    junction = draw(st.one_of(st.just([]), st.floats(0.1, 0.9).map(lambda part: [part * min(below, above)])))
    return [below] * draw(st.integers(5, 12)) + junction + [above] * draw(st.integers(5, 12))


@given(changing_steps(), st.data())
def test_any_image_lost_where_steps_change_is_named_and_completes_the_series(steps, data):
    slices = at_positions([sum(steps[:k]) for k in range(len(steps) + 1)])
    k = data.draw(st.integers(1, len(slices) - 2))
    over = steps[k - 1] + steps[k]
    assume(all(abs(over - unit) > 0.2 * unit for unit in (steps[0], steps[-1])))  # else it passes for one
    gone = slices[k]
    here = [image for image in slices if image is not gone]
    assert [number for number, _ in missing_of(select(here[0], here, RULES))] == [gone.instance_number]
    found = replace(gone, path=Path("/elsewhere") / gone.path.name)
    report = select(here[0], here, RULES, found=[found])
    assert report.ok and len(report.stack) == len(slices) and not report.missing


@given(
    st.lists(st.floats(0.02, 50.0), min_size=1, max_size=30),
    st.lists(st.one_of(st.none(), st.integers(-5, 60)), min_size=31, max_size=31),
)
def test_any_steps_and_numbers_are_explained_without_an_error(steps, numbers):
    positions = np.concatenate([[0.0], np.cumsum(steps)])
    spaced = explain(positions, numbers[: len(positions)])
    assert all(step.units >= 1 and 0 <= step.index < len(steps) for step in spaced.steps)
    assert len(spaced.bases_mm) == len(steps)
    for step in spaced.of_kind(Kind.HOLE):
        assert step.units >= 2


NUMBER = st.one_of(st.integers(-3, 3), st.floats(allow_nan=True, allow_infinity=True))
VALUE = st.one_of(
    st.sampled_from(["", "x", "a^b=c", "\\", "1.2", "\uf8ffc8"]),
    NUMBER,
    st.lists(NUMBER, max_size=7).map(tuple),
)
KEYWORD = st.sampled_from(sorted(slice_at(0).header.attributes))


@given(st.lists(st.dictionaries(KEYWORD, VALUE, max_size=4), max_size=6), st.integers(0, 17))
def test_whatever_headers_hold_selection_ends_with_a_verdict_and_a_row_for_each_file(garbage, chosen):
    slices = series(12)
    odd = [changed(slice_at(k, name=f"odd{k}.dcm"), **changes) for k, changes in enumerate(garbage)]
    folder = [*slices, *odd]
    current = folder[min(chosen, len(folder) - 1)]
    report = select(current, folder, RULES, pixels_agree=lambda *_: True)
    assert report.verdict and len(report.rows) == len(folder)
    assert report.verdict != Code.INTERNAL and len(report.numbers) < 64
