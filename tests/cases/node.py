"""The same folder in the hands of this node: its report, and its planes under the same measure."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom

from scp import pipeline
from scp.cli.means import means
from scp.errors import Code, Refused
from scp.model import Interpolation, MPRRequest, PlaneRequest
from scp.planning import Prospect, plan_results
from scp.rendering import RenderJob, render
from scp.selection import as_json
from tests.cases.measuring import Volume
from tests.cases.scenes import Scene


@dataclass(frozen=True)
class Verdict:
    """What ``explain --json`` would print of a scene."""

    report: dict[str, Any]

    @property
    def left_out(self) -> dict[str, int]:
        return {reason: n for reason, n in self.report["counts"].items() if reason != Code.USED}

    @property
    def notes(self) -> set[str]:
        return {note["code"] for note in self.report["notes"]}

    @property
    def missing(self) -> tuple[int | None, ...]:
        return tuple(one["instance_number"] for one in self.report["missing"])

    def in_words(self) -> str:
        """Return verdict, what is used and missing, what is left out and why, what is mentioned."""
        report = self.report
        named = ", ".join("by position" if n is None else str(n) for n in self.missing)
        found = sum(search["found"] for search in report["searches"])
        parts = [
            "" if report["verdict"] == Code.OK else f"**{report['verdict']}**",
            f"{report['used']} used" if report["verdict"] == Code.OK else "",
            f"names {named}" if named else "",
            f"{found} found beside" if found and report["verdict"] == Code.OK else "",
            ", ".join(
                f"`{reason}` {n}" for reason, n in self.left_out.items() if reason != report["verdict"]
            ),
            ", ".join(f"note `{code}`" for code in sorted(self.notes)),
        ]
        return "; ".join(part for part in parts if part)


def judge(scene: Scene) -> tuple[Verdict, Volume | None]:
    """Return what the node says of the scene, and the coronal planes where it makes any.

    The pipeline as the command line runs it, but rendered here: a process for each of so many small volumes
    would take most of the time.
    """
    request = MPRRequest(PlaneRequest(), path=scene.current)
    with means(scene.configuration, scene.folder.parent) as allowed:
        try:
            report = pipeline.explain(request, allowed, _never)
        except Refused as refused:
            return Verdict(_without_report(refused)), None
        verdict = Verdict(as_json(report, scene.folder))
        if not report.ok:
            return verdict, None
        prospect = plan_results(request, report, allowed.config)
    return verdict, of_planes(_rendered(prospect))


def _without_report(refused: Refused) -> dict[str, Any]:
    nothing: dict[str, Any] = {"missing": [], "notes": [], "searches": []}
    return {"verdict": str(refused.code), "used": 0, "counts": {}, **nothing}


def _rendered(prospect: Prospect) -> list[pydicom.Dataset]:
    report = prospect.report
    job = RenderJob(
        stack=report.stack,
        missing=report.missing,
        policy=report.rules.policy,
        interpolation=Interpolation.LINEAR,
        plan=prospect.plan,
        pixel_format=prospect.pixel_format,
        series=prospect.series,
        threads=1,
    )
    return [pydicom.dcmread(io.BytesIO(encoded)) for encoded in render(job)]


def _never() -> bool:
    return False


def of_planes(objects: list[pydicom.Dataset]) -> Volume:
    """Return parallel planes of one grid, by Instance Number, as a volume (plane, row, column)."""
    objects = sorted(objects, key=lambda ds: int(ds.InstanceNumber))
    first, last = objects[0], objects[-1]
    row, column = np.array(first.ImageOrientationPatient[:3]), np.array(first.ImageOrientationPatient[3:])
    origin = np.array(first.ImagePositionPatient, float)
    matrix = np.eye(4)
    matrix[:3, 0] = row * float(first.PixelSpacing[1])
    matrix[:3, 1] = column * float(first.PixelSpacing[0])
    matrix[:3, 2] = (np.array(last.ImagePositionPatient, float) - origin) / max(1, len(objects) - 1)
    matrix[:3, 3] = origin
    return Volume(np.stack([_values(ds) for ds in objects]), matrix)


def _values(ds: pydicom.Dataset) -> np.ndarray:
    return ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
