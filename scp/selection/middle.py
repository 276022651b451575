"""Which image stands for a series when a request names no image (S0).

Every image of the series is sorted into the stack in which it would be used, those of each patient and study
by themselves; where exactly one stack is large enough, or only one is there, its middle image becomes the
current one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scp.errors import Code, Refused
from scp.model import FileFacts, SelectionReport, SelectionRules, counted
from scp.selection.fitness import BY_ITSELF
from scp.selection.identity import by_patient_and_study, patient
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
    Raises ``NoMiddleImage``: which-stack, naming one SOP Instance UID of each, or *by_file* one file; where
    none of several stacks is large enough, which-stack *by_file* and for several patients, else
    too-few-images; the reason of the images where none of them can be part of a volume. Raises ``Refused``
    where there is no file.
    """
    parts = [facts] if by_file else by_patient_and_study(facts)
    reports = [report for part in parts for report in _selections(part, rules)]
    stacks = [report for report in reports if report.stack]
    large = [report for report in stacks if len(report.stack) >= rules.minimum_images]
    if len(large or stacks) == 1:
        return _middle((large or stacks)[0].stack)
    if large or (stacks and (by_file or _patients(stacks) > 1)):
        raise NoMiddleImage(_which_stack(large or stacks, by_file))
    largest = max(reports, key=lambda report: len(report.stack), default=None)
    raise NoMiddleImage(largest) if largest else _no_image(facts, rules)


def _which_stack(reports: Sequence[SelectionReport], by_file: bool) -> SelectionReport:
    """Return the report of the first of several stacks, turned into the question which of them is meant."""
    middles = [(_middle(report.stack), len(report.stack)) for report in reports]
    kind = _kind(reports)
    names = ", ".join(
        f"{image.path.name if by_file else image.sop_instance_uid} ({counted(count, 'image')})"
        for image, count in middles
    )
    whose = "the patient's name or ID, or with " if _patients(reports) > 1 else ""
    sentence = f"The series holds {kind}; ask with {whose}the SOP Instance UID of one of these: {names}."
    if by_file:
        sentence = f"{kind} here: {names}; name one of these files."
    numbers = f"{kind}, name an image"
    return replace(reports[0], verdict=Code.WHICH_STACK, numbers=numbers, sentence=sentence)


def _kind(reports: Sequence[SelectionReport]) -> str:
    """Return in words what the stacks of *reports* are: ``2 series of 2 patients``."""
    series = {_middle(report.stack).header.text("SeriesInstanceUID") for report in reports}
    patients = _patients(reports)
    of_patients = f" of {patients} patients" if patients > 1 else ""
    return f"{len(reports)} {'series' if len(series) > 1 else 'stacks'}{of_patients}"


def _patients(reports: Sequence[SelectionReport]) -> int:
    """Return how many patients the stacks of *reports* are of."""
    found: list[FileFacts] = []
    for image in (_middle(report.stack) for report in reports):
        if all(patient(other.header, image.header) for other in found):
            found.append(image)
    return len(found)


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
