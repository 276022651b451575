"""What the steps between neighbouring slices mean: even, a hole, a regime, a junction, or nothing we know.

Theory. A stack has *unit steps*: the distance of two slices that were made one after the other. A step
between two slices that are here spans one unit, or several where slices lack. Two witnesses speak: Instance
Numbers, which are weak (shared numbering, renumbering), and positions, which are strong but cannot tell
"every second slice is lost" from "twice the step". Each way to see the stack (one unit step throughout, or
regimes of several) is a :class:`_View`; each step is judged under each view, each surprise costs, and the
view that surprises least is believed. Where both witnesses agree nothing surprises, so that numbers and
positions that grow by the same whole factor name what is missing even if the positions are even.

Pure numbers in millimetres: nothing here knows DICOM. Spacing Between Slices and Slice Thickness are
never asked: real scanners write the gap, or anything, there.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scp.selection.thresholds import LOST_IN_A_ROW, LOST_IN_ALL, REGIME_STEPS, STEP_JITTER

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


class Numbering(IntEnum):
    """What Instance Numbers are good for."""

    UNUSABLE = 0
    """some absent, repeated, or beyond an Integer String (PS3.5 table 6.2-1)"""
    UNORDERED = 1
    """different, but they neither grow nor fall along the stack"""
    ORDERED = 2


class Kind(IntEnum):
    """What one step is, in the order of how little it surprises."""

    EVEN = 0
    """a unit step, or as many as the numbers say"""
    NUMBERING_GAP = 1
    """a unit step, although numbers are skipped"""
    JUNCTION = 2
    """a shorter step where one regime ends and another begins, with it the slices lost on its sides"""
    HOLE = 3
    """several unit steps, of which the numbers know nothing"""
    IRREGULAR = 4


SURPRISE = np.array([0, 1, 1, 3, 100])
"""By kind. A hole that numbers deny is rarer than skipped numbers; anything explained beats irregular."""

REGIME_CHANGE = 1

LARGEST_NUMBER = 2**31

BASES_TRIED = 6
"""The unit step is the size of one of the commonest steps; rarer ones need no trial of their own."""


@dataclass(frozen=True, slots=True)
class Step:
    """What lies between slice *index* and the next: *units* unit steps, of which units - 1 slices lack."""

    index: int
    kind: Kind
    units: int
    numbers: tuple[int, ...]
    """those of the lost slices, from *index* on; none where they are unknown"""


@dataclass(frozen=True, slots=True)
class Spacing:
    """The steps of one stack that need a word, and the unit steps from first to last slice."""

    numbering: Numbering
    steps: tuple[Step, ...]
    bases_mm: Floats
    """the unit step (mm) of the regime in which each step lies"""
    units_mm: Floats
    """each step (mm), divided by the unit steps that it spans"""

    def of_kind(self, kind: Kind) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.kind == kind)

    @property
    def varies(self) -> bool:
        """Tell whether there are regimes of different unit steps."""
        return len(self.bases_mm) > 0 and bool(np.ptp(self.bases_mm) > STEP_JITTER * self.bases_mm.min())


@dataclass(frozen=True, slots=True)
class _View:
    """One way to see the stack: the unit step before and behind each step (equal inside a regime)."""

    left_mm: Floats
    right_mm: Floats
    changes: int


def numbering(numbers: Sequence[int | None]) -> Numbering:
    """Tell what the Instance Numbers of a stack, in the order of its positions, are good for."""
    known = [number for number in numbers if number is not None and abs(number) <= LARGEST_NUMBER]
    if len(known) < len(numbers) or len(set(known)) < len(known):
        return Numbering.UNUSABLE
    steps = np.diff(known)
    return Numbering.ORDERED if (steps > 0).all() or (steps < 0).all() else Numbering.UNORDERED


def explain(
    positions_mm: Floats, numbers: Sequence[int | None], taken: Collection[int] = frozenset()
) -> Spacing:
    """Return what the steps of a stack mean.

    *positions_mm* grow strictly; *numbers* are their Instance Numbers; *taken* are numbers that other images
    of the series bear, which are no slices of this stack.
    """
    steps_mm = np.diff(positions_mm)
    if not len(steps_mm):
        return Spacing(numbering(numbers), (), np.empty(0), np.empty(0))
    order = numbering(numbers)
    skipped = _skipped(numbers, order)
    spans = np.array([len(s) + 1 for s in skipped])
    untaken = spans - _taken_within(skipped, taken)
    continuous = _continuous(numbers, order)
    views = _views(steps_mm, untaken, whole_regimes=continuous)
    if (spans != untaken).any():  # who bears a skipped number may be a stranger
        views += _views(steps_mm, spans, whole_regimes=continuous)
    judged = [(_judge(view, steps_mm, spans, untaken), view) for view in views]
    (kinds, units), view = _least_surprising(judged, steps_mm)
    if (units - 1).sum() > LOST_IN_ALL:
        kinds[units > 1], units[units > 1] = Kind.IRREGULAR, 1
    bases_mm = np.minimum(view.left_mm, view.right_mm)
    return Spacing(order, _told(kinds, units, skipped, taken), bases_mm, steps_mm / units)


def _least_surprising(
    judged: Sequence[tuple[tuple[Whole, Whole], _View]], steps_mm: Floats
) -> tuple[tuple[Whole, Whole], _View]:
    """Return the view that surprises least; of several, the one whose unit steps are most alike.

    In a stack that is nearly gone a step of eleven units passes for ten of a unit a tenth longer.
    """
    costs = [int(SURPRISE[kinds].sum()) + REGIME_CHANGE * view.changes for (kinds, _), view in judged]
    cheapest = [one for one, cost in zip(judged, costs, strict=True) if cost == min(costs)]
    alike = [one for one in cheapest if one[1].changes == cheapest[0][1].changes]
    return min(alike, key=lambda one: float(np.ptp(steps_mm / one[0][1])))


def _skipped(numbers: Sequence[int | None], order: Numbering) -> list[range]:
    """Return the numbers between those of each two neighbours; none unless they are in order."""
    if order is not Numbering.ORDERED:
        return [range(0)] * (len(numbers) - 1)
    known = [number for number in numbers if number is not None]
    sign = 1 if known[1] > known[0] else -1
    return [range(a + sign, b, sign) for a, b in pairwise(known)]


def _taken_within(skipped: Sequence[range], taken: Collection[int]) -> Whole:
    """Return how many of the skipped numbers other images bear, step by step."""
    borne = np.sort(np.array([number for number in taken if abs(number) <= LARGEST_NUMBER], dtype=np.int64))
    lowest = np.array([min(b[0], b[-1]) if b else 0 for b in skipped])
    highest = np.array([max(b[0], b[-1]) if b else -1 for b in skipped])
    upto, below = np.searchsorted(borne, highest, side="right"), np.searchsorted(borne, lowest)
    within: Whole = np.maximum(upto - below, 0)
    return within


def _continuous(numbers: Sequence[int | None], order: Numbering) -> bool:
    """Tell whether the numbers, in whatever order, leave none out."""
    known = [number for number in numbers if number is not None]
    return order is not Numbering.UNUSABLE and max(known) - min(known) + 1 == len(known)


def _views(steps_mm: Floats, spans: Whole, *, whole_regimes: bool) -> list[_View]:
    """Return the ways to see the stack, those that trust the numbers first.

    The mean is the truest unit step where positions jitter and numbers say what lacks.
    """
    by_number = steps_mm / spans
    mean = np.full_like(steps_mm, steps_mm.sum() / spans.sum())
    views = [_View(mean, mean, 0)]
    for units_mm in (by_number, steps_mm) if (spans > 1).any() else (steps_mm,):
        view = _regimes(units_mm)
        numbered = whole_regimes or units_mm is by_number
        if view is not None and (view.changes == 0 or numbered or not _whole_factors(view)):
            views.append(view)
        views.extend(_View(np.full_like(steps_mm, b), np.full_like(steps_mm, b), 0) for b in _bases(units_mm))
    return views


def _bases(units_mm: Floats) -> list[float]:
    """Return the sizes around which the steps cluster, commonest first."""
    ordered = np.sort(units_mm)
    borders = np.flatnonzero(np.diff(ordered) > STEP_JITTER * ordered[:-1]) + 1
    clusters = sorted(np.split(ordered, borders), key=len, reverse=True)
    return [float(np.median(cluster)) for cluster in clusters[:BASES_TRIED]]


def _regimes(units_mm: Floats) -> _View | None:
    """Return the view in which runs of equal steps are regimes; ``None`` where no run is long enough."""
    runs = [(a, b) for a, b in _runs(units_mm) if b - a >= REGIME_STEPS]
    if not runs:
        return None
    left, right = np.empty_like(units_mm), np.empty_like(units_mm)
    bases = [float(np.median(units_mm[a:b])) for a, b in runs]
    for index, ((a, b), base) in enumerate(zip(runs, bases, strict=True)):
        before = runs[index - 1][1] if index else 0
        after = runs[index + 1][0] if index + 1 < len(runs) else len(units_mm)
        left[a:after] = right[before:b] = base
        if index == 0:
            left[:a] = base
    right[runs[-1][1] :] = bases[-1]
    different = sum(abs(a - b) > STEP_JITTER * min(a, b) for a, b in pairwise(bases))
    return _View(left, right, different)


def _runs(units_mm: Floats) -> list[tuple[int, int]]:
    """Cut the steps into runs that stay near the mean of their run."""
    if np.ptp(units_mm) <= STEP_JITTER * units_mm.min():
        return [(0, len(units_mm))]
    runs, start, total = [], 0, float(units_mm[0])
    for k in range(1, len(units_mm)):
        mean = total / (k - start)
        if abs(units_mm[k] - mean) > STEP_JITTER * mean:
            runs.append((start, k))
            start, total = k, 0.0
        total += float(units_mm[k])
    return [*runs, (start, len(units_mm))]


def _whole_factors(view: _View) -> bool:
    """Tell whether one regime's step is several times another's: without numbers that looks like holes."""
    ratios = view.left_mm / view.left_mm.min()
    whole = np.rint(ratios)
    return bool(((whole > 1) & (np.abs(ratios - whole) <= STEP_JITTER)).any())


def _judge(view: _View, steps_mm: Floats, spans: Whole, untaken: Whole) -> tuple[Whole, Whole]:
    """Return kind and number of unit steps of each step under one view."""
    kinds = np.full(len(steps_mm), int(Kind.IRREGULAR))
    units = np.ones(len(steps_mm), dtype=np.int64)

    def settle(kind: Kind, count: Whole, fits: npt.NDArray[np.bool_]) -> None:
        chosen = fits & (kinds == Kind.IRREGULAR) & (count <= LOST_IN_A_ROW)
        kinds[chosen], units[chosen] = kind, count[chosen]

    sides = (view.left_mm, view.right_mm)
    for count in (untaken, spans):
        for base in sides:
            settle(Kind.EVEN, count, _near(steps_mm, count * base, base))
        settle(Kind.EVEN, count, _mixed(steps_mm, count, *sides))
    for base in sides:
        settle(Kind.NUMBERING_GAP, np.ones_like(units), _near(steps_mm, base, base))
    shorter = (steps_mm < np.minimum(*sides)) & (np.abs(sides[0] - sides[1]) > STEP_JITTER * sides[0])
    settle(Kind.JUNCTION, np.ones_like(units), shorter & (untaken == 1))
    settle(Kind.JUNCTION, untaken, _over_junction(steps_mm, untaken, *sides))
    for base in sides:
        whole = np.rint(steps_mm / base).astype(np.int64)
        settle(Kind.HOLE, whole, (whole >= 2) & _near(steps_mm, whole * base, base))
    return kinds, units


def _near(steps_mm: Floats, expected_mm: Floats, base_mm: Floats) -> npt.NDArray[np.bool_]:
    return np.abs(steps_mm - expected_mm) <= STEP_JITTER * base_mm


def _mixed(steps_mm: Floats, count: Whole, left_mm: Floats, right_mm: Floats) -> npt.NDArray[np.bool_]:
    """Tell which steps are made of unit steps of the regime before and of the one behind them."""
    fits = np.zeros(len(steps_mm), dtype=bool)
    for k in np.flatnonzero((count > 1) & (count <= LOST_IN_A_ROW) & (left_mm != right_mm)):
        first = np.arange(1, count[k])
        sums = first * left_mm[k] + (count[k] - first) * right_mm[k]
        fits[k] = bool(_near(sums, steps_mm[k], min(left_mm[k], right_mm[k])).any())
    return fits


def _over_junction(
    steps_mm: Floats, count: Whole, left_mm: Floats, right_mm: Floats
) -> npt.NDArray[np.bool_]:
    """Tell which steps are made of a shorter one and of unit steps of the regimes that it joins.

    Those are the regimes of the steps before and behind it: its own mean size may pass for either.
    """
    left_mm, right_mm = np.insert(left_mm[:-1], 0, left_mm[0]), np.append(right_mm[1:], right_mm[-1])
    smaller_mm = np.minimum(left_mm, right_mm)
    different = np.abs(left_mm - right_mm) > STEP_JITTER * smaller_mm
    fits = np.zeros(len(steps_mm), dtype=bool)
    for k in np.flatnonzero((count > 1) & (count <= LOST_IN_A_ROW) & different):
        first = np.arange(count[k])
        shorter_mm = steps_mm[k] - first * left_mm[k] - (count[k] - 1 - first) * right_mm[k]
        fits[k] = bool(((shorter_mm > 0) & (shorter_mm < smaller_mm[k])).any())
    return fits


def _told(kinds: Whole, units: Whole, skipped: list[range], taken: Collection[int]) -> tuple[Step, ...]:
    """Return the steps that need a word: all but the plain unit steps."""
    told = []
    for k in np.flatnonzero((kinds != Kind.EVEN) | (units > 1)):
        numbers = _of_lost(skipped[k], int(units[k]) - 1, taken)
        told.append(Step(int(k), Kind(int(kinds[k])), int(units[k]), numbers))
    return tuple(told)


def _of_lost(skipped: range, lost: int, taken: Collection[int]) -> tuple[int, ...]:
    """Return the numbers of *lost* slices if there are as many to have: those that nobody bears, else all."""
    if len(skipped) == lost:
        return tuple(skipped)
    if len(skipped) - sum(number in skipped for number in taken) == lost:
        return tuple(number for number in skipped if number not in taken)
    return ()
