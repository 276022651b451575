"""Reconstructions by DICOM: which identifiers ask for one, and what is answered (PS3.4 C.4.1 to C.4.3).

A retrieve at a preset's AE title, or one with the trigger key, yields planes instead of stored instances; a
C-FIND with the trigger key is a dry run. ``services.find`` and ``services.retrieve`` ask here first; ``None``
means that the identifier is an ordinary one.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from scp import pipeline
from scp.config import Preset
from scp.errors import BadRequest, Code, Refused
from scp.model import (
    Event,
    Failed,
    IsCancelled,
    MPRRequest,
    PlaneRequest,
    Planned,
    Produced,
    Progress,
    SelectionReport,
    Value,
)
from scp.pipeline import Means
from scp.production import Prospect, plan_results, produce
from scp.selection import image_comments
from scp.services import mpr_keys
from scp.services.context import Requesting

ANSWERED_FROM_SOURCE = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "Modality",
    "BodyPartExamined",
)
"""Return keys of a dry run whose values are those of the current image."""


class ResultEvents(Iterator[Event]):
    """The events of one request. Its objects lie in a folder that is removed by ``close``, with the work."""

    def __init__(self, events: Iterator[Event], spool: Path) -> None:
        self._events = events
        self._spool = spool

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Stop what still runs and remove the objects; whoever consumes the events calls it when done."""
        self._events.close()  # type: ignore[attr-defined]  # they are a generator
        shutil.rmtree(self._spool, ignore_errors=True)


class MprService:
    """Answers for all identifiers that ask for planes; *spool* is the folder for objects being sent."""

    def __init__(self, means: Means, spool: Path) -> None:
        self._means = means
        self._spool = spool

    def events_of(
        self, identifier: Dataset, requesting: Requesting, cancelled: IsCancelled
    ) -> ResultEvents | None:
        """Return the events of the reconstructions that a C-MOVE or C-GET asks for.

        ``None`` for an ordinary retrieve. Raises ``Refused`` for keys that are not understood and for a
        requestor without the right; what is refused later is raised by the events.
        """
        requests = self._retrieve_requests(identifier, requesting)
        if not requests:
            return None
        _require_right(requesting)
        spool = Path(tempfile.mkdtemp(dir=self._spool))
        if len(requests) == 1:
            return ResultEvents(pipeline.run(requests[0], self._means, spool, cancelled), spool)
        return ResultEvents(self._run_several(requests, spool, cancelled), spool)

    def answers_of(self, identifier: Dataset, requesting: Requesting) -> Iterator[Dataset] | None:
        """Return the one answer of a dry run, ``None`` for an ordinary query. Raises ``Refused`` as above."""
        if not mpr_keys.has_trigger(identifier):
            return None
        _require_right(requesting)
        return iter([self._dry_run(identifier, self._by_keys(identifier, requesting))])

    def _retrieve_requests(self, identifier: Dataset, requesting: Requesting) -> list[MPRRequest]:
        """Return the reconstructions that are asked for; none where instances are."""
        if mpr_keys.has_trigger(identifier):
            return [self._by_keys(identifier, requesting)]
        preset = self._means.config.presets.get(requesting.called_ae_title)
        if preset is None:
            return []
        return [
            replace(request, policy=preset.policy, sop_class=self._sop_class(requesting))
            for request in self._named(identifier, preset)
        ]

    def _by_keys(self, identifier: Dataset, requesting: Requesting) -> MPRRequest:
        """Return what the keys ask for, with what the preset that was called decides."""
        preset = self._means.config.presets.get(requesting.called_ae_title)
        request = mpr_keys.request_of(identifier, preset.planes if preset else PlaneRequest())
        policy = preset.policy if preset else None
        return replace(request, policy=policy, sop_class=self._sop_class(requesting))

    def _sop_class(self, requesting: Requesting) -> str:
        """Return the choice of ``[results] sop_class`` for whoever gets the objects."""
        peer = requesting.destination or requesting.peer
        return (peer.sop_class if peer else "") or self._means.config.results.sop_class

    def _named(self, identifier: Dataset, preset: Preset) -> Iterator[MPRRequest]:
        """Yield one request for each series that a plain identifier names, by itself or by its images."""
        if mpr_keys.level(identifier) == "SERIES":
            study = mpr_keys.texts(identifier, "StudyInstanceUID")
            for uid in mpr_keys.texts(identifier, "SeriesInstanceUID") or _nothing_named("SeriesInstanceUID"):
                yield MPRRequest(preset.planes, "".join(study[:1]), uid)
            return
        series_seen: set[str] = set()
        for uid in mpr_keys.texts(identifier, "SOPInstanceUID") or _nothing_named("SOPInstanceUID"):
            copies = self._means.holdings.instance_files(uid)
            series = {facts.header.text("SeriesInstanceUID") for facts in copies} or {uid}
            if not series <= series_seen:
                series_seen |= series
                yield MPRRequest(preset.planes, sop_instance_uid=uid)

    def _run_several(
        self, requests: list[MPRRequest], spool: Path, cancelled: IsCancelled
    ) -> Iterator[Event]:
        """Yield the events of several reconstructions as those of one; one that is refused fails alone."""
        yield Progress("selecting")
        outcomes = [self._prospect_or_failure(request, cancelled) for request in requests]
        sizes = [len(o.series.sop_instance_uids) if isinstance(o, Prospect) else 1 for o in outcomes]
        yield Planned(sum(sizes))
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, Failed):
                yield outcome
                continue
            folder = spool / str(number)
            folder.mkdir()
            yield from map(Produced, produce(outcome, self._means.workshop, folder, cancelled))

    def _prospect_or_failure(self, request: MPRRequest, cancelled: IsCancelled) -> Prospect | Failed:
        try:
            return pipeline.preview(request, self._means, cancelled)
        except Refused as exc:
            return Failed(request.sop_instance_uid or request.series_instance_uid, exc)

    def _dry_run(self, identifier: Dataset, request: MPRRequest) -> Dataset:
        report = pipeline.explain(request, self._means, lambda: False, retrieve=False)
        values: dict[str, Value] = {
            keyword: value
            for keyword in ANSWERED_FROM_SOURCE
            if (value := report.current.header.get(keyword)) is not None
        }
        values["ImageComments"] = image_comments(report)
        if report.ok:
            values |= self._promised(request, report)
        else:
            values["SeriesInstanceUID"] = report.current.header.text("SeriesInstanceUID")
            values["SOPInstanceUID"] = report.current.sop_instance_uid
            values["SeriesDescription"] = f"refused: {report.verdict}"
            values["NumberOfSeriesRelatedInstances"] = 0
        return _answer(identifier, values)

    def _promised(self, request: MPRRequest, report: SelectionReport) -> dict[str, Value]:
        """Return what the result series will say of itself."""
        prospect = plan_results(request, report, self._means.config)
        return {
            "SeriesInstanceUID": prospect.series.series_instance_uid,
            "SOPInstanceUID": prospect.series.sop_instance_uids[0],
            "SeriesNumber": prospect.series.series_number,
            "SeriesDescription": prospect.series.short_description,
            "NumberOfSeriesRelatedInstances": len(prospect.series.sop_instance_uids),
            "Rows": prospect.plan.rows,
            "Columns": prospect.plan.columns,
            "PixelSpacing": (prospect.plan.spacing_mm, prospect.plan.spacing_mm),
            "ImageOrientationPatient": (*prospect.plan.row_cosine, *prospect.plan.column_cosine),
        }


def _require_right(requesting: Requesting) -> None:
    if not requesting.may_mpr:
        raise Refused(
            Code.NOT_AUTHORIZED,
            f'{requesting.calling_ae_title} has no right to ask for reconstructions; add "mpr" to its rights',
        )


def _nothing_named(keyword: str) -> tuple[str, ...]:
    raise BadRequest(keyword, f"{keyword} is empty; planes are made of a series or an image that is named")


def _answer(identifier: Dataset, values: dict[str, Value]) -> Dataset:
    """Return the answer to *identifier*: the keys that it asks for, with those of *values* that are known."""
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"
    answer.QueryRetrieveLevel = mpr_keys.level(identifier)
    header = mpr_keys.is_header(identifier)
    for keyword in (element.keyword for element in identifier):
        if keyword in values:
            value = values[keyword]
            setattr(answer, keyword, list(value) if isinstance(value, tuple) else value)
        elif keyword and keyword not in answer and not header and dictionary_VR(keyword) != "SQ":
            setattr(answer, keyword, None)
    answer.ImageComments = values["ImageComments"]
    return answer
