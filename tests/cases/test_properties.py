"""Whatever the files are called, whatever lies among them: the same stack; and every loss is named."""

import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scp import pipeline
from scp.cli.means import means
from scp.errors import Code
from scp.model import MPRRequest, PlaneRequest, SelectionReport
from tests.builders import uid
from tests.cases.scenes import Whose, scan, slice_at

COUNT = 14
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20)
FILE_NAMES = NAMES.filter(lambda name: name not in (".", "..") and len(name.encode()) < 100)

STRANGERS = (
    {"PatientName": "Doe^John"},
    {"PatientID": "P-2"},
    {"StudyInstanceUID": uid("another study")},
    {"SeriesInstanceUID": uid("another series")},
    {"SeriesInstanceUID": None},
    {"SeriesNumber": 9},
    {"Modality": "MR"},
    {"spacing": (0.5, 0.5)},
    {"rows": 16},
    {"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},
    {"KVP": "80"},
    {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    {"ImagePositionPatient": None},
)
RUBBISH = (b"", b"text", b"\x89PNG\r\n\x1a\n", bytes(128) + b"DICM" + b"\xff" * 40)


def content_of(ds) -> bytes:
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


SLICES = [content_of(ds) for ds in scan(COUNT)]
FOREIGN = [
    *(
        content_of(slice_at(n, Whose.ANOTHER_IMAGE, f"stranger {n}", **given))
        for n, given in enumerate(STRANGERS)
    ),
    *RUBBISH,
]


def explained(files: dict[str, bytes], current: str) -> SelectionReport:
    """Return the report on a folder that is made of *files*, in their order."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "series")
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        with means(None, folder) as allowed:
            request = MPRRequest(PlaneRequest(), path=folder / current)
            return pipeline.explain(request, allowed, lambda: False)


FOLDER = SLICES + FOREIGN
OURS = range(COUNT)
STRANGE = st.sets(st.integers(COUNT, len(FOLDER) - 1), max_size=6)
"""Files are drawn by their place in FOLDER: what hypothesis prints stays legible."""


@settings(max_examples=25, deadline=None)
@given(STRANGE, st.sampled_from(OURS), st.data())
def test_no_shuffling_renaming_or_mixing_of_files_changes_the_stack(strangers, chosen, data):
    order = data.draw(st.permutations([*OURS, *sorted(strangers)]))
    names = data.draw(st.lists(FILE_NAMES, min_size=len(order), max_size=len(order), unique_by=str.casefold))
    named = dict(zip(order, names, strict=True))
    report = explained({named[k]: FOLDER[k] for k in order}, named[chosen])
    assert report.ok and not report.missing
    assert [image.path.name for image in report.stack] == [named[k] for k in OURS]
    assert len(report.rows) == len(order)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, COUNT - 2), max_size=COUNT - 3), STRANGE, st.data())
def test_any_slices_that_are_removed_between_the_ends_are_named_exactly(gone, strangers, data):
    here = [k for k in OURS if k not in gone]
    files = {f"{k}.dcm": FOLDER[k] for k in [*here, *strangers]}
    report = explained(files, f"{data.draw(st.sampled_from(here))}.dcm")
    assert [missing.instance_number for missing in report.missing] == [k + 1 for k in sorted(gone)]
    assert report.verdict == (Code.MISSING_INSTANCES if gone else Code.OK)
