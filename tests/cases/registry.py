"""The cases of a real archive, in the order in which they were written down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scp.errors import Code
from tests.cases.scenes import Scene

Build = Callable[[Path], Scene]


@dataclass(frozen=True)
class Case:
    """One case: what lies in the folder, how to make it, and what this node has to say of it.

    *left_out* counts the files by reason, *missing* are the numbers of the images that are named missing
    (``None`` where only the position is known), *notes* the codes that are mentioned. *varies* tells by
    reader what it does where that depends on the order in which the file system lists the folder.
    """

    name: str
    lies: str
    build: Build
    verdict: str = Code.OK
    left_out: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[int | None, ...] = ()
    notes: frozenset[str] = frozenset()
    varies: Mapping[str, str] = field(default_factory=dict)

    def lay(self, root: Path) -> Scene:
        """Make the folder ``root/NAME/series``, with all that lies around it."""
        folder = root / self.name.replace(" ", "_") / "series"
        folder.mkdir(parents=True)
        return self.build(folder)


CASES: dict[str, Case] = {}


def case(
    name: str,
    lies: str,
    verdict: str = Code.OK,
    *,
    left_out: Mapping[str, int] | None = None,
    missing: tuple[int | None, ...] = (),
    notes: frozenset[str] | set[str] = frozenset(),
    varies: Mapping[str, str] | None = None,
) -> Callable[[Build], Build]:
    """Enter the decorated function as the way to make one case."""

    def enter(build: Build) -> Build:
        assert name not in CASES, f"there are two cases {name}"
        CASES[name] = Case(
            name, lies, build, verdict, left_out or {}, missing, frozenset(notes), varies or {}
        )
        return build

    return enter
