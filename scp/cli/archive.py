"""``import``, ``verify``, ``reindex``, ``conflicts`` and ``remove``: the archive, cared for by a person.

All of them work beside a running node.
"""

from pathlib import Path
from typing import Annotated

import typer

from scp.cli.options import AsJSON, ConfigFile

conflicts = typer.Typer(
    help="Images of which two versions are kept.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(conflicts, name="conflicts")
