"""What runs in another process: pixels in, encoded objects out.

``render`` makes the volume of a job, cuts its planes and encodes each as a DICOM object; ``pixels_agree``
compares the decoded pixels of two copies of one image. Both are called through ``scp.isolation``: here a
decoder may hang, crash or ask for all the memory, and nobody but the one request is worse off.

This module is also what the fork server preloads, so importing it compiles and warms the kernels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scp.model import FileFacts, Interpolation, Missing, Policy
from scp.reconstruction import planes, volume
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan
from scp.results import Encoder, ResultSeries


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Everything that one reconstruction needs: it crosses processes, and machines, as a value."""

    stack: tuple[FileFacts, ...]
    missing: tuple[Missing, ...]
    policy: Policy
    interpolation: Interpolation
    plan: PlanePlan
    pixel_format: PixelFormat
    series: ResultSeries
    threads: int


def render(job: RenderJob) -> Iterator[bytes]:
    """Yield the planes of *job* in their order, each as a whole DICOM file (PS3.10 section 7).

    Raises ``DecodingFailed`` naming the first slice that cannot be had.
    """
    source = volume.read_volume(job.stack, job.missing, job.policy, job.pixel_format)
    encoder = Encoder(job.series)
    rendered = planes.render_stack(source, job.plan, job.interpolation, threads=job.threads)
    for index, pixels in enumerate(rendered):
        yield encoder.encode(index, pixels)


def pixels_agree(copies: tuple[FileFacts, FileFacts]) -> Iterator[bytes]:
    """Yield one item: ``b"1"`` where both copies decode to the same pixels, else ``b"0"``."""
    one, other = (volume.decode(facts) for facts in copies)
    yield b"1" if np.array_equal(one, other) else b"0"
