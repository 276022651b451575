"""Results listed as if a scanner had sent them (PS3.4 C.4.1, at a preset's AE title).

A preset with ``virtual_series`` answers SERIES level queries with the stored series and, for each whose
verdict is ``ok``, the series that the preset would yield, under the UIDs that the objects will have. IMAGE
level queries of such a series list its planes. What was found is kept with the archive, so that the next
query costs a look at the index; peers are not asked, because a viewer waits.
"""

import hashlib
from collections.abc import Generator, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from scp import __version__, pipeline
from scp.archive import Archive, Promise, VirtualSeries, matches_key
from scp.config import Config, Preset
from scp.errors import Code, DecodingFailed, Refused
from scp.model import Header, MPRRequest, never
from scp.pipeline import Means, Reach
from scp.planning import Prospect
from scp.reconstruction.engines import ENGINE
from scp.results import Encoder
from scp.services import mpr_keys
from scp.services.dry_run import promise_of, put

OF_THE_RESULT = (
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
)
"""Keys in which a result differs from its source; all others are matched against the source's values."""

PROSPECTS_REMEMBERED = 8
"""Results whose planes were listed lately: viewers ask for them image by image."""


class VirtualSeriesListing:
    """The results that presets would yield of what the archive holds."""

    def __init__(self, means: Means, archive: Archive) -> None:
        self._means = means
        self._archive = archive
        self._prospect = lru_cache(PROSPECTS_REMEMBERED)(self._prospect_of)

    def answers(
        self, identifier: Dataset, root_model: str, preset: Preset, *, with_stored: bool
    ) -> Generator[Dataset, None, None] | None:
        """Return the answers to a query at the preset's AE title, ``None`` where no result can be meant.

        *with_stored* tells whether the requestor may see the stored series beside the results.
        """
        level = "".join(mpr_keys.texts(identifier, "QueryRetrieveLevel"))
        if level == "SERIES":
            return self._series(identifier, root_model, preset, with_stored)
        if level == "IMAGE" and len(uids := mpr_keys.texts(identifier, "SeriesInstanceUID")) == 1:
            source = self._archive.promises.stands_for(uids[0])
            return None if source is None else self._images(identifier, uids[0], source)
        return None

    def request_for(self, result_series_uid: str) -> MPRRequest | None:
        """Return the request whose result was listed under this UID, ``None`` where none was."""
        source = self._archive.promises.stands_for(result_series_uid)
        if source is None:
            return None
        preset = self._means.config.presets.get(source.preset)
        if preset is None:
            raise Refused(
                Code.RESULT_STALE, f"the preset {source.preset} that listed this result is gone", "preset"
            )
        patient = self._patient(source, preset, result_series_uid)
        request = _request(source, preset, self._means.config, patient)
        return replace(request, result_series_uid=result_series_uid)

    def _patient(self, source: VirtualSeries, preset: Preset, result_series_uid: str) -> Header | None:
        """Return the patient whose images this result was listed for: a series may hold images of several.

        Raises ``Refused(result-stale)`` where the images of none of several yield that any more.
        """
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID = source.study_instance_uid
        query.SeriesInstanceUID = source.series_instance_uid
        patients = [header for header, _ in self._archive.find_series("STUDY", query)]
        if len(patients) < 2:
            return patients[0] if patients else None
        for patient in patients:
            if self._promise(source, preset, patient).get("SeriesInstanceUID") == result_series_uid:
                return patient
        raise Refused(
            Code.RESULT_STALE,
            f"the images of this result changed since it was listed, and the series holds those of "
            f"{len(patients)} patients; query again and retrieve what is listed then",
            "images changed, query again",
        )

    def _series(
        self, identifier: Dataset, root_model: str, preset: Preset, with_stored: bool
    ) -> Generator[Dataset, None, None]:
        if with_stored:
            yield from self._archive.find(root_model, identifier)
        for header, found in self._archive.find_series(root_model, _of_sources(identifier)):
            study_uid, series_uid = header.text("StudyInstanceUID"), header.text("SeriesInstanceUID")
            promise = self._promise(VirtualSeries(study_uid, series_uid, preset.name), preset, header)
            if promise and all(matches_key(element, promise) for element in _own_keys(identifier)):
                for keyword in OF_THE_RESULT:
                    if keyword in identifier and keyword in promise:
                        put(found, keyword, promise[keyword])
                yield found

    def _promise(self, source: VirtualSeries, preset: Preset, patient: Header) -> Promise:
        """Return what the preset yields of the patient's images of *source*, nothing where it is refused.

        It was kept, or is found out now.
        """
        promises, rules = self._archive.promises, _rules(self._means.config, preset, patient)
        fingerprint = promises.fingerprint(source.study_instance_uid, source.series_instance_uid)
        kept = promises.kept(source, fingerprint, rules)
        if kept is not None:
            return kept
        request = _request(source, preset, self._means.config, patient)
        promise: Promise
        try:
            prospect = pipeline.preview(request, self._means, never, reach=Reach.HERE)
            promise = promise_of(prospect) | {"SeriesDescription": prospect.series.series_description}
        except (Refused, DecodingFailed):
            promise = {}
        promises.keep(source, fingerprint, rules, promise)
        return promise

    def _images(self, identifier: Dataset, uid: str, source: VirtualSeries) -> Generator[Dataset, None, None]:
        """Yield the planes of one result; none where its sources changed since it was listed."""
        promises = self._archive.promises
        fingerprint = promises.fingerprint(source.study_instance_uid, source.series_instance_uid)
        try:
            prospect = self._prospect(uid, fingerprint)
        except (Refused, DecodingFailed):
            return
        encoder = Encoder(prospect.series)
        for number in range(len(prospect.series.sop_instance_uids)):
            header = encoder.header(number)
            values = {element.keyword: element.value for element in header if element.VR != "SQ"}
            if all(matches_key(element, values) for element in identifier if element.keyword in values):
                found = Dataset()
                found.SpecificCharacterSet = header.get("SpecificCharacterSet", "ISO_IR 6")
                found.QueryRetrieveLevel = "IMAGE"
                for keyword in (element.keyword for element in identifier if element.keyword not in found):
                    setattr(found, keyword, values.get(keyword))
                yield found

    def _prospect_of(self, uid: str, _fingerprint: str) -> Prospect:
        request = self.request_for(uid)
        assert request is not None, "only UIDs that stand for something are asked for"
        return pipeline.preview(request, self._means, never, reach=Reach.HERE)


def _request(source: VirtualSeries, preset: Preset, config: Config, patient: Header | None) -> MPRRequest:
    return MPRRequest(
        preset.planes,
        study_instance_uid=source.study_instance_uid,
        series_instance_uid=source.series_instance_uid,
        policy=preset.policy,
        sop_class=config.results.sop_class,
        patient=patient,
    )


def _own_keys(identifier: Dataset) -> Iterator[DataElement]:
    return (element for element in identifier if element.keyword in OF_THE_RESULT)


def _of_sources(identifier: Dataset) -> Dataset:
    """Return the query for the sources of what *identifier* may mean: without the keys of results."""
    query = deepcopy(identifier)
    for keyword in OF_THE_RESULT:
        if keyword in query:
            setattr(query, keyword, None)
    return query


def _rules(config: Config, preset: Preset, patient: Header) -> str:
    """Return a digest of what decides a verdict or a UID beside the files: settings, program, patient."""
    parts = (config.selection, config.completion, config.reconstruction, config.results, preset)
    person = repr([patient.text(keyword) for keyword in ("PatientID", "IssuerOfPatientID", "PatientName")])
    text = "\n".join([__version__, ENGINE, person, *(part.model_dump_json() for part in parts)])
    return hashlib.sha256(text.encode()).hexdigest()
