"""``config check`` and ``config show``: what a configuration says, without starting anything."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scp.cli.options import AsJSON, ConfigFile
from scp.cli.output import print_json
from scp.model import Operation

if TYPE_CHECKING:
    from scp.config import Config

family = typer.Typer(help="Check or show a configuration.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    app.add_typer(family, name="config")


File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The TOML file; or by --config.")]


@family.command()
def check(file: File = None, config: ConfigFile = None, as_json: AsJSON = False) -> None:
    """Say what is wrong with a configuration, key by key; files of [tls] are opened, nothing is started.

    \b
    Example:
      mpr-scp config check config/node.toml
    """
    from scp.config import load

    path = _one(file, config)
    if path is None:
        raise typer.BadParameter("name the file to check", param_hint="FILE")
    settings = load(path)
    if settings.tls is not None:
        from scp.net.tls import acceptor_context

        acceptor_context(settings.tls)
    waiting = _without_thickness(settings)
    if as_json:
        print_json({"file": str(path), "good": True, "slabs_without_thickness": waiting})
    else:
        print(f"{path}: is good{', but:' if waiting else ''}")
        for name in waiting:
            print(
                f"presets.{name}: a SLAB without a thickness refuses every request that brings none by "
                f"ReformattingThickness; set presets.{name}.thickness"
            )


def _without_thickness(settings: "Config") -> list[str]:
    """Return the presets of slabs that wait for a request to say how thick they are."""
    planes = {name: preset.planes for name, preset in settings.presets.items()}
    return [
        name for name, each in planes.items() if each.operation is Operation.SLAB and not each.thickness_mm
    ]


@family.command()
def show(file: File = None, config: ConfigFile = None, as_json: AsJSON = False) -> None:
    """Show every setting that holds: those of the file, and the defaults for the rest.

    \b
    Example:
      mpr-scp config show config/node.toml
    """
    from scp.config import load

    settings = load(_one(file, config)).model_dump(mode="json")
    if as_json:
        print_json(settings)
    else:
        print("\n\n".join(_tables(settings)))


def _one(file: Path | None, config: Path | None) -> Path | None:
    """Return the file that was named, as an argument or by ``--config``."""
    if file and config and file != config:
        raise typer.BadParameter(f"{file} and {config} are two files; name one", param_hint="FILE")
    return file or config


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
