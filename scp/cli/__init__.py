"""The command line: one module per family of commands; it prints views and decides nothing.

Each command imports what it needs when it runs, so that ``--help`` and a mistyped option answer at once.
What went wrong ends here, in one place: one sentence on stderr and an exit code.

== =================================================
0  done
1  refused or failed; the sentence says what and why
2  usage: the command line itself is wrong
== =================================================

Ctrl-C ends a command by 130 and says nothing.
"""

import os
import sys
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer

from scp.cli import archive, bench, configuration, curved, dimse, reconstruct, serve
from scp.cli.output import NotAllDone
from scp.errors import MprScpError

HELP = frozenset({"-h", "--help"})
INTERRUPTED = 130
RENDERING = frozenset({"mpr", "curved"})

app = typer.Typer(
    name="mpr-scp",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": sorted(HELP)},
)


def _version(asked: bool) -> None:
    if asked:
        from scp import __version__

        print(f"mpr-scp {__version__}")
        raise typer.Exit


@app.callback()
def _frame(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A DICOM node that reconstructs from archives as people really leave them."""


for family in (serve, configuration, dimse, reconstruct, curved, archive, bench):
    family.add_to(app)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command and leave the process with its exit code."""
    script = sys.modules["__main__"]
    if script.__spec__ is None:
        # it is ``python -m scp`` by another name; not knowing that, every child would import it anew
        script.__spec__ = find_spec("scp.__main__")
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if RENDERING.intersection(words[:1]) and not HELP.intersection(words):
            reconstruct.load_ahead()
        app(words, prog_name="mpr-scp")
    except (MprScpError, NotAllDone) as error:
        print(f"mpr-scp: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"mpr-scp: {where}{error.strerror or error}", file=sys.stderr)
    finally:
        reconstruct.let_go()
    sys.exit(1)
