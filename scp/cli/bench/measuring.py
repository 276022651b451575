"""Pairs of measurements taken in turn, the ratio of each, and the table that is made of them.

Machines are noisy, so nothing here is a time by itself: two things that do the same work are measured in
turn in one run (A B A B ...), each pair gives one figure, and the median of the pairs stands for the row.
A row knows its floor and its aim; what could not be measured says why instead of being left out.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scp.cli.output import Advance, table
from scp.errors import MprScpError

Measurement = Callable[[], float]
"""Does the work once and returns what it cost: seconds, unless the row's figure says otherwise."""


class NotMeasured(MprScpError):
    """A row has no figure, since something that it needs is not here; the message names it."""


class ResultsDiffer(MprScpError):
    """Both did not do the same work, so that a ratio would mean nothing; the message says where."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What the same work cost us and the other, one right after the other."""

    ours: float
    theirs: float


@dataclass(frozen=True, slots=True)
class Figure:
    """What is made of one pair, and whether more of it is better."""

    of: Callable[[Pair], float]
    more_is_better: bool
    unit: str

    def reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.more_is_better else value <= bound


SPEED = Figure(lambda pair: pair.theirs / pair.ours, True, "x as fast")
TIME = Figure(lambda pair: pair.ours / pair.theirs, False, "x the time")
ADDED_MS = Figure(lambda pair: 1000 * (pair.ours - pair.theirs), False, "ms more")
SECONDS = Figure(lambda pair: pair.ours, False, "s")
SHARE = Figure(lambda pair: 100 * pair.ours, False, "% of a core")
VOLUMES = Figure(lambda pair: pair.ours / pair.theirs, False, "x the volume")

NOBODY = float("nan")
"""The other side of a figure that is compared with nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: *name* is what ``--rows`` chooses; no *floor* means that nothing is promised."""

    name: str
    what: str
    against: str
    figure: Figure
    floor: float | None = None
    aim: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured for a row; *note* tells what else was seen while it was."""

    pairs: tuple[Pair, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row with its finding; *without* says why there is none, *is_fault* that this is no mere lack."""

    row: Row
    finding: Finding = Finding(())
    without: str = ""
    is_fault: bool = False

    @property
    def figures(self) -> tuple[float, ...]:
        return tuple(self.row.figure.of(pair) for pair in self.finding.pairs)

    @property
    def value(self) -> float:
        """The median over the pairs."""
        return statistics.median(self.figures)

    @property
    def verdict(self) -> str:
        """``aim`` or ``floor`` where that is reached, else ``below floor``."""
        row = self.row
        if self.without:
            return "failed" if self.is_fault else "skipped"
        if row.aim is not None and row.figure.reaches(self.value, row.aim):
            return "aim"
        if row.floor is None:
            return ""
        return "floor" if row.figure.reaches(self.value, row.floor) else "below floor"


@dataclass(frozen=True, slots=True)
class Trial:
    """A row, and what measures so many pairs for it; one *on_request* takes too long for who names no row."""

    row: Row
    measure: Callable[[int], Finding]
    on_request: bool = False


def in_turn(
    ours: Measurement,
    theirs: Measurement,
    pairs: int,
    prepare: Callable[[int], object] = lambda _turn: None,
) -> tuple[Pair, ...]:
    """Return *pairs* of measurements after one that does not count; *prepare* is told each turn, 0 first."""
    measured = []
    for turn in range(pairs + 1):
        prepare(turn)
        measured.append(Pair(ours(), theirs()))
    return tuple(measured[1:])


def alone(ours: Measurement, times: int) -> tuple[Pair, ...]:
    """Return measurements that nobody else is compared with, after one that does not count."""
    ours()
    return tuple(Pair(ours(), NOBODY) for _ in range(times))


def seconds_of(work: Callable[[], object]) -> float:
    """Do *work* and return the seconds that it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def medians(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Return what the work cost us and the other, for people; ratios are made pair by pair."""
    return statistics.median(pair.ours for pair in pairs), statistics.median(pair.theirs for pair in pairs)


def run(trials: Sequence[Trial], pairs: int, advance: Advance = lambda _done, _all: None) -> list[Outcome]:
    """Measure each of *trials*; one that cannot be measured does not keep the others from it."""
    outcomes = []
    for done, trial in enumerate(trials):
        advance(done, len(trials))
        outcomes.append(_outcome(trial, pairs))
    return outcomes


def _outcome(trial: Trial, pairs: int) -> Outcome:
    try:
        return Outcome(trial.row, trial.measure(pairs))
    except NotMeasured as lack:
        return Outcome(trial.row, without=str(lack))
    except MprScpError as fault:
        return Outcome(trial.row, without=str(fault), is_fault=True)


HEADER = ("row", "what", "against", "measured", "from .. to", "floor", "aim", "reached")


def as_text(outcomes: Sequence[Outcome]) -> str:
    """Return the table; below it, a line for each note and for each row without a figure."""
    lines = [table([_cells(outcome) for outcome in outcomes], HEADER)]
    said = [(one.row.name, one.without or one.finding.note) for one in outcomes]
    lines += [f"{name}: {text}" for name, text in said if text]
    return "\n".join(lines)


def as_json(outcomes: Sequence[Outcome]) -> list[Mapping[str, Any]]:
    """Return each row with every pair that was measured."""
    return [_record(outcome) for outcome in outcomes]


def _cells(outcome: Outcome) -> tuple[str, ...]:
    row, figures = outcome.row, outcome.figures
    measured = f"{outcome.value:.3g} {row.figure.unit}" if figures else "-"
    spread = f"{min(figures):.3g} .. {max(figures):.3g}" if figures else "-"
    bounds = ("-" if bound is None else f"{bound:g}" for bound in (row.floor, row.aim))
    return (row.name, row.what, row.against, measured, spread, *bounds, outcome.verdict)


def _record(outcome: Outcome) -> dict[str, Any]:
    row = outcome.row
    return {
        "row": row.name,
        "what": row.what,
        "against": row.against,
        "unit": row.figure.unit,
        "median": outcome.value if outcome.figures else None,
        "floor": row.floor,
        "aim": row.aim,
        "verdict": outcome.verdict,
        "pairs": [
            {"ours": pair.ours, "theirs": None if pair.theirs != pair.theirs else pair.theirs}
            for pair in outcome.finding.pairs
        ],
        "note": outcome.finding.note,
        "without": outcome.without,
    }
