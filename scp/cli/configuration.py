"""``config check`` and ``config show``: what a configuration says, without starting anything."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from scp.cli.options import AsJSON, ConfigFile
from scp.cli.output import print_json

family = typer.Typer(help="Check or show a configuration.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    app.add_typer(family, name="config")


@family.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The TOML file.")]) -> None:
    """Say what is wrong with a configuration, key by key.

    \b
    Example:
      mpr-scp config check config/node.toml
    """
    from scp import config

    config.load(file)
    print(f"{file}: is good")


@family.command()
def show(config: ConfigFile = None, as_json: AsJSON = False) -> None:
    """Show every setting that holds: those of the file, and the defaults for the rest.

    \b
    Example:
      mpr-scp config show --config config/node.toml
    """
    from scp.config import load

    settings = load(config).model_dump(mode="json")
    if as_json:
        print_json(settings)
    else:
        print("\n\n".join(_tables(settings)))


def _tables(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield *settings* as TOML tables, in a form that ``serve`` takes again."""
    for name, table in settings.items():
        if not isinstance(table, dict):
            continue
        path = f"{prefix}{name}" if re.fullmatch(r"[\w-]+", name) else f"{prefix}{json.dumps(name)}"
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if _is_value(value)]
        if lines:
            yield "\n".join([f"[{path}]", *lines])
        yield from _tables(table, f"{path}.")


def _is_value(value: object) -> bool:
    return value is not None and not isinstance(value, dict)
