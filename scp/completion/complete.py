"""Completion: run the searches in their order until nothing is missing, and prove what each one found.

Between the selection of what lies in the folder and the volume. A search only proposes: whatever it finds
passes the whole selection again, with the same checks as the files of the folder, and counts as found only
if the volume uses it. What stays missing is decided by the selection's policy, not here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from scp.completion import ancestors, index, peers, time_radius
from scp.completion.lacking import known_by, lacking
from scp.completion.ledger import Found, Ledger
from scp.completion.pursuit import Pursuit
from scp.completion.surroundings import Surroundings
from scp.errors import IndexUnavailable, PeerFailed
from scp.model import FileFacts, IsCancelled, KnownInstance, Search, SelectionReport

SelectAgain = Callable[
    [Sequence[FileFacts], Sequence[KnownInstance], Sequence[Search]],
    SelectionReport,
]
"""Selects again with all files found, all instances known to exist, and the ledger so far."""

SEARCHES: dict[str, Callable[[Pursuit], Iterator[Found]]] = {
    "ancestors": ancestors.search,
    "time_radius": time_radius.search,
    "index": index.search,
    "peers": peers.search,
}
"""Every search by the name that ``completion.searches`` gives it. Each ends once nothing is missing."""


def complete(
    report: SelectionReport,
    select_again: SelectAgain,
    surroundings: Surroundings,
    cancelled: IsCancelled,
    deadline: float,
) -> SelectionReport:
    """Return *report* with what the searches found, and the ledger of whom they asked.

    *deadline* is on the clock of *surroundings* (``time.monotonic``, seconds); when it passes, the report
    stands as it is then. A report whose verdict more images cannot change comes back as it is.
    Raises ``Cancelled``. A search that fails is a line in the ledger.
    """
    proof = _Proof(report, select_again, surroundings.rejected)
    pursuit = Pursuit(surroundings, proof.lacking, deadline, cancelled, report.rules)
    for name in surroundings.searches:
        for finding in _guarded(SEARCHES[name], pursuit):
            proof.take(name, finding)
            pursuit.lacking = proof.lacking
        pursuit.check()
    return proof.report


def _guarded(search: Callable[[Pursuit], Iterator[Found]], pursuit: Pursuit) -> Iterator[Found]:
    """Yield what *search* yields; where it fails, a finding that says so instead of the rest."""
    begun = pursuit.surroundings.clock()
    try:
        yield from search(pursuit)
    except (OSError, IndexUnavailable, PeerFailed) as error:
        took_s = pursuit.surroundings.clock() - begun
        yield Found("this node", detail=f"failed: {error}", seconds=took_s, failed=True)


class _Proof:
    """The report as it grows: everything found so far passes the selection together."""

    def __init__(self, report: SelectionReport, select_again: SelectAgain, rejected: frozenset[str]) -> None:
        self._rejected = rejected
        self._select_again = select_again
        self._selected = report
        self._found: dict[tuple[str, int], FileFacts] = {}
        self._known: dict[tuple[str, str], KnownInstance] = {}
        self._ledger = Ledger()
        self._earlier = report.searches
        self.lacking = lacking(report, (), rejected)

    @property
    def report(self) -> SelectionReport:
        return replace(self._selected, searches=self._earlier + self._ledger.lines)

    def take(self, search: str, finding: Found) -> None:
        """Prove the candidates of *finding*, and write down how many the volume uses."""
        lacks, before = self.lacking, _used(self._selected)
        fresh = {(str(facts.path), facts.frame): facts for facts in finding.candidates}
        told = {(known.source, known.sop_instance_uid): known for known in finding.known}
        if lacks.short_by:
            # Of a series that is hardly here, every image that turns up tells where the volume goes on.
            hints = known_by(finding.candidates, lacks.current, self._selected.rules, search)
            told |= {(hint.source, hint.sop_instance_uid): hint for hint in hints}
        unheard = {uid for _, uid in told.keys() - self._known.keys()} - lacks.here.keys()
        news = fresh.keys() - self._found.keys() or unheard
        self._found |= fresh
        self._known |= told
        if news:
            self._selected = self._select_again(
                tuple(self._found.values()), tuple(self._known.values()), self._ledger.lines
            )
            self.lacking = lacking(self._selected, self._known.values(), self._rejected)
        found = len((_used(self._selected) - before) & fresh.keys())
        self._ledger.enter(search, finding, wanted=lacks.count, found=found)


def _used(report: SelectionReport) -> set[tuple[str, int]]:
    return {(str(facts.path), facts.frame) for facts in report.stack}
