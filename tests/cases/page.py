"""docs/cases.md, and a table of the README: what this node and others do with each case, from what was run.

``python -m tests.cases.page`` runs all cases and writes both anew; the tests run them again and compare.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.cases import files, images, losses, owners, stacks
from tests.cases.measuring import worth
from tests.cases.node import Verdict, judge
from tests.cases.readers import READERS, Reads, versions
from tests.cases.registry import CASES, Case
from tests.cases.scenes import Scene

PAGE = Path(__file__).parents[2] / "docs" / "cases.md"
README = Path(__file__).parents[2] / "README.md"
IN_README = ("B7", "B10", "B12", "C15", "S1 echo times", "D1 second", "D9", "D11", "D12 found")
"""What people meet most, and where silence does most harm."""
BEGIN, END = "<!-- cases: python -m tests.cases.page -->\n", "<!-- end of cases -->\n"

GROUPS = {
    "A": ("What lies beside the images", files),
    "B": ("Whose images they are", owners),
    "C": ("What an image is", images),
    "S": ("Several stacks in one series", stacks),
    "D": ("What is missing", losses),
}
"""Headings by the letter of the case; importing the modules enters their cases."""

HEAD = """\
# Cases of real archives

Each row is a folder that is made, given to this node, and given to three good libraries in the way their
own examples do it; nothing here is quoted. `python -m tests.cases.page` runs the cases and writes this
page; the tests run them again and fail where it does not agree.

Every voxel of these images tells by its value where in the patient it lies and whose it is. So a volume
is not judged by its header but asked, voxel by voxel, and so are the coronal planes of this node:
wherever it makes any, all voxels are ours and lie within 0.1 mm of where the planes say.

| word | means |
|---|---|
| right | every voxel belongs to the series and lies where the volume says |
| mixed patients | voxels of another patient are in the volume |
| mixed images | voxels of another series, contrast, report page, cut file ... are in the volume |
| stretched | voxels of the series lie elsewhere than the volume says, by so much at worst |
| hole filled | slices that are not in the folder were made up between their neighbours |
| short | slices that the scanner made are not in the volume |
| error, nothing | no volume; the words are the library's |
| best of N volumes | it wrote several, some of them wrong; the best one counts |
| warning | and it warned, on stderr or stdout |

This node: how many images it used, what it names as missing, how many files it left out by reason, what
it mentions. **Bold** is a refusal. SimpleITK: `ImageSeriesReader.GetGDCMSeriesIDs`,
`GetGDCMSeriesFileNames` and `Execute` on the series that holds the current image. dcm2niix: `dcm2niix
FOLDER`, what it wrote for the Series Instance UID of the current image. highdicom:
`get_volume_from_series` on all DICOM files of that Series Instance UID. None of them is told which image
is the current one, and none promises what this node does: the table says where care is needed.
"""

FOOT = """\
## Not a folder

A8 (a file changes while it is read), B13 (a request's header disagrees with the stored image) and B15
(rejection notes of a peer) need more than a folder of files; other tests hold them.
"""


def row(case: Case, scene: Scene, verdict: Verdict, reads: Reads) -> str:
    """Return the row of one case, its readers run now."""
    others = [case.varies.get(name) or reads(name, scene.current).in_words(scene) for name in READERS]
    return f"| {' | '.join([case.name, case.lies, verdict.in_words(), *others])} |"


def text(rows: Iterable[str]) -> str:
    """Return the page; *rows* in the order of the cases."""
    of = by_name(rows)
    made_with = ", ".join(f"{name} {number}" for name, number in versions().items())
    parts = [HEAD, f"Made with {made_with}.\n"]
    for letter, (heading, _) in GROUPS.items():
        lines = (of[name] for name in CASES if name.startswith(letter))
        parts.append(f"## {heading}\n\n{table(lines)}")
    return "\n".join([*parts, FOOT])


def readme(of: Mapping[str, str]) -> str:
    """Return the README with the rows of :data:`IN_README` as they are now; *of* has the rows by case."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(of[name] for name in IN_README) + END + after


def table(lines: Iterable[str]) -> str:
    """Return *lines* under the heading that they have."""
    columns = ["case", "in the folder", "this node", *READERS]
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines, ""])


def by_name(rows: Iterable[str]) -> dict[str, str]:
    return dict(zip(CASES, rows, strict=True))


def measured(case: Case, root: Path, reads: Reads) -> str:
    """Lay the case, ask everybody, and return its row. Planes of ours that are not right are an error."""
    scene = case.lay(root)
    verdict, planes = judge(scene)
    assert verdict.report["verdict"] == case.verdict, (case.name, verdict.report)
    if planes is not None:
        ours = worth(planes, scene)
        assert not (ours.of_another_patient or ours.of_another_image or ours.off_mm), (case.name, ours)
    return row(case, scene, verdict, reads)


def main() -> None:
    reads = Reads()
    with tempfile.TemporaryDirectory() as root:
        rows = [measured(case, Path(root), reads) for case in CASES.values()]
    reads.close()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text(rows), encoding="utf-8")
    README.write_text(readme(by_name(rows)), encoding="utf-8")
    print(f"{len(rows)} cases in {PAGE}, {len(IN_README)} of them in {README}")


if __name__ == "__main__":
    main()
