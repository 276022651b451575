"""How a request was answered, for its line in the log."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scp.services.status import Outcome


@dataclass(frozen=True, slots=True)
class Answered:
    """Status and Error Comment of the final response, and what else is worth a word: counts, destination.

    *routine*: one of thousands of its kind, told in detail only where ``node.log_level`` is ``debug``.
    """

    outcome: Outcome
    said: Mapping[str, object] = field(default_factory=dict)
    routine: bool = False
