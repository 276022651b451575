"""Selections and plans for the tests of results, made from built or real files without rendering."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scp.model import (
    Direction,
    FileFacts,
    Header,
    Method,
    Missing,
    Note,
    Operation,
    PlaneRequest,
    SelectionReport,
    SelectionRules,
)
from scp.part10 import read_facts
from scp.reconstruction.pixels import PixelFormat, pixel_format
from scp.reconstruction.planes import PlanePlan
from scp.results import Encoder
from tests.builders import series, write_series

DIRECTIONS = {
    Direction.CORONAL: ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    Direction.SAGITTAL: ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    Direction.TRANSVERSE: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    Direction.OBLIQUE: (
        (0.8660254037844387, 0.4330127018922193, 0.25),
        (-0.5, 0.75, 0.4330127018922193),
    ),
}
"""Row and column cosines."""

CT = PixelFormat(True, 1, "MONOCHROME2", 1.0, 0.0, "HU", -2000)


def files_of(encoder: Encoder, planes: Iterable[NDArray[np.generic]]) -> list[bytes]:
    """Return the Part 10 files that the planes of a series make, in order: one each, or one in all."""
    pieces = [encoder.encode(index, pixels) for index, pixels in enumerate(planes)]
    return pieces if encoder.series.frames_per_object == 1 else [b"".join(pieces)]


def digested(facts: FileFacts) -> FileFacts:
    """Return *facts* with the digest of its pixels, as the archive gives it."""
    pixels = facts.pixel_data
    assert pixels is not None, facts.detail
    value = facts.path.read_bytes()[pixels.offset : pixels.offset + pixels.length]
    return replace(facts, pixel_data=replace(pixels, sha256=hashlib.sha256(value).hexdigest()))


def facts_of(paths: Iterable[Path]) -> tuple[FileFacts, ...]:
    """Return the facts of images, ordered along their normal."""
    found = [digested(facts) for path in paths for facts in read_facts(path)]

    def along(facts: FileFacts) -> float:
        iop = facts.header.numbers("ImageOrientationPatient")
        normal = np.cross(iop[:3], iop[3:])
        return float(np.dot(normal, facts.header.numbers("ImagePositionPatient")))

    return tuple(sorted(found, key=along))


def built_stack(folder: Path, datasets: Sequence[Dataset] | None = None) -> tuple[FileFacts, ...]:
    """Return the facts of *datasets* (12 axial CT slices by default) written into *folder*."""
    return facts_of(write_series(series(12) if datasets is None else datasets, folder))


def stating(facts: FileFacts, **attributes: Any) -> FileFacts:
    """Return *facts* with some attributes changed, or taken out by ``None``."""
    known = {k: v for k, v in {**facts.header.attributes, **attributes}.items() if v is not None}
    return replace(facts, header=Header(known))


def all_stating(stack: Sequence[FileFacts], **attributes: Any) -> tuple[FileFacts, ...]:
    """Return *stack* with the same change in every source."""
    return tuple(stating(facts, **attributes) for facts in stack)


def one_stating(stack: Sequence[FileFacts], index: int, **attributes: Any) -> tuple[FileFacts, ...]:
    """Return *stack* with a change in one source."""
    return (*stack[:index], stating(stack[index], **attributes), *stack[index + 1 :])


def selected(
    stack: Sequence[FileFacts],
    missing: Sequence[Missing] = (),
    notes: Sequence[Note] = (),
    **rules: Any,
) -> SelectionReport:
    """Return the report that selects *stack*."""
    return SelectionReport(
        current=stack[0],
        rules=SelectionRules(**rules),
        stack=tuple(stack),
        missing=tuple(missing),
        notes=tuple(notes),
    )


def planned(
    direction: Direction = Direction.CORONAL,
    *,
    count: int = 4,
    rows: int = 6,
    columns: int = 7,
    spacing: float = 0.7,
    interval: float = 0.7,
    thickness: float = 0.0,
    method: Method = Method.AVERAGE_IP,
    origin: Sequence[float] = (-12.5, 33.0, -7.25),
    sources: int = 12,
    filled: Sequence[Sequence[int]] = (),
) -> PlanePlan:
    """Return a plan of *count* planes; each touches all *sources* slices."""
    row, column = DIRECTIONS[direction]
    normal = np.cross(row, column)
    positions = [tuple(float(v) for v in np.array(origin) + k * interval * normal) for k in range(count)]
    oblique = (*row, *column) if direction is Direction.OBLIQUE else None
    return PlanePlan(
        request=PlaneRequest(
            direction=direction,
            orientation=oblique,
            operation=Operation.SLAB if thickness else Operation.MPR,
            thickness_mm=thickness,
            interval_mm=interval,
            method=method,
        ),
        row_cosine=row,
        column_cosine=column,
        spacing_mm=spacing,
        rows=rows,
        columns=columns,
        positions=tuple(positions),
        interval_mm=interval,
        thickness_mm=thickness,
        sample_offsets_mm=(0.0,),
        sample_weights=(1.0,),
        sources=tuple(tuple(range(sources)) for _ in range(count)),
        filled=tuple(tuple(f) for f in filled) or tuple(() for _ in range(count)),
    )


def pixels_of(plan: PlanePlan, stored: PixelFormat = CT, seed: int = 0) -> np.ndarray:
    """Return stored values (plane, row, column[, 3]) that differ everywhere they can."""
    shape: tuple[int, ...] = (len(plan.positions), plan.rows, plan.columns)
    generator = np.random.default_rng(seed)
    if stored.samples_per_pixel > 1:
        return generator.integers(0, 256, (*shape, 3)).astype(np.uint8)
    low, high = (-32768, 32767) if stored.signed else (0, 65535)
    return generator.integers(low, high + 1, shape).astype("<i2" if stored.signed else "<u2")


def stored_as(stack: Sequence[FileFacts]) -> PixelFormat:
    """Return the pixel format that reconstruction chooses for *stack*."""
    return pixel_format(stack)
