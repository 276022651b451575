"""What the fork server imports before it forks: the renderer, with its kernels compiled and warm.

To import this module is the work; nothing else imports it. Children then start with everything in place,
and compilation happens once in the life of a node (``scp.isolation.local.start``). What was loaded stays
out of the collections of garbage: to look at an object is to write to it, and a child would copy it all.
"""

import gc
import sys

gc.disable()  # nothing of what is loaded is garbage
# numba would import it, a seventh of the whole start, for linear algebra that no kernel does
sys.modules["scipy.linalg.cython_blas"] = None  # type: ignore[assignment]

from scp import rendering  # noqa: E402
from scp.reconstruction import engine  # noqa: E402

__all__ = ["rendering"]

engine.warm()
gc.freeze()
gc.enable()
