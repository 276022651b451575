"""``mpr`` and ``explain``: one reconstruction, or the reasons for one, from files and without a server."""

import gc
import math
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scp.cli.options import AsJSON, ConfigFile, one_of, words
from scp.cli.output import Advance, print_json, progress
from scp.errors import BadRequest, Refused
from scp.model import (
    Direction,
    Method,
    MPRRequest,
    Operation,
    Orientation,
    PlaneRequest,
    Policy,
    Vector,
    counted,
    never,
)

if TYPE_CHECKING:
    from scp.model import FileRef, SelectionReport
    from scp.pipeline import Means
    from scp.planning import Prospect


SHEET = "contact_sheet.png"

NEW_OBJECTS = 100_000
"""After how many the garbage is collected: importing makes nearly twice as many, and hardly any garbage."""


OPTIONS = {
    "ImageOrientationPatient": "--orientation",
    "ImagePositionPatient": "--position",
    "ReformattingThickness": "--thickness",
    "ReformattingInterval": "--interval",
    "height": "--height",
    "line": "--line",
    "up": "--up",
}
"""What a request's keys are called on the command line."""


class MethodName(StrEnum):
    AVERAGE = "average"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"


Source = Annotated[
    Path, typer.Argument(metavar="PATH", exists=True, help="The current image, or a folder with one series.")
]
Within = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        exists=True,
        help="Look for missing images in this folder and below; default: the folder above PATH's.",
    ),
]
FEWEST = 2
"""Images that can be a volume."""

Minimum = Annotated[
    int | None, typer.Option(metavar="N", min=FEWEST, help="The fewest images that are a volume.")
]
PolicyChoice = Annotated[
    Policy | None,
    typer.Option(
        parser=one_of(Policy), metavar=words(Policy), help="What happens to images that stay missing."
    ),
]


def load_ahead() -> None:
    """Have other processes load the kernels and wait, while this one reads its command line and selects."""
    gc.set_threshold(NEW_OBJECTS)
    from scp.isolation import local

    local.start(preload="scp.preload")
    local.ready()


def let_go() -> None:
    """End what :func:`load_ahead` made and no command took."""
    if "scp.isolation.local" in sys.modules:
        from scp.isolation import local

        local.dismiss()


def _direction(text: str) -> Direction:
    """Return what *text* names; ``axial`` is what most people call TRANSVERSE."""
    return Direction.TRANSVERSE if text.lower() == "axial" else one_of(Direction)(text)


def length(text: str | float) -> float:
    """Return how many millimetres *text* says; raises ``typer.BadParameter`` for what is no length."""
    try:
        length_mm = float(text)
    except ValueError:
        length_mm = math.nan
    if not (math.isfinite(length_mm) and length_mm >= 0):
        raise typer.BadParameter(f"{text!r} is no length; give millimetres, such as 2.5")
    return length_mm


def add_to(app: typer.Typer) -> None:
    app.command()(mpr)
    app.command()(explain)


def mpr(
    path: Source,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder for the planes.")],
    direction: Annotated[Direction | None, typer.Option(parser=_direction, metavar=words(Direction))] = None,
    orientation: Annotated[
        str, typer.Option(metavar="A,B,C,D,E,F", help="Row and column cosines of an oblique plane.")
    ] = "",
    operation: Annotated[
        Operation | None,
        typer.Option(parser=one_of(Operation), metavar=words(Operation), help="Thin planes or slabs."),
    ] = None,
    thickness: Annotated[float, typer.Option(parser=length, metavar="MM", help="Of a slab.")] = 0.0,
    interval: Annotated[float, typer.Option(parser=length, metavar="MM", help="Between planes.")] = 0.0,
    method: Annotated[
        MethodName, typer.Option(parser=one_of(MethodName), metavar=words(MethodName), help="Over a slab.")
    ] = MethodName.AVERAGE,
    position: Annotated[
        str, typer.Option(metavar="X,Y,Z", help="One plane through this point (mm) instead of a stack.")
    ] = "",
    minimum: Minimum = None,
    policy: PolicyChoice = None,
    within: Within = None,
    config: ConfigFile = None,
    as_json: AsJSON = False,
) -> None:
    """Reconstruct planes from files; write DICOM objects and a contact sheet.

    \b
    Examples:
      mpr-scp mpr series/ --out cor --direction coronal
      mpr-scp mpr series/0042.dcm --out mip --direction sagittal --thickness 10 --method maximum
      mpr-scp mpr series/ --out obl --orientation=1,0,0,0,0.7071068,-0.7071068 --interval 2
    """
    operation = operation or (Operation.SLAB if thickness else Operation.MPR)
    direction = direction or (Direction.OBLIQUE if orientation else Direction.CORONAL)
    if operation is Operation.MPR:
        _require_no_slab("--thickness", given=thickness > 0)
        _require_no_slab("--method", given=method is not MethodName.AVERAGE)
    elif not thickness:
        raise typer.BadParameter("slabs need one, in mm above 0", param_hint="--thickness")
    if direction is Direction.OBLIQUE and not orientation:
        raise typer.BadParameter(
            "oblique planes need one; give the cosines of a row and of a column", param_hint="--orientation"
        )
    planes = PlaneRequest(
        direction=direction,
        orientation=_six(_numbers(orientation, 6, "--orientation")) if orientation else None,
        position=_three(_numbers(position, 3, "--position")) if position else None,
        operation=operation,
        thickness_mm=thickness,
        interval_mm=interval,
        method=Method[f"{method.name}_IP"],
    )
    require_new_folder(out)
    from scp.cli.means import means
    from scp.cli.report import report_text
    from scp.results.provenance import pixel_area

    with means(config, outermost(path, within)) as allowed:
        sop_class = allowed.config.results.sop_class
        request = MPRRequest(planes, path=path, policy=policy, minimum_images=minimum, sop_class=sop_class)
        try:
            prospect = _make(request, allowed, out)
        except Refused as error:
            raise advised(error, allowed.config.rules(policy).policy) from None
    if as_json:
        made = {"planes": list(map(str, sorted(out.glob("*.dcm")))), "sheet": str(out / SHEET)}
        print_json(json_of(prospect.report, path) | made)
    else:
        print(report_text(prospect.report, own_folder(path)))
        print("; ".join(filter(None, (_made(prospect, out), pixel_area(prospect.plan)))))


def explain(
    path: Source,
    minimum: Minimum = None,
    policy: PolicyChoice = None,
    within: Within = None,
    config: ConfigFile = None,
    as_json: AsJSON = False,
) -> None:
    """Say which files belong to the series of the current image, which do not and why, and what is missing.

    \b
    Examples:
      mpr-scp explain series/0042.dcm
      mpr-scp explain series/ --json
    """
    from scp import pipeline
    from scp.cli.means import means
    from scp.cli.report import report_text
    from scp.selection import NoMiddleImage, refusal

    request = MPRRequest(PlaneRequest(), path=path, policy=policy, minimum_images=minimum)
    try:
        with means(config, outermost(path, within)) as allowed, progress("selecting"):
            report = pipeline.explain(request, allowed, never)
    except NoMiddleImage as error:
        report = error.report
    except Refused as error:
        if as_json:
            print_json(_without_report(error))
        raise
    if as_json:
        print_json(json_of(report, path))
    else:
        print(report_text(report, own_folder(path)))
    if not report.ok:
        raise advised(refusal(report), report.rules.policy)


def _made(prospect: "Prospect", out: Path) -> str:
    return f"{counted(len(prospect.plan.positions), 'plane')} and {SHEET} in {out}"


def advised(error: Refused, policy: Policy) -> Refused:
    """Return *error* with what a person can do about it here; *policy* is the one in force."""
    from scp.selection import MissingInstances, TooFewImages

    if isinstance(error, BadRequest) and error.keyword in OPTIONS:
        return Refused(error.code, f"{OPTIONS[error.keyword]}: {error.sentence}", error.comment)
    if isinstance(error, TooFewImages) and error.images >= FEWEST:
        advice = f"find the others, or take these for the whole: --minimum {error.images}"
        return Refused(error.code, f"{error.sentence.rstrip('.')}; {advice}.", error.comment)
    if not isinstance(error, MissingInstances):
        return error
    fills = " or ".join(other for other in error.fillable if other is not policy)
    advice = "find them" + (f", or let a policy fill them: --policy {fills}" if fills else "")
    return Refused(error.code, f"{error.sentence.rstrip('.')}; {advice}.", error.comment)


def _require_no_slab(option: str, *, given: bool) -> None:
    if given:
        raise typer.BadParameter(
            "thin planes have none; ask for --operation slab with a --thickness", param_hint=option
        )


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise typer.BadParameter(
            f"{text!r} is not {count} numbers with commas between them", param_hint=option
        )
    return numbers


def _six(numbers: tuple[float, ...]) -> Orientation:
    a, b, c, d, e, f = numbers
    return a, b, c, d, e, f


def _three(numbers: tuple[float, ...]) -> Vector:
    x, y, z = numbers
    return x, y, z


def own_folder(path: Path) -> Path:
    """Return the folder that *path* is, or lies in."""
    return path.absolute() if path.is_dir() else path.absolute().parent


def require_new_folder(out: Path) -> None:
    """Raise ``typer.BadParameter`` where *out* holds anything, or is none."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise typer.BadParameter(f"{out} is not empty; name a new folder", param_hint="--out")


def outermost(path: Path, within: Path | None) -> Path:
    """Return the folder within which is searched: *within*, or the one that holds that of *path*."""
    return within.absolute() if within else own_folder(path).parent


def _make(request: MPRRequest, allowed: "Means", out: Path) -> "Prospect":
    """Write objects and contact sheet into *out*; where one fails, *out* is as it was."""
    from scp import pipeline
    from scp.cli import contact_sheet

    with whole_or_nothing(out) as objects:
        with progress("selecting"):
            production = pipeline.begin(request, allowed, objects, never)
        count = len(production.prospect.series.sop_instance_uids)
        with progress("rendering") as advance:
            planes = (ref.path for ref in _told(production.refs, count, advance))
            contact_sheet.write(planes, count, objects / SHEET)  # while the rest is rendered
    return production.prospect


def _told(refs: "Iterable[FileRef]", count: int, advance: Advance) -> "Iterator[FileRef]":
    """Yield *refs* and tell how many of *count* there are."""
    for done, ref in enumerate(refs, 1):
        advance(done, count)
        yield ref


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside *out* that takes its place where the block ends well.

    Raises ``typer.BadParameter`` where it cannot be made.
    """
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        spool = tempfile.TemporaryDirectory(dir=parent, prefix=f".{out.name}-")
    except OSError as error:
        raise typer.BadParameter(
            f"{out} cannot be made: {error.strerror}; name a folder where you may write", param_hint="--out"
        ) from error
    with spool:
        objects = Path(spool.name, "objects")
        objects.mkdir()
        yield objects
        objects.rename(out)


def json_of(report: "SelectionReport", path: Path) -> dict[str, object]:
    """Return what ``--json`` says of the selection that started at *path*."""
    from scp.selection import as_json

    return dict(as_json(report, own_folder(path)))


def _without_report(error: Refused) -> dict[str, object]:
    """Return what ``--json`` says where a request ended before there was a current image to start from."""
    empty: dict[str, object] = {"files": [], "missing": [], "notes": [], "searches": []}
    return {"verdict": error.code, "used": 0, "counts": {}, **empty, "sentence": error.sentence}
