"""One request, from asking to sending: the method, readable top to bottom.

``run`` is the whole of it, ``preview`` all but the pixels (a dry run), ``explain`` the selection alone. All
three rest on a ``SelectionReport``, or end in ``Refused`` with its code. What a request may use comes as
``Means``: a running node has an archive and peers, the command line only folders.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from scp import rendering
from scp.completion import Surroundings, complete
from scp.config import Config
from scp.errors import Code, Refused
from scp.isolation import local
from scp.model import (
    Event,
    FileFacts,
    FolderReader,
    IsCancelled,
    KnownInstance,
    MPRRequest,
    Planned,
    Produced,
    Progress,
    Search,
    SelectionReport,
    SelectionRules,
)
from scp.production import WORKING_BYTES, Prospect, Workshop, plan_results, produce
from scp.selection import current_of_series, refusal, select


class Holdings(Protocol):
    """The images that are known beyond one folder: an archive, or nothing."""

    def instance_files(self, sop_instance_uid: str) -> tuple[FileFacts, ...]: ...

    def series_files(self, study_uid: str, series_uid: str) -> tuple[FileFacts, ...]: ...

    def rejected(self) -> frozenset[str]:
        """Return the SOP Instance UIDs that a rejection note names."""


class NoHoldings:
    """What the command line knows beyond the folder that it was given: nothing."""

    def instance_files(self, sop_instance_uid: str) -> tuple[FileFacts, ...]:  # noqa: ARG002 the protocol's
        return ()

    def series_files(self, study_uid: str, series_uid: str) -> tuple[FileFacts, ...]:  # noqa: ARG002 the same
        return ()

    def rejected(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True, slots=True)
class Means:
    """What requests may use.

    *read_folder* gives the facts of a folder's files, *holdings* those of images elsewhere, *surroundings*
    what the searches may use around a current image, *workshop* what rendering may.
    """

    config: Config
    read_folder: FolderReader
    holdings: Holdings
    surroundings: Callable[[FileFacts], Surroundings]
    workshop: Workshop


def run(request: MPRRequest, means: Means, spool: Path, cancelled: IsCancelled) -> Iterator[Event]:
    """Yield the events of one reconstruction: ``Planned`` once, then ``Produced`` for each object.

    The objects are files in the folder *spool*, which belongs to the caller.
    Raises ``Refused``, ``Cancelled``, ``DecodingFailed``, ``WorkerFailed``.
    """
    yield Progress("selecting")
    prospect = preview(request, means, cancelled)
    yield Planned(len(prospect.series.sop_instance_uids))
    yield from map(Produced, produce(prospect, means.workshop, spool, cancelled))


def preview(request: MPRRequest, means: Means, cancelled: IsCancelled, *, retrieve: bool = True) -> Prospect:
    """Return what the request would yield. Raises ``Refused`` where it would be refused."""
    report = explain(request, means, cancelled, retrieve=retrieve)
    if not report.ok:
        raise refusal(report)
    return plan_results(request, report, means.config)


def explain(
    request: MPRRequest, means: Means, cancelled: IsCancelled, *, retrieve: bool = True
) -> SelectionReport:
    """Return what belongs to the series of the current image, completed by the searches.

    *retrieve* = False asks peers what they hold and fetches nothing.
    Raises ``Refused`` where there is no current image to start from.
    """
    rules = means.config.rules(request.policy, request.minimum_images)
    current = _current_image(request, means, rules)
    folder = means.read_folder(current.path.parent)
    limits = local.Limits(WORKING_BYTES * 4, means.config.reconstruction.deadline)

    def pixels_agree(one: FileFacts, other: FileFacts) -> bool:
        return next(local.run(rendering.pixels_agree, (one, other), limits, cancelled)) == b"1"

    def select_again(
        found: Sequence[FileFacts], known: Sequence[KnownInstance], searches: Sequence[Search]
    ) -> SelectionReport:
        return select(
            current,
            folder,
            rules,
            found=found,
            known=known,
            stated=request.stated,
            rejected=means.holdings.rejected(),
            pixels_agree=pixels_agree,
            searches=searches,
        )

    surroundings = replace(means.surroundings(current), retrieve=retrieve)
    deadline = surroundings.clock() + means.config.completion.deadline
    return complete(select_again((), (), ()), select_again, surroundings, cancelled, deadline)


def _current_image(request: MPRRequest, means: Means, rules: SelectionRules) -> FileFacts:
    if request.path is not None:
        return _current_by_path(request.path, means.read_folder, rules)
    if request.sop_instance_uid:
        copies = means.holdings.instance_files(request.sop_instance_uid)
        if copies:
            return _best_copy(copies, means)
        raise _unknown("image", request.sop_instance_uid)
    files = means.holdings.series_files(request.study_instance_uid, request.series_instance_uid)
    if not files:
        raise _unknown("series", request.series_instance_uid)
    home, _ = Counter(facts.path.parent for facts in files).most_common(1)[0]
    return current_of_series([facts for facts in files if facts.path.parent == home], rules)


def _current_by_path(path: Path, read_folder: FolderReader, rules: SelectionRules) -> FileFacts:
    path = path.absolute()
    if path.is_dir():
        return current_of_series(read_folder(path), rules)
    for facts in read_folder(path.parent):
        if facts.path == path:
            return facts
    raise Refused(Code.UNKNOWN_IMAGE, f"there is no file {path}; name an image or a folder of images")


def _best_copy(copies: Sequence[FileFacts], means: Means) -> FileFacts:
    """Return the copy in the folder that holds most of its series."""
    header = copies[0].header
    series = means.holdings.series_files(header.text("StudyInstanceUID"), header.text("SeriesInstanceUID"))
    holds = Counter(facts.path.parent for facts in series)
    return max(copies, key=lambda facts: (holds[facts.path.parent], str(facts.path)))


def _unknown(what: str, uid: str) -> Refused:
    return Refused(
        Code.UNKNOWN_IMAGE,
        f"no {what} with the UID {uid} is in this archive; send it first, or ask where it is",
        what,
    )
