"""What the fork server imports before it forks: the renderer, with its kernels compiled and warm.

To import this module is the work; nothing else imports it. Children then start with everything in place,
and compilation happens once in the life of a node (``scp.isolation.local.start``).
"""

from scp import rendering
from scp.reconstruction import engine

__all__ = ["rendering"]

engine.warm()
