"""The file itself: TOML in, ``Config`` out, and every mistake in a sentence that helps to mend it."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from scp.config.sections import TLS, Config, Peer, Preset
from scp.errors import ConfigurationError


def load(path: Path | None) -> Config:
    """Return the configuration in the TOML file *path*; without one, the defaults in the current folder.

    Raises ``ConfigurationError``, which names the file and, for each key that is wrong, what was found and
    what was needed.
    """
    if path is None:
        return Config()
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: is no TOML: {error}") from error
    tables.setdefault("archive", {})  # its root is relative to the file, also where the file is silent
    # Strict JSON tells "8" from 8 and still takes words for enumerations and lists for tuples.
    text = json.dumps(tables, default=str)
    try:
        return Config.model_validate_json(text, strict=True, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in _sentences(error))) from error


def _sentences(error: ValidationError) -> Iterator[str]:
    for detail in error.errors():
        key = ".".join(str(part) for part in detail["loc"] if part != "[key]")
        if detail["type"] == "extra_forbidden":
            yield f"{key}: is no known key; the nearest is {_nearest(detail['loc'])}"
        elif detail["type"] == "missing":
            yield f"{key}: is not there, and is needed"
        else:
            yield f"{key + ': ' if key else ''}{_found(detail)}needed {_needed(detail)}"


def _found(detail: ErrorDetails) -> str:
    found: Any = detail["input"]
    return "" if isinstance(found, dict) else f"found {found!r}, "


def _needed(detail: ErrorDetails) -> str:
    """Return what pydantic asks for, in the words of TOML; its sentences begin with "Input should be"."""
    words = re.sub(r"^(Input|String) should (be |have )?", "", detail["msg"])
    return {"an object": "a table", "a valid array": "a list"}.get(words, words)


def _nearest(location: tuple[int | str, ...]) -> str:
    """Return the known key nearest to the unknown one at *location*, with its section."""
    *tables, wrong = map(str, location)
    known = [key for key in _model(tables).model_fields if key != "name"]
    return ".".join([*tables, *difflib.get_close_matches(wrong, known, n=1, cutoff=0.0)])


def _model(tables: list[str]) -> type[BaseModel]:
    """Return what describes the table that *tables* lead to."""
    named: dict[str, type[BaseModel]] = {"peers": Peer, "presets": Preset, "tls": TLS}
    if not tables:
        return Config
    if tables[0] in named:
        return named[tables[0]]
    section = Config.model_fields[tables[0]].get_default(call_default_factory=True)
    assert isinstance(section, BaseModel)
    return type(section)
