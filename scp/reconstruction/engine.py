"""Planes of a volume: the last stage of a reconstruction, by the compiled kernels or by the reference.

Which of the two serves is settled by ``engines`` and never changes while the process lives: they agree to
within one stored value, which makes two results, so :data:`ENGINE` is part of the result's identity.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scp.model import Interpolation
from scp.reconstruction import reference
from scp.reconstruction.engines import CHUNK, ENGINE, KERNELS
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.volume import Volume, aligned

if ENGINE == KERNELS:
    from scp.reconstruction import compiled

    render_chunk = compiled.render_chunk
    warm = compiled.warm
else:
    render_chunk = reference.render_chunk
    warm = reference.warm

Plane = NDArray[np.generic]


def render_planes(
    volume: Volume, plan: PlanePlan, planes: range, interpolation: Interpolation, out: Plane
) -> None:
    """Write *planes* of *plan* to *out* (planes, rows, columns[, 3]) of type ``volume.dtype``."""
    if volume.pixel_format.samples_per_pixel == 1:
        render_chunk(volume, plan, planes, interpolation, 0, out.view(np.int16))
        return
    values = np.empty(out.shape[:3], np.int16)
    for sample in range(3):
        render_chunk(volume, plan, planes, interpolation, sample, values)
        out[..., sample] = np.clip(values, 0, 255)


def render_stack(
    volume: Volume,
    plan: PlanePlan,
    interpolation: Interpolation,
    threads: int = 1,
    planes: range | None = None,
    buffers: Sequence[Plane] = (),
) -> Iterator[Plane]:
    """Yield all planes of *plan* in order, or only *planes* (step 1), made by *threads* at once.

    A plane lies in a buffer that is used again: it holds until the next one is asked for. *buffers* are those
    of ``stack_buffers``, where several stacks of one plan follow each other.
    """
    wanted = range(len(plan.positions)) if planes is None else planes
    chunks = [wanted[first : first + CHUNK] for first in range(0, len(wanted), CHUNK)]
    free = deque(buffers or stack_buffers(volume, plan, threads, len(wanted)))
    running: deque[tuple[range, Plane, Future[None]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for chunk in chunks:
            if not free:
                yield from _finished(running, free)
            buffer = free.popleft()
            work = pool.submit(render_planes, volume, plan, chunk, interpolation, buffer[: len(chunk)])
            running.append((chunk, buffer, work))
        while running:
            yield from _finished(running, free)


def stack_buffers(volume: Volume, plan: PlanePlan, threads: int, planes: int) -> list[Plane]:
    """Return what ``render_stack`` writes *planes* to: a chunk for each thread, and one for the reader."""
    shape = _shape(volume, plan, min(CHUNK, planes))
    return [aligned(shape, volume.dtype) for _ in range(min(threads + 1, -(-planes // CHUNK)))]


def _finished(running: deque[tuple[range, Plane, Future[None]]], free: deque[Plane]) -> Iterator[Plane]:
    chunk, buffer, work = running.popleft()
    work.result()
    yield from buffer[: len(chunk)]
    free.append(buffer)


def _shape(volume: Volume, plan: PlanePlan, planes: int) -> tuple[int, ...]:
    colour = (3,) if volume.pixel_format.samples_per_pixel == 3 else ()
    return (planes, plan.rows, plan.columns, *colour)
