"""Which image stands for a series when a request names no image (S0).

Every image of the series is sorted into the stack in which it would be used; where exactly one stack is large
enough, or only one is there, its middle image becomes the current one.
"""

from collections.abc import Iterator, Sequence

from scp.errors import Code, Refused
from scp.model import FileFacts, SelectionReport, SelectionRules
from scp.selection.fitness import BY_ITSELF
from scp.selection.method import select
from scp.selection.report import refusal
from scp.selection.sorting import in_fixed_order, place


def current_of_series(facts: Sequence[FileFacts], rules: SelectionRules) -> FileFacts:
    """Return the middle image of the one stack of *facts* that holds the minimum number of images.

    A series that is here in part has one smaller stack: its middle image will do, since images are counted
    after the searches.
    Raises ``Refused``: which-stack, naming one SOP Instance UID of each; too-few-images where none of
    several stacks is large enough; the reason of the images where none of them can be part of a volume.
    """
    reports = list(_selections(facts, rules))
    stacks = [report.stack for report in reports if report.stack]
    large = [stack for stack in stacks if len(stack) >= rules.minimum_images]
    if len(large or stacks) == 1:
        return _middle((large or stacks)[0])
    if large:
        named = ", ".join(f"{_middle(stack).sop_instance_uid} ({len(stack)} images)" for stack in large)
        raise Refused(
            Code.WHICH_STACK,
            f"The series holds {len(large)} stacks; ask with the SOP Instance UID of one of these: {named}.",
            comment=f"{len(large)} stacks, name an image",
        )
    largest = max(reports, key=lambda report: len(report.stack), default=None)
    if largest is None:
        raise _no_image(facts, rules)
    raise refusal(largest)


def _selections(facts: Sequence[FileFacts], rules: SelectionRules) -> Iterator[SelectionReport]:
    """Yield the selection of one image after the other whose fate no earlier selection has told.

    That is the slices of its stack, or the images that a refusal left undecided beside it.
    """
    images = [f for f in in_fixed_order(facts) if not any(rule(f) for rule in BY_ITSELF)]
    told: set[tuple[str, int]] = set()
    for image in images:
        if place(image) not in told:
            report = select(image, facts, rules, pixels_agree=_believed)
            its_own = (Code.USED, Code.DUPLICATE, report.verdict)
            told |= {(str(row.path), row.frame) for row in report.rows if row.reason in its_own}
            told.add(place(image))
            yield report


def _believed(_one: FileFacts, _other: FileFacts) -> bool:
    """Take copies of one image for equal: which image is meant does not hang on it; the selection proves."""
    return True


def _middle(stack: Sequence[FileFacts]) -> FileFacts:
    return stack[len(stack) // 2]


def _no_image(facts: Sequence[FileFacts], rules: SelectionRules) -> Refused:
    """Return why nothing of the series can be a slice: as the first of its files would be refused."""
    for image in in_fixed_order(facts):
        report = select(image, facts, rules)
        return refusal(report)
    return Refused(
        Code.TOO_FEW_IMAGES,
        f"There is no file in the series; {rules.minimum_images} images are needed.",
        comment=f"0 of {rules.minimum_images}",
    )
