import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scp.results.compression import COMPRESS

THREADS, PLANES = 4, 48


@pytest.mark.parametrize("syntax", COMPRESS)
def test_planes_are_compressed_on_several_threads_as_on_one(syntax):
    child = multiprocessing.get_context("forkserver").Process(target=compress_on_threads, args=(syntax,))
    child.start()
    child.join(60)
    assert child.exitcode == 0, "minus eleven is a segmentation fault"


def compress_on_threads(syntax: str) -> None:
    """Be the child, which a codec may crash."""
    planes = np.random.default_rng(0).integers(-1000, 1000, (PLANES, 96, 128), np.int16)
    alone = [COMPRESS[syntax](plane) for plane in planes]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(COMPRESS[syntax], planes)) == alone
