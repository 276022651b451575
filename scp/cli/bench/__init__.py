"""``bench``: the speed of this node as ratios to programs that people know, measured here and now.

One module for each command, which holds its rows; ``measuring`` takes pairs in turn and makes the table,
``servers`` starts what is compared, ``wire`` is a sender that costs nothing, ``material`` what is sent. The
commands decide nothing and change nothing: all that they write ceases to exist when they end.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scp.cli.options import AsJSON
from scp.cli.output import print_json, progress
from scp.errors import MprScpError

if TYPE_CHECKING:
    from scp.cli.bench.ground import Ground
    from scp.cli.bench.measuring import Outcome, Trial

family = typer.Typer(
    help="Compare speed with other programs: ratios, measured in turn.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Pairs = Annotated[int, typer.Option(metavar="N", min=1, help="Pairs of measurements for each row.")]
Rows = Annotated[
    str, typer.Option("--rows", metavar="NAME,...", help="Measure these rows only; 'list' names them all.")
]
Disk = Annotated[
    Path,
    typer.Option(
        "--folder", metavar="DIR", exists=True, file_okay=False, help="The disk that servers write to."
    ),
]


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotAllMeasured(MprScpError):
    """A row ended in a fault: a server failed, or results differ; the table says which."""


def add_to(app: typer.Typer) -> None:
    app.add_typer(family, name="bench")


@family.command("store")
def bench_store(pairs: Pairs = 5, rows: Rows = "", folder: Disk = Path(), as_json: AsJSON = False) -> None:
    """C-STORE against dcmqrscp, Orthanc, storescp and pynetdicom.

    \b
    Example:
      mpr-scp bench store --rows ct-dcmqrscp,ct-orthanc
    """
    from scp.cli.bench import standing, store

    _run(lambda ground: [*store.trials(ground), *standing.trials(ground)], pairs, rows, folder, as_json)


@family.command("retrieve")
def bench_retrieve(pairs: Pairs = 5, rows: Rows = "", folder: Disk = Path(), as_json: AsJSON = False) -> None:
    """C-MOVE and C-GET of a series of 300 images against dcmqrscp and Orthanc.

    \b
    Example:
      mpr-scp bench retrieve --pairs 3
    """
    from scp.cli.bench import retrieve

    _run(retrieve.trials, pairs, rows, folder, as_json)


@family.command("query")
def bench_query(pairs: Pairs = 5, rows: Rows = "", folder: Disk = Path(), as_json: AsJSON = False) -> None:
    """C-FIND among 5,000 studies against Orthanc, and selection in a folder against GDCM.

    \b
    Example:
      mpr-scp bench query --rows select --json
    """
    from scp.cli.bench import query

    _run(query.trials, pairs, rows, folder, as_json)


@family.command("mpr")
def bench_mpr(pairs: Pairs = 5, rows: Rows = "", folder: Disk = Path(), as_json: AsJSON = False) -> None:
    """Reconstruction against VTK, SimpleITK and what people script.

    \b
    Example:
      mpr-scp bench mpr --rows coronal-vtk,coronal-simpleitk
    """
    from scp.cli.bench import engines, jobs

    _run(lambda ground: [*engines.trials(), *jobs.trials(ground)], pairs, rows, folder, as_json)


def _run(
    trials: "Callable[[Ground], list[Trial]]", pairs: int, rows: str, folder: Path, as_json: bool
) -> None:
    """Measure the chosen rows and print their table. Raises ``NotAllMeasured``."""
    from scp.cli.bench.ground import ground
    from scp.cli.bench.measuring import run

    with _cleaned_up(), ground(folder) as here:
        chosen = _chosen(trials(here), rows)
        if chosen is None:
            return
        with progress("measuring") as advance:
            outcomes = run(chosen, pairs, advance)
    _print(outcomes, as_json)
    faults = [outcome.row.name for outcome in outcomes if outcome.is_fault]
    if faults:
        raise NotAllMeasured(f"{', '.join(faults)}: not measured; the line below the table says why")


@contextmanager
def _cleaned_up() -> Iterator[None]:
    """Let the first signal that ends programs end the block as an exception does, and ignore the next ones.

    Servers and folders must not outlive a benchmark, and to remove a hundred thousand files takes time.
    """
    before = {number: signal.getsignal(number) for number in ENDING}

    def end(number: int, _frame: object) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    for number in ENDING:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _chosen(trials: "Sequence[Trial]", rows: str) -> "list[Trial] | None":
    """Return the trials that are named; without a name, all but those on request.

    ``None`` where they were only listed.
    """
    if rows == "list":
        print("\n".join(trial.row.name for trial in trials))
        return None
    names = {trial.row.name: trial for trial in trials}
    wanted = [name.strip() for name in rows.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r} is no row; there are {', '.join(names)}", param_hint="--rows"
        )
    return [names[name] for name in wanted] or [trial for trial in trials if not trial.on_request]


def _print(outcomes: "Sequence[Outcome]", as_json: bool) -> None:
    from scp.cli.bench import measuring

    if as_json:
        print_json(measuring.as_json(outcomes))
    else:
        print(measuring.as_text(outcomes))
