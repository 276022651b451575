"""Person names without what spelling varies, so that one person is one in folders, queries and selections.

Letter case, full and half width, padding, and carets and equals signs at the end do not tell people apart
(PS3.5 6.2.1). Full-width carets and equals signs separate like the others.
"""

import unicodedata
from functools import lru_cache
from typing import Final

GROUPS: Final = 3
"""Alphabetic, ideographic, phonetic."""

COMPONENTS: Final = 5
"""Family name, given name, middle name, prefix, suffix."""


@lru_cache(maxsize=4096)
def name_groups(name: str) -> tuple[str, ...]:
    """Return the three component groups of a name, each without empty components at its end."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    groups = [*folded.split("="), *[""] * GROUPS][:GROUPS]
    return tuple("^".join(map(str.strip, group.split("^")[:COMPONENTS])).rstrip("^") for group in groups)


def folded_name(name: str) -> str:
    """Return a name in the form in which two spellings of it are one text."""
    return "=".join(name_groups(name)).rstrip("=")
