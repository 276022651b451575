"""What became of every file that was looked at: still in, or left out for the first reason that was found.

``Sorting`` is the only state of a selection; the rules that it applies are functions of headers. A reason
that applies to the current image ends the request, with the same code.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scp.errors import Code, Refused
from scp.model import FileFacts, Header, Note, Value

FrameKey = tuple[str, int]
"""What tells one image from another wherever it lies: path (or SOP Instance UID) and frame."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says of one file: a reason to leave it out, or nothing (:data:`FITS`)."""

    code: str = ""
    detail: str = ""

    def __bool__(self) -> bool:
        return bool(self.code)


FITS = Finding()

Rule = Callable[[FileFacts], Finding]


def once_for_all_alike(keywords: Sequence[str], rule: Callable[[Header], Finding]) -> Rule:
    """Return *rule*, which reads *keywords* and nothing else, asked once for all images alike in those.

    The images of a series agree in nearly all they say, so that a thousand of them are a few questions.
    """
    told: dict[tuple[Value | None, ...], Finding] = {}

    def asked(facts: FileFacts) -> Finding:
        alike = tuple(map(facts.header.attributes.get, keywords))
        finding = told.get(alike)
        if finding is None:
            finding = told[alike] = rule(facts.header)
        return finding

    return asked


def objection(facts: FileFacts, rules: Iterable[Rule]) -> Finding:
    """Return what the first rule that objects says, or nothing."""
    for rule in rules:
        if finding := rule(facts):
            return finding
    return FITS


def place(facts: FileFacts) -> FrameKey:
    """Return where the image lies: its path, and its frame of a multi-frame file."""
    return str(facts.path), facts.frame


def image_key(facts: FileFacts) -> FrameKey:
    """Return which image it is, wherever it lies: its SOP Instance UID and frame."""
    return facts.sop_instance_uid, facts.frame


def in_fixed_order(facts: Iterable[FileFacts]) -> list[FileFacts]:
    """Return the facts in an order that does not depend on how the folder was listed."""
    return sorted(facts, key=lambda image: (image.sop_instance_uid, image.frame, str(image.path)))


class Sorting:
    """Which files are out and why, and what else the report must mention."""

    def __init__(self, current: FileFacts) -> None:
        self.current = current
        self.findings: dict[FrameKey, Finding] = {}
        self.notes: list[Note] = []

    def keep(self, images: Sequence[FileFacts], *rules: Rule) -> list[FileFacts]:
        """Return the images to which no rule objects; the first objection decides about each other one.

        Raises ``Refused`` where it is the current image that a rule objects to, after all are judged.
        """
        kept, refusal = [], FITS
        for image in images:
            finding = objection(image, rules)
            if not finding:
                kept.append(image)
                continue
            self.exclude(image, finding)
            if place(image) == place(self.current):
                refusal = finding
        if refusal:
            raise Refused(refusal.code, f"The current image {self.current.path}: {refusal.detail}.")
        return kept

    def exclude(self, image: FileFacts, finding: Finding) -> None:
        """Note why one image is out; the first reason stays."""
        self.findings.setdefault(place(image), finding)

    def reason(self, image: FileFacts) -> str:
        """Return why the image is out, ``""`` while it is in."""
        return self.findings.get(place(image), FITS).code

    def finding(self, image: FileFacts, undecided: Finding) -> Finding:
        """Return why the image is out, or *undecided* while nothing was found."""
        return self.findings.get(place(image), undecided)

    def admit(self, image: FileFacts) -> None:
        """Take an image back in (an unlabelled one that fits a hole)."""
        self.findings.pop(place(image), None)

    def note(self, code: Code, detail: str = "") -> None:
        """Mention something that excludes nothing; said once."""
        note = Note(code, detail)
        if note not in self.notes:
            self.notes.append(note)
