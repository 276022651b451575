"""``import``, ``verify``, ``reindex``, ``conflicts`` and ``remove``: the archive, cared for by a person.

All of them work beside a running node.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scp.cli.options import AsJSON, ConfigFile
from scp.cli.output import NotAllDone, print_json, progress
from scp.errors import Code, ConfigurationError
from scp.model import counted

if TYPE_CHECKING:
    from scp.archive import Archive
    from scp.model import Progress

conflicts = typer.Typer(
    help="Instances of which two versions came, and both are kept.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


InstanceUID = Annotated[str, typer.Argument(metavar="UID", help="The SOP Instance UID.")]


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)
    for command in (verify, reindex, remove):
        app.command()(command)
    app.add_typer(conflicts, name="conflicts")


def import_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Files and folders.")],
    batch: Annotated[str, typer.Option(metavar="NAME", help="The first-level folder they go to.")] = "",
    config: ConfigFile = None,
    as_json: AsJSON = False,
) -> None:
    """Copy DICOM files from messy folders into the archive; what is not DICOM is reported and left.

    The exit code is 1 where DICOM could not be taken, and where what was taken is in conflict with what is
    here: both versions are kept, and a person must say which is right.

    \b
    Example:
      mpr-scp import /media/cdrom --batch cd-of-monday --config config/node.toml
    """
    with _archive(config) as archive, _told("importing") as told:
        root = archive.root
        summary = archive.import_paths(paths, batch, told)
    if as_json:
        left = [
            {"path": str(path), "reason": reason, "detail": detail} for path, reason, detail in summary.left
        ]
        conflicting = list(map(str, summary.conflicts))
        counts = dict(summary.counts)
        print_json({"archive": str(root), "counts": counts, "left": left, "conflicts": conflicting})
    else:
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in summary.counts.items())
        print(f"{outcomes or 'no files'}; the archive is {root}")
        for path, reason, detail in summary.left:
            print(f"{path}: {reason}{f': {detail}' if detail else ''}")
        for path in summary.conflicts:
            print(f"{path}: conflict: its instance is here with other content; see mpr-scp conflicts list")
    not_taken = [path for path, reason, _ in summary.left if reason not in (Code.NOT_DICOM, Code.NOT_A_FILE)]
    open_ends = []
    if not_taken:
        open_ends.append(f"{counted(len(not_taken), 'DICOM file')} could not be taken, {not_taken[0]} first")
    if summary.conflicts:
        open_ends.append(
            f"{counted(len(summary.conflicts), 'file')} taken in conflict with what is here, "
            f"{summary.conflicts[0]} first; say which is right by mpr-scp conflicts keep"
        )
    if open_ends:
        raise NotAllDone("; ".join(open_ends))


def verify(
    accept: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", help="Take what was altered there for right, and what is gone for gone."
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJSON = False,
) -> None:
    """Read every stored image again and compare it with its checksum.

    What was altered, or is gone though nobody removed it, is told each time, until the file is put back or
    stored anew, accepted, kept beside another version by conflicts keep, or removed.

    \b
    Example:
      mpr-scp verify --config config/node.toml
    """
    with _archive_that_is_there(config) as archive, _told("verifying") as told:
        damaged = list(archive.verify(told))
        accepted = archive.accept([path.absolute() for path in accept or ()])
        damaged = [each for each in damaged if each.path not in accepted]
        count = archive.instance_count()
    idle = [path for path in accept or () if not any(p.is_relative_to(path.absolute()) for p in accepted)]
    if as_json:
        rows = [{"path": str(each.path), "detail": each.detail} for each in damaged]
        print_json({"instances": count, "damaged": rows, "accepted": list(map(str, accepted))})
    else:
        summary = f"{counted(count, 'instance')}, {f'{len(damaged)} not' if damaged else 'all'} as stored"
        told_apart = [f"accepted: {path}" for path in accepted]
        print("\n".join([summary, *told_apart, *(f"{each.path}: {each.detail}" for each in damaged)]))
    if damaged:
        raise NotAllDone(
            f"{counted(len(damaged), 'instance')} not as stored; see above. "
            "Put the files back, or say that they are right by --accept PATH"
        )
    if idle:
        raise NotAllDone(
            f"nothing waits to be accepted at {', '.join(map(str, idle))}; is it in this archive?"
        )


def reindex(config: ConfigFile = None, as_json: AsJSON = False) -> None:
    """Make the index anew from the files, which are the truth.

    \b
    Example:
      mpr-scp reindex --config config/node.toml
    """
    with _archive_that_is_there(config) as archive, _told("indexing") as told:
        count = archive.reindex(told)
    if as_json:
        print_json({"files": count})
    else:
        print(f"{counted(count, 'file')} read")


@conflicts.command("list")
def list_conflicts(config: ConfigFile = None, as_json: AsJSON = False) -> None:
    """List the instances that came twice with different content, and the files, until one is kept.

    Where both versions turn up for one volume, its planes are refused: neither is better than the other.

    \b
    Example:
      mpr-scp conflicts list --config config/node.toml
    """
    with _archive_that_is_there(config) as archive:
        found = archive.conflicts()
        differs = {uid: archive.what_differs(uid) for uid in found}
    if as_json:
        print_json({uid: list(map(str, paths)) for uid, paths in found.items()})
        return
    for uid, paths in found.items():
        first = f"{uid}: {differs[uid]}" if differs[uid] else uid
        print("\n".join([first, *(f"  {path}" for path in paths)]))
    print(counted(len(found), "conflict"))


@conflicts.command("keep")
def keep(
    uid: InstanceUID,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="The version that is right.")],
    config: ConfigFile = None,
    as_json: AsJSON = False,
) -> None:
    """Keep one version of an instance; the others are set aside in the archive's own folder.

    \b
    Example:
      mpr-scp conflicts keep 1.2.3 archive/2026-01-31/P/S/1/1.2.3.dcm --config config/node.toml
    """
    with _archive_that_is_there(config) as archive:
        aside = archive.keep(uid, file.absolute())
    if as_json:
        print_json({"kept": str(file.absolute()), "set_aside": list(map(str, aside))})
    else:
        print("\n".join([f"kept {file}", *(f"set aside: {path}" for path in aside)]))


def remove(uid: InstanceUID, config: ConfigFile = None, as_json: AsJSON = False) -> None:
    """Delete an instance from the archive, every file that holds it.

    \b
    Example:
      mpr-scp remove 1.2.3 --config config/node.toml
    """
    with _archive_that_is_there(config) as archive:
        removed = archive.remove(uid)
    if as_json:
        print_json({"deleted": list(map(str, removed))})
    else:
        print("\n".join(f"deleted {path}" for path in removed))


@contextmanager
def _archive(config: Path | None) -> "Iterator[Archive]":
    from scp.archive import Archive
    from scp.config import load

    settings = load(config)
    with Archive.open(settings.archive, settings.selection.auxiliary) as archive:
        yield archive


@contextmanager
def _archive_that_is_there(config: Path | None) -> "Iterator[Archive]":
    """Open an archive to look after it; an empty one made on the spot would pass every check."""
    from scp.config import load

    root = load(config).archive.root
    if not root.is_dir():
        raise ConfigurationError(f"there is no archive at {root}; name the node's own file by --config")
    with _archive(config) as archive:
        yield archive


@contextmanager
def _told(what: str) -> "Iterator[Callable[[Progress], None]]":
    """Show a bar that follows the archive's reports."""
    with progress(what) as advance:
        yield lambda report: advance(report.done, report.total)
