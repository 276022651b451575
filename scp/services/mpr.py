"""Reconstructions by DICOM: which identifiers ask for one, and by what they are answered (PS3.4 C.4.1 to 3).

A retrieve at a preset's AE title, or one with the trigger key, yields planes instead of stored instances; a
C-FIND with the trigger key is a dry run. ``services.find`` and ``services.retrieve`` ask here first; ``None``
means that the identifier is an ordinary one.
"""

import shutil
from collections.abc import Generator, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from scp import pipeline
from scp.archive import Archive, ResultCache
from scp.config import Preset
from scp.errors import BadRequest, Cancelled, Code, DecodingFailed, MprScpError, Refused
from scp.model import (
    Event,
    Failed,
    FileRef,
    IsCancelled,
    MPRRequest,
    PlaneRequest,
    Planned,
    Produced,
    never,
)
from scp.pipeline import Means, Production, Reach
from scp.planning import Prospect, plan_results
from scp.selection.identity import OF_PATIENT_AND_STUDY, STATED_KEYWORDS
from scp.services import dry_run, mpr_keys
from scp.services.context import Requesting
from scp.services.virtual_series import VirtualSeriesListing


class ResultEvents(Iterator[Event]):
    """The events of one request. Its objects lie in a folder that is removed by ``close``, with the work."""

    def __init__(self, events: Generator[Event, None, None], spool: Path) -> None:
        self._events = events
        self._spool = spool

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Stop what still runs and remove the objects; the consumer of the events calls it when done."""
        self._events.close()
        shutil.rmtree(self._spool, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a retrieve asks for: reconstructions, and for a virtual series which of its planes (all: none)."""

    requests: tuple[MPRRequest, ...]
    sop_instance_uids: frozenset[str] = frozenset()
    originals: tuple[FileRef, ...] = ()

    def wanted(self, prospect: Prospect) -> tuple[str, ...]:
        """Return the SOP Instance UIDs of the objects that are to be sent, in their order."""
        every = prospect.series.sop_instance_uids
        return tuple(uid for uid in every if not self.sop_instance_uids or uid in self.sop_instance_uids)

    def chosen(self, production: Production) -> Iterator[Produced]:
        """Yield those objects as they are made."""
        wanted = frozenset(self.wanted(production.prospect))
        with closing(production.refs) as refs:
            yield from (Produced(ref) for ref in refs if ref.sop_instance_uid in wanted)


class MprService:
    """Answers for all identifiers that ask for planes; *results* gives room for objects being sent."""

    def __init__(self, means: Means, archive: Archive, results: ResultCache) -> None:
        self._means = means
        self._archive = archive
        self._results = results
        self._listing = VirtualSeriesListing(means, archive)

    def events_of(
        self, identifier: Dataset, requesting: Requesting, cancelled: IsCancelled
    ) -> ResultEvents | None:
        """Return the events of the reconstructions that a C-MOVE or C-GET asks for.

        ``None`` for an ordinary retrieve. Raises ``Refused`` for keys that are not understood and for a
        requestor without the right; what is refused later is raised by the events.
        """
        asked = self._asked(identifier, requesting)
        if not asked.requests:
            return None
        _require_right(requesting)
        spool = self._results.new_spool()
        means = replace(self._means, takes=requesting.takes)
        return ResultEvents(_run(asked, means, spool, cancelled), spool)

    def answers_of(
        self, identifier: Dataset, requesting: Requesting, cancelled: IsCancelled = never
    ) -> Generator[Dataset, None, None] | None:
        """Return the answers of a dry run, or of a query where virtual series are listed, else ``None``.

        Raises ``Refused`` as above.
        """
        if mpr_keys.has_trigger(identifier):
            _require_right(requesting)
            return self._dry_run(identifier, self._by_keys(identifier, requesting), cancelled)
        preset = self._means.config.presets.get(requesting.called_ae_title)
        if preset is None or not preset.virtual_series or not requesting.may_mpr:
            return None
        stored = requesting.may_stored
        return self._listing.answers(identifier, requesting.root_model, preset, with_stored=stored)

    def _asked(self, identifier: Dataset, requesting: Requesting) -> _Asked:
        if mpr_keys.has_trigger(identifier):
            return _Asked((self._by_keys(identifier, requesting),))
        preset = self._means.config.presets.get(requesting.called_ae_title)
        if preset is None:
            return _Asked(())
        if preset.virtual_series:
            return self._listed(identifier, requesting)
        return _Asked(tuple(self._named(identifier, requesting, preset)))

    def _by_keys(self, identifier: Dataset, requesting: Requesting) -> MPRRequest:
        """Return what the keys ask for, with what the preset that was called decides."""
        preset = self._means.config.presets.get(requesting.called_ae_title)
        request = mpr_keys.request_of(identifier, preset.planes if preset else PlaneRequest())
        policy = preset.policy if preset else None
        return replace(request, policy=policy, sop_class=self._sop_class(requesting))

    def _named(self, identifier: Dataset, requesting: Requesting, preset: Preset) -> Iterator[MPRRequest]:
        """Yield one request for each series that a plain identifier names, by itself or by its images."""
        plain = MPRRequest(
            preset.planes,
            stated=mpr_keys.stated_of(identifier, _given_once(identifier, STATED_KEYWORDS)),
            policy=preset.policy,
            sop_class=self._sop_class(requesting),
        )
        if mpr_keys.level(identifier) == "SERIES":
            study = "".join(mpr_keys.texts(identifier, "StudyInstanceUID")[:1])
            for uid in _named_uids(identifier, "SeriesInstanceUID"):
                yield replace(plain, study_instance_uid=study, series_instance_uid=uid)
            return
        series_seen: set[str] = set()
        for uid in _named_uids(identifier, "SOPInstanceUID"):
            copies = self._means.holdings.instance_files(uid)
            series = {facts.header.text("SeriesInstanceUID") for facts in copies} or {uid}
            if not series <= series_seen:
                series_seen |= series
                yield replace(plain, sop_instance_uid=uid)

    def _listed(self, identifier: Dataset, requesting: Requesting) -> _Asked:
        """Return the virtual series that the identifier names, and the originals beside them."""
        uids = mpr_keys.texts(identifier, "SeriesInstanceUID")
        stated = mpr_keys.stated_of(identifier, _given_once(identifier, OF_PATIENT_AND_STUDY))
        requests = {
            uid: replace(request, stated=stated)
            for uid in uids
            if (request := self._listing.request_for(uid))
        }
        if not requests:
            return _Asked(())
        level = mpr_keys.level(identifier)
        planes = mpr_keys.texts(identifier, "SOPInstanceUID") if level == "IMAGE" else ()
        rest = deepcopy(identifier)
        rest.SeriesInstanceUID = [uid for uid in uids if uid not in requests]
        originals = self._archive.refs(requesting.root_model, rest) if rest.SeriesInstanceUID else []
        if originals and not requesting.may_stored:
            title = requesting.calling_ae_title
            raise Refused(Code.NOT_AUTHORIZED, f"{title} may retrieve results only, and named stored series")
        return _Asked(tuple(requests.values()), frozenset(planes), tuple(originals))

    def _sop_class(self, requesting: Requesting) -> str:
        """Return the choice of ``[results] sop_class`` for the receiver of the objects."""
        peer = requesting.destination or requesting.peer
        return (peer.sop_class if peer else "") or self._means.config.results.sop_class

    def _dry_run(
        self, identifier: Dataset, request: MPRRequest, cancelled: IsCancelled
    ) -> Generator[Dataset, None, None]:
        """Yield the one answer, once it is asked for."""
        try:
            report = pipeline.explain(request, self._means, cancelled, reach=Reach.ASK)
            if report.ok:
                values = dry_run.promised(report, plan_results(request, report, self._means.config))
            else:
                values = dry_run.refused(report)
        except (Refused, DecodingFailed) as exc:
            values = dry_run.without_result(request, exc)
        yield dry_run.answer(identifier, values)


def _run(asked: _Asked, means: Means, spool: Path, cancelled: IsCancelled) -> Generator[Event, None, None]:
    if len(asked.requests) > 1 or asked.originals:
        yield from _run_several(asked, means, spool, cancelled)
        return
    production = pipeline.begin(asked.requests[0], means, spool, cancelled)
    yield Planned(asked.wanted(production.prospect))
    yield from asked.chosen(production)


def _run_several(
    asked: _Asked, means: Means, spool: Path, cancelled: IsCancelled
) -> Generator[Event, None, None]:
    """Yield the events of all that is asked for as those of one; what fails of it fails alone."""
    outcomes = [_prospect_or_failure(request, means, cancelled) for request in asked.requests]
    planned = [ref.sop_instance_uid for ref in asked.originals]
    for request, outcome in zip(asked.requests, outcomes, strict=True):
        planned += asked.wanted(outcome) if isinstance(outcome, Prospect) else [_named_by(request)]
    yield Planned(tuple(planned))
    yield from map(Produced, asked.originals)
    for number, (request, outcome) in enumerate(zip(asked.requests, outcomes, strict=True)):
        if isinstance(outcome, MprScpError):
            yield Failed(_named_by(request), outcome)
            continue
        folder = spool / str(number)
        folder.mkdir()
        unsent = set(asked.wanted(outcome))
        try:
            for produced in asked.chosen(pipeline.begin(request, means, folder, cancelled, outcome)):
                unsent.discard(produced.ref.sop_instance_uid)
                yield produced
        except Cancelled:
            raise
        except MprScpError as exc:
            yield from (Failed(uid, exc) for uid in sorted(unsent))


def _named_by(request: MPRRequest) -> str:
    """Return the UID by which a request that fails is told apart from the others."""
    return request.sop_instance_uid or request.series_instance_uid


def _prospect_or_failure(request: MPRRequest, means: Means, cancelled: IsCancelled) -> Prospect | MprScpError:
    try:
        return pipeline.preview(request, means, cancelled)
    except (Refused, DecodingFailed) as exc:
        return exc


def _require_right(requesting: Requesting) -> None:
    if not requesting.may_mpr:
        raise Refused(
            Code.NOT_AUTHORIZED,
            f'{requesting.calling_ae_title} has no right to ask for reconstructions; add "mpr" to its rights',
            "it needs the right mpr",
        )


def _given_once(identifier: Dataset, keywords: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a plain identifier says of every image that it names: a list of series says nothing."""
    return tuple(k for k in keywords if len(mpr_keys.texts(identifier, k)) == 1)


def _named_uids(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    uids = mpr_keys.texts(identifier, keyword)
    if not uids:
        raise BadRequest(
            keyword, f"{keyword} is empty; planes are made of a series or an image that is named"
        )
    return uids
