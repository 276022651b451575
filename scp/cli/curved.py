"""``curved``: the picture along a line through a series, from files and without a server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scp.cli.options import AsJSON, ConfigFile
from scp.cli.output import print_json, progress
from scp.cli.reconstruct import (
    SHEET,
    Minimum,
    PolicyChoice,
    Source,
    Within,
    advised,
    json_of,
    length,
    outermost,
    own_folder,
    require_new_folder,
    whole_or_nothing,
)
from scp.errors import Refused
from scp.model import MPRRequest, PlaneRequest, Vector, counted

if TYPE_CHECKING:
    from scp.pipeline import Means
    from scp.planning import CurvedProspect, CurvedRequest


def add_to(app: typer.Typer) -> None:
    app.command()(curved)


def curved(
    path: Source,
    line: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Points in mm: JSON, [[x, y, z], [x, y, z], ...].",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder for the picture.")],
    height: Annotated[float, typer.Option(parser=length, metavar="MM", help="Of the picture.")] = 50.0,
    up: Annotated[str, typer.Option(metavar="X,Y,Z", help="Towards its first row.")] = "0,0,1",
    minimum: Minimum = None,
    policy: PolicyChoice = None,
    within: Within = None,
    config: ConfigFile = None,
    as_json: AsJSON = False,
) -> None:
    """Unroll the surface that stands upright on a line; write one Secondary Capture and a contact sheet.

    \b
    Example:
      mpr-scp curved series/ --line jaw.json --height 40 --out panorama
    """
    from scp.cli.means import means
    from scp.cli.report import report_text
    from scp.planning import CurvedRequest

    wanted = CurvedRequest(_points(line), _vector(up.split(","), "--up"), height)
    require_new_folder(out)
    request = MPRRequest(PlaneRequest(), path=path, policy=policy, minimum_images=minimum)
    with means(config, outermost(path, within)) as allowed:
        prospect = _make(wanted, request, allowed, out)
    plan = prospect.plan
    if as_json:
        objects = list(map(str, sorted(out.glob("*.dcm"))))
        made = {"planes": objects, "sheet": str(out / SHEET), "length_mm": plan.length_mm}
        print_json(json_of(prospect.report, path) | made)
    else:
        print(report_text(prospect.report, own_folder(path)))
        print(
            f"{counted(plan.columns, 'column')} along {plan.length_mm:.1f} mm, {counted(plan.rows, 'row')}, "
            f"{SHEET} in {out}"
        )


def _make(wanted: "CurvedRequest", request: MPRRequest, allowed: "Means", out: Path) -> "CurvedProspect":
    """Write the object into *out* and return what it is; where that fails, *out* is as it was."""
    from scp import pipeline
    from scp.cli import contact_sheet
    from scp.model import never
    from scp.planning import plan_curved
    from scp.production import produce
    from scp.selection import refusal

    with whole_or_nothing(out) as objects:
        with progress("selecting"):
            report = pipeline.explain(request, allowed, never)
        if not report.ok:
            raise advised(refusal(report), report.rules.policy)
        try:
            prospect = plan_curved(wanted, report, allowed.config)
        except Refused as error:
            raise advised(error, report.rules.policy) from None
        with progress("rendering"):
            refs = list(produce(prospect, allowed.workshop, objects, never))
        contact_sheet.write([ref.path for ref in refs], len(refs), objects / SHEET, most=1)
    return prospect


def _points(path: Path) -> tuple[Vector, ...]:
    try:
        points = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path} is no JSON: {error}", param_hint="--line") from error
    if not isinstance(points, list):
        raise typer.BadParameter(f"{path} holds no list of points", param_hint="--line")
    return tuple(_vector(point, "--line") for point in points)


def _vector(parts: object, option: str) -> Vector:
    try:
        x, y, z = map(float, parts)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise typer.BadParameter(f"{parts} is no point: give x, y and z", param_hint=option) from None
    return x, y, z
