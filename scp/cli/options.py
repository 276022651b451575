"""The options and arguments that several commands share, each with its one meaning."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

Word = TypeVar("Word", bound=StrEnum)


def words(kind: type[StrEnum]) -> str:
    """Return the words of *kind* as a usage line shows a choice."""
    return f"[{'|'.join(member.lower() for member in kind)}]"


def one_of(kind: type[Word]) -> Callable[[str], Word]:
    """Return what reads a word of *kind*, in any case."""

    def read(text: str) -> Word:
        for member in kind:
            if member.lower() == text.lower():
                return member
        raise typer.BadParameter(f"{text!r} is none of {', '.join(member.lower() for member in kind)}")

    return read


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration; without it the defaults hold."),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Host = Annotated[str, typer.Argument(metavar="HOST", help="Name or address of the other application entity.")]
Port = Annotated[int, typer.Argument(metavar="PORT", min=1, max=65535, help="Its port.")]
NODE = "MPRSCP"
"""The AE title of a node as it comes."""

CalledAE = Annotated[str, typer.Option("--aec", metavar="TITLE", help="The AE title that is called.")]
CallingAE = Annotated[str, typer.Option("--aet", metavar="TITLE", help="Our own AE title.")]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "-k",
        "--key",
        metavar="KEY=VALUE",
        help="A key of the identifier, by keyword or tag (0010,0020); a backslash between values.",
    ),
]
PatientRoot = Annotated[
    bool, typer.Option("--patient-root", "-P", help="Use the Patient Root model instead of Study Root.")
]
Deadline = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.1, help="How long it may take from connection to end.")
]
Silence = Annotated[
    float,
    typer.Option(
        "--deadline", metavar="SECONDS", min=0.1, help="How long nothing may come; not how long it may take."
    ),
]
