"""What runs in another process: pixels in, encoded objects out.

``render`` makes the volume of a job, cuts its planes and encodes each as a DICOM object; ``pixels_agree``
compares the decoded pixels of two copies of one image. Both are called through ``scp.isolation``: here a
decoder may hang, crash or ask for all the memory, and nobody but the one request is worse off.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scp.model import FileFacts, Interpolation, Missing, Policy
from scp.reconstruction.engine import render_stack
from scp.reconstruction.frames import Cells, read_frames
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan
from scp.reconstruction.volume import read_volume
from scp.results import Encoder, ResultSeries


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Everything that one reconstruction needs: it crosses processes, and machines, as a value.

    *threads* = 0 takes as many as the process that renders may use cores.
    """

    stack: tuple[FileFacts, ...]
    missing: tuple[Missing, ...]
    policy: Policy
    interpolation: Interpolation
    plan: PlanePlan
    pixel_format: PixelFormat
    series: ResultSeries
    threads: int


def render(job: RenderJob) -> Iterator[bytes]:
    """Yield the objects of *job* in the order of their Instance Numbers, each a DICOM file (PS3.10 7).

    Raises ``DecodingFailed`` naming the first slice that cannot be had.
    """
    threads = job.threads or len(os.sched_getaffinity(0))
    volume = read_volume(job.stack, job.missing, job.policy, job.pixel_format, threads)
    planes = render_stack(volume, job.plan, job.interpolation, threads)
    yield from Encoder(job.series).objects(planes)


def pixels_agree(copies: tuple[FileFacts, FileFacts]) -> Iterator[bytes]:
    """Yield one item: ``b"1"`` where both copies decode to the same pixels, else ``b"0"``."""
    one, other = (_pixels(facts) for facts in copies)
    yield b"1" if np.array_equal(one, other) else b"0"


def _pixels(facts: FileFacts) -> Cells:
    """Return the stored values of one frame, without what may lie in the bits above them (PS3.5 8.1.1)."""
    header = facts.header
    memory = np.empty((header.integer("Rows") or 0, header.integer("Columns") or 0), np.int16)
    (cells,) = read_frames([facts], [memory])
    mask = (1 << (header.integer("BitsStored") or 16)) - 1
    pixels: Cells = cells & np.array(mask).astype(cells.dtype)
    return pixels
