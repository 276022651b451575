"""One request, from asking to objects: the method, readable top to bottom.

``explain`` finds the current image, selects what belongs to it and has the searches complete it (steps 1 to 5
of the method); ``preview`` plans the planes and the objects (6 to 8, without pixels: ``scp.planning``);
``begin`` starts to make them (``scp.production``). All rest on a ``SelectionReport``, or end in ``Refused``
with its code. What a request may use comes as ``Means``: a running node has an archive and peers, the command
line at least folders.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from scp import rendering
from scp.completion import Surroundings, complete
from scp.config import Config
from scp.current import Holdings, current_image
from scp.errors import Code, DecodingFailed, Refused
from scp.isolation import local
from scp.isolation.budget import WORKING_BYTES
from scp.model import (
    FileFacts,
    FileRef,
    FolderReader,
    IsCancelled,
    KnownInstance,
    MPRRequest,
    Search,
    SelectionReport,
    Takes,
    takes_all,
)
from scp.planning import Prospect, as_taken, plan_results
from scp.production import Workshop, produce
from scp.reconstruction.pixels import decoded_bytes
from scp.selection import refusal, select

DECODED_COPIES = 4
"""How often the pixels of an image lie in the memory of the child that compares it."""

Place = tuple[Path, int]
"""Where one image lies: a file, and the frame of a multi-frame file."""

NONE_UNDECODABLE: Mapping[Path, str] = MappingProxyType({})


class Reach(Enum):
    """How far a selection goes for missing images."""

    HERE = "folders and index"
    ASK = "and peers are asked what they hold"
    FETCH = "and what they hold is fetched"


@dataclass(frozen=True, slots=True)
class Means:
    """What requests may use.

    *read_folder* gives the facts of a folder's files, *holdings* those of images elsewhere, *surroundings*
    what the searches may use around a current image, *workshop* what rendering may, *takes* which
    classes the receiver takes.
    """

    config: Config
    read_folder: FolderReader
    holdings: Holdings
    surroundings: Callable[[FileFacts], Surroundings]
    workshop: Workshop
    takes: Takes = takes_all


@dataclass(frozen=True, slots=True)
class Production:
    """A reconstruction under way: *prospect* says what comes, *refs* yields it; to close them is to stop."""

    prospect: Prospect
    refs: Generator[FileRef, None, None]


def begin(
    request: MPRRequest,
    means: Means,
    spool: Path,
    cancelled: IsCancelled,
    prospect: Prospect | None = None,
) -> Production:
    """Return the production of the request, once its first object is made, in the empty folder *spool*.

    *prospect* is what ``preview`` returned, where it has been asked already.

    A slice whose pixels cannot be had counts as missing from then on: it is searched for, and what stays
    missing is what the policy says. Raises ``Refused``, ``Cancelled``, ``DecodingFailed``, ``WorkerFailed``.
    """
    undecodable: dict[Path, str] = {}
    while True:
        try:
            prospect = prospect or preview(request, means, cancelled, undecodable=undecodable)
            refs = produce(prospect, means.workshop, spool, cancelled)
            return Production(prospect, _resumed(next(refs), refs))
        except DecodingFailed as failure:
            if undecodable.keys() >= set(failure.paths):
                raise
            undecodable |= dict.fromkeys(failure.paths, str(failure))
            prospect = None
            for begun in spool.iterdir():  # a cluster hands over parts before all slices are read
                begun.unlink()


def _resumed(first: FileRef, rest: Generator[FileRef, None, None]) -> Generator[FileRef, None, None]:
    with closing(rest):
        yield first
        yield from rest


def preview(
    request: MPRRequest,
    means: Means,
    cancelled: IsCancelled,
    *,
    reach: Reach = Reach.FETCH,
    undecodable: Mapping[Path, str] = NONE_UNDECODABLE,
) -> Prospect:
    """Return what the request will yield, ready for ``scp.production.produce``.

    Raises ``Refused`` where the images do not make a volume, and where a listed result is no longer what it
    was. Calls the receiver, which may take other classes only, when there is nothing else to refuse.
    """
    report = explain(request, means, cancelled, reach=reach, undecodable=undecodable)
    if not report.ok:
        raise refusal(report)
    prospect = plan_results(request, report, means.config)
    if request.result_series_uid not in ("", prospect.series.series_instance_uid):
        raise Refused(
            Code.RESULT_STALE,
            f"the images of this result changed since it was listed, {len(report.stack)} are used now; query "
            "again and retrieve what is listed then",
            f"images changed, now {len(report.stack)}, query again",
        )
    return as_taken(prospect, request, means.config, means.takes)


def explain(
    request: MPRRequest,
    means: Means,
    cancelled: IsCancelled,
    *,
    reach: Reach = Reach.FETCH,
    undecodable: Mapping[Path, str] = NONE_UNDECODABLE,
) -> SelectionReport:
    """Return what belongs to the series of the current image, completed by the searches.

    *undecodable* are files whose pixels are known not to decode, with the cause.
    Raises ``Refused`` where there is no current image to start from.
    """
    rules = means.config.rules(request.policy, request.minimum_images)
    current = current_image(request, means.holdings, means.read_folder, rules)
    (shown,) = _marked([current], undecodable)
    folder = _marked(means.read_folder(current.path.parent), undecodable)
    rejected = means.holdings.rejected()

    comparison = _Comparison(means, cancelled)

    def select_again(
        found: Sequence[FileFacts], known: Sequence[KnownInstance], searches: Sequence[Search]
    ) -> SelectionReport:
        return select(
            shown,
            folder,
            rules,
            found=_marked(found, undecodable),
            known=known,
            stated=request.stated,
            rejected=rejected,
            pixels_agree=comparison.pixels_agree,
            searches=searches,
        )

    surroundings = replace(_within(means.surroundings(current), reach), rejected=rejected)
    deadline = surroundings.clock() + means.config.completion.deadline
    return complete(select_again((), (), ()), select_again, surroundings, cancelled, deadline)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares copies of one image by their pixels: each pair in one child, however often it is asked of.

    Everything is selected again whenever a search has news, and the same copies turn up each time.
    """

    means: Means
    cancelled: IsCancelled
    answers: dict[frozenset[Place], bool] = field(default_factory=dict)

    def pixels_agree(self, one: FileFacts, other: FileFacts) -> bool:
        pair = frozenset({(one.path, one.frame), (other.path, other.frame)})
        if pair not in self.answers:
            self.answers[pair] = self._decoded_alike((one, other))
        return self.answers[pair]

    def _decoded_alike(self, copies: tuple[FileFacts, FileFacts]) -> bool:
        memory_bytes = WORKING_BYTES + sum(map(_decoding_bytes, copies))
        limits = local.Limits(memory_bytes, self.means.config.reconstruction.deadline)
        with (
            self.means.workshop.budget.reserve(memory_bytes, self.cancelled),
            closing(local.run(rendering.pixels_agree, copies, limits, self.cancelled)) as answers,
        ):
            return next(answers) == b"1"


def _decoding_bytes(facts: FileFacts) -> int:
    """Return the memory that decoding this one frame takes: what is stored, and what becomes of it."""
    stored_bytes = facts.pixel_data.length if facts.pixel_data else 0
    frames = facts.header.integer("NumberOfFrames") or 1
    return 2 * stored_bytes + DECODED_COPIES * decoded_bytes(facts.header) // max(frames, 1)


def _marked(files: Sequence[FileFacts], undecodable: Mapping[Path, str]) -> tuple[FileFacts, ...]:
    """Return *files* with the reason of those that do not decode."""
    return tuple(
        replace(facts, reason=Code.CANNOT_DECODE, detail=undecodable[facts.path])
        if facts.path in undecodable
        else facts
        for facts in files
    )


def _within(surroundings: Surroundings, reach: Reach) -> Surroundings:
    if reach is Reach.HERE:
        return replace(surroundings, peers=())
    return replace(surroundings, retrieve=reach is Reach.FETCH)
