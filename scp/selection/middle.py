"""Which image stands for a series when a request names no image (S0).

Every image of the series is sorted into the stack in which it would be used; where exactly one stack is large
enough, or only one is there, its middle image becomes the current one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scp.errors import Code, Refused
from scp.model import FileFacts, SelectionReport, SelectionRules, counted
from scp.selection.fitness import BY_ITSELF
from scp.selection.identity import patient
from scp.selection.method import select
from scp.selection.sorting import in_fixed_order, place

NO_IMAGE_AT_ALL = frozenset({Code.NOT_AN_IMAGE, Code.NOT_DICOM, Code.NOT_A_FILE})
"""What a scan says of files that were never meant to be an image."""


class NoMiddleImage(Refused):
    """No one image stands for the files; *report* is the selection that tells most of them."""

    def __init__(self, report: SelectionReport) -> None:
        super().__init__(report.verdict, report.sentence, report.numbers)
        self.args = (report,)
        self.report = report


def current_of_series(
    facts: Sequence[FileFacts], rules: SelectionRules, *, by_file: bool = False
) -> FileFacts:
    """Return the middle image of the one stack of *facts* that holds the minimum number of images.

    A series that is here in part has one smaller stack: its middle image will do, since images are counted
    after the searches.
    Raises ``NoMiddleImage``: which-stack, naming one SOP Instance UID of each, or *by_file* one file;
    too-few-images where none of several stacks is large enough, but which-stack *by_file*; the reason of the
    images where none of them can be part of a volume. Raises ``Refused`` where there is no file.
    """
    reports = list(_selections(facts, rules))
    stacks = [report for report in reports if report.stack]
    large = [report for report in stacks if len(report.stack) >= rules.minimum_images]
    if len(large or stacks) == 1:
        return _middle((large or stacks)[0].stack)
    if large or (by_file and stacks):
        raise NoMiddleImage(_which_stack(large or stacks, by_file))
    largest = max(reports, key=lambda report: len(report.stack), default=None)
    raise NoMiddleImage(largest) if largest else _no_image(facts, rules)


def _which_stack(reports: Sequence[SelectionReport], by_file: bool) -> SelectionReport:
    """Return the report of the first of several stacks, turned into the question which of them is meant."""
    middles = [(_middle(report.stack), len(report.stack)) for report in reports]
    kind = _kind([image for image, _ in middles])
    names = ", ".join(
        f"{image.path.name if by_file else image.sop_instance_uid} ({counted(count, 'image')})"
        for image, count in middles
    )
    sentence = f"The series holds {kind}; ask with the SOP Instance UID of one of these: {names}."
    if by_file:
        sentence = f"{kind} here: {names}; name one of these files."
    numbers = f"{kind}, name an image"
    return replace(reports[0], verdict=Code.WHICH_STACK, numbers=numbers, sentence=sentence)


def _kind(images: Sequence[FileFacts]) -> str:
    """Return in words what the stacks are that *images* stand for: ``2 series of 2 patients``."""
    series = {image.header.text("SeriesInstanceUID") for image in images}
    patients: list[FileFacts] = []
    for image in images:
        if all(patient(other.header, image.header) for other in patients):
            patients.append(image)
    of_patients = f" of {len(patients)} patients" if len(patients) > 1 else ""
    return f"{len(images)} {'series' if len(series) > 1 else 'stacks'}{of_patients}"


def _selections(facts: Sequence[FileFacts], rules: SelectionRules) -> Iterator[SelectionReport]:
    """Yield the selection of one image after the other whose fate no earlier selection has told.

    That is the slices of its stack, or the images that a refusal left undecided beside it.
    """
    images = [f for f in in_fixed_order(facts) if not any(rule(f) for rule in BY_ITSELF)]
    told: set[tuple[str, int]] = set()
    for image in images:
        if place(image) not in told:
            report = select(image, facts, rules, pixels_agree=_believed)
            its_own = (Code.USED, Code.DUPLICATE, Code.UNDECIDED, report.verdict)
            told |= {(str(row.path), row.frame) for row in report.rows if row.reason in its_own}
            told.add(place(image))
            yield report


def _believed(_one: FileFacts, _other: FileFacts) -> bool:
    """Take copies of one image for equal: which image is meant does not hang on it; the selection proves."""
    return True


def _middle(stack: Sequence[FileFacts]) -> FileFacts:
    return stack[len(stack) // 2]


def _no_image(facts: Sequence[FileFacts], rules: SelectionRules) -> Refused:
    """Return why nothing of the series can be a slice: as the first of its images would be refused.

    What is no image, a DICOMDIR or a report, is at fault only where nothing else is there.
    """
    for image in sorted(in_fixed_order(facts), key=lambda file: file.reason in NO_IMAGE_AT_ALL):
        return NoMiddleImage(select(image, facts, rules))
    return Refused(
        Code.TOO_FEW_IMAGES,
        f"There is no file in the series; {rules.minimum_images} images are needed.",
        comment=f"0 of {rules.minimum_images}",
    )
