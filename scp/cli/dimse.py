"""``echo``, ``send``, ``find``, ``move`` and ``get``: this program as a requestor (PS3.4 Annexes A, B, C).

What the other end answers is shown as it came, Error Comment (0000,0902) included: that is where this node
says why it refused.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scp.cli.options import (
    NODE,
    AsJSON,
    CalledAE,
    CallingAE,
    Deadline,
    Host,
    Keys,
    PatientRoot,
    Port,
    Silence,
)
from scp.cli.output import NotAllDone, print_json, progress
from scp.errors import Code, NotDicom
from scp.model import counted

if TYPE_CHECKING:
    from scp.config import Peer
    from scp.model import FileRef
    from scp.net.queries import Retrieved, RetrieveFailed
    from scp.net.requestor import Requestor
    from scp.net.sending import Sent


def add_to(app: typer.Typer) -> None:
    for command in (echo, send, find, move, get):
        app.command()(command)


def echo(
    host: Host,
    port: Port,
    aec: CalledAE = NODE,
    aet: CallingAE = "MPRSCU",
    deadline: Deadline = 10.0,
    as_json: AsJSON = False,
) -> None:
    """Ask whether a DICOM application answers (C-ECHO).

    \b
    Example:
      mpr-scp echo 127.0.0.1 11112 --aec MPRSCP
    """
    requestor, peer = _ends(host, port, aec, aet, deadline)
    requestor.echo(peer)
    if as_json:
        print_json({"host": host, "port": port, "ae_title": aec})
    else:
        print(f"{host}:{port} answers as {aec}")


def send(
    host: Host,
    port: Port,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Files and folders.")],
    aec: CalledAE = NODE,
    aet: CallingAE = "MPRSCU",
    deadline: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long one instance may take.")
    ] = 30.0,
    as_json: AsJSON = False,
) -> None:
    """Send files (C-STORE), each as the bytes that it is; what is no DICOM instance is left out.

    \b
    Example:
      mpr-scp send 127.0.0.1 11112 series/ --aec MPRSCP
    """
    from scp.part10 import file_ref

    requestor, peer = _ends(host, port, aec, aet, deadline)
    left_out: list[Path] = []
    refs: list[FileRef] = []
    directories: list[FileRef] = []
    for path in _files(paths):
        try:
            ref = file_ref(path)
        except NotDicom:
            left_out.append(path)
            continue
        (directories if _is_directory(ref) else refs).append(ref)
    results: list[Sent] = []
    with progress("sending") as advance:
        for sent in requestor.store(peer, refs, deadline_s=deadline):
            results.append(sent)
            advance(len(results), len(refs))
    failed = [sent for sent in results if not sent.taken]
    if as_json:
        print_json(
            {
                "sent": len(results) - len(failed),
                "failed": list(map(_sent_json, failed)),
                "left_out": list(map(str, [*left_out, *(ref.path for ref in directories)])),
            }
        )
    else:
        print(f"sent {len(results) - len(failed)} of {len(refs)}", end="")
        print(f"; not DICOM: {counted(len(left_out), 'file')}" if left_out else "")
        for ref in directories:
            print(f"{ref.path}: left out: it is a DICOMDIR")
    if failed:
        why = _status(failed[0].status, failed[0].error_comment)
        raise NotAllDone(f"not taken: {len(failed)} of {len(refs)}; {failed[0].ref.path}: {why}")
    if not refs:
        count = len(left_out) + len(directories)
        found = f"{counted(count, 'file')} found, no DICOM instance" if count else "no file found"
        raise NotAllDone(f"no DICOM file to send: {found}; name an image, or a folder with images")


def find(
    host: Host,
    port: Port,
    keys: Keys = None,
    aec: CalledAE = NODE,
    aet: CallingAE = "MPRSCU",
    patient_root: PatientRoot = False,
    deadline: Deadline = 600.0,
    as_json: AsJSON = False,
) -> None:
    """Query (C-FIND); with the keys of a reconstruction, at this node: a dry run of it.

    \b
    Examples:
      mpr-scp find 127.0.0.1 11112 --aec MPRSCP -k QueryRetrieveLevel=STUDY -k StudyInstanceUID -k PatientName
      mpr-scp find 127.0.0.1 11112 --aec MPRSCP -k QueryRetrieveLevel=IMAGE -k SOPInstanceUID=1.2.3 \\
          -k ReformattingOperationType=MPR -k SeriesDescription -k ImageComments
    """
    from scp.cli.identifier import answer_lines, as_mapping, identifier

    requestor, peer = _ends(host, port, aec, aet, deadline)
    asked = identifier(keys)
    found = list(requestor.ask(peer, asked, root_model=_root(patient_root)))
    if as_json:
        print_json(list(map(as_mapping, found)))
    else:
        print("\n\n".join(["\n".join(answer_lines(answer)) for answer in found] or ["no answer"]))


def move(
    host: Host,
    port: Port,
    aem: Annotated[str, typer.Option("--aem", metavar="TITLE", help="The AE title that is sent to.")],
    keys: Keys = None,
    aec: CalledAE = NODE,
    aet: CallingAE = "MPRSCU",
    patient_root: PatientRoot = False,
    deadline: Silence = 600.0,
    as_json: AsJSON = False,
) -> None:
    """Have images, or planes made of them, sent to an AE title (C-MOVE).

    \b
    Example:
      mpr-scp move 127.0.0.1 11112 --aec MPR_COR --aem WORKSTATION -k QueryRetrieveLevel=SERIES \\
          -k StudyInstanceUID=1.2.3 -k SeriesInstanceUID=1.2.3.4
    """
    from scp.cli.identifier import identifier
    from scp.net.deadlines import Patience

    requestor, peer = _ends(host, port, aec, aet, deadline)
    destination, asked = _ae_title(aem, "--aem"), identifier(keys)
    with progress("moving"):
        done = _to_its_end(
            lambda: requestor.move(
                peer, asked, destination, root_model=_root(patient_root), deadline=Patience(deadline)
            )
        )
    _print_retrieve(done, f"to {aem}", as_json)


def get(
    host: Host,
    port: Port,
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="Where the images are put.")],
    keys: Keys = None,
    aec: CalledAE = NODE,
    aet: CallingAE = "MPRSCU",
    patient_root: PatientRoot = False,
    deadline: Silence = 600.0,
    as_json: AsJSON = False,
) -> None:
    """Retrieve images, or planes made of them, into a folder (C-GET).

    \b
    Example:
      mpr-scp get 127.0.0.1 11112 --aec MPR_SAG --out planes -k QueryRetrieveLevel=SERIES \\
          -k StudyInstanceUID=1.2.3 -k SeriesInstanceUID=1.2.3.4
    """
    from scp.cli.folder_sink import FolderSink
    from scp.cli.identifier import identifier
    from scp.net.deadlines import Patience

    requestor, peer = _ends(host, port, aec, aet, deadline)
    with progress("retrieving") as advance:
        sink = FolderSink(out, lambda count: advance(count, 0))
        done = _to_its_end(
            lambda: requestor.get(
                peer, identifier(keys), sink, root_model=_root(patient_root), deadline=Patience(deadline)
            )
        )
    _print_retrieve(done, f"in {out}", as_json)


def _ends(host: str, port: int, aec: str, aet: str, deadline_s: float) -> "tuple[Requestor, Peer]":
    """Return ourselves as *aet*, and the application entity that is called."""
    from scp.config import Config
    from scp.net.requestor import Requestor

    peer = _peer("HOST", ae_title=_ae_title(aec, "--aec"), host=host, port=port, deadline=deadline_s)
    return Requestor(Config(), _ae_title(aet, "--aet")), peer


def _ae_title(text: str, option: str) -> str:
    return _peer(option, ae_title=text, host="localhost").ae_title


def _peer(option: str, **settings: object) -> "Peer":
    """Return the peer of these *settings*; raises ``typer.BadParameter``, which names *option*."""
    from pydantic import ValidationError

    from scp.config import Peer

    try:
        return Peer.model_validate(settings)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise typer.BadParameter(f"{wrong['input']!r}: needed {wrong['msg']}", param_hint=option) from None


def _root(patient_root: bool) -> str:
    return "PATIENT" if patient_root else "STUDY"


def _files(paths: list[Path]) -> Iterator[Path]:
    """Yield the files named, and those in the folders named and below, each folder in order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.rglob("*") if entry.is_file())
        else:
            yield path


def _is_directory(ref: "FileRef") -> bool:
    """Tell whether a file is the directory of a medium, which is no instance and is not sent (PS3.10 8)."""
    from scp.part10 import read_facts

    if ref.sop_instance_uid:
        return False
    return any(facts.reason == Code.NOT_AN_IMAGE for facts in read_facts(ref.path))


def _to_its_end(retrieve: "Callable[[], Retrieved]") -> "Retrieved | RetrieveFailed":
    """Return how a retrieve ended, and not raise it where nothing of it worked: the bar goes first."""
    from scp.net.queries import RetrieveFailed

    try:
        return retrieve()
    except RetrieveFailed as failure:
        return failure


def _print_retrieve(ended: "Retrieved | RetrieveFailed", where: str, as_json: bool) -> None:
    failure = ended if isinstance(ended, Exception) else None
    done = ended.done if isinstance(ended, Exception) else ended
    counts = {"completed": done.completed, "warning": done.warning, "failed": done.failed}
    if as_json:
        print_json(
            counts
            | {
                "failed_sop_instance_uids": list(done.failed_sop_instance_uids),
                "status": f"0x{done.status:04X}",
                "error_comment": done.error_comment,
            }
        )
    elif not failure:
        print(f"{counted(done.completed + done.warning, 'image')} {where}")
    if failure:
        raise failure
    if done.failed:
        raise NotAllDone(
            f"{done.failed} of {sum(counts.values())} failed: {_status(done.status, done.error_comment)}"
        )


def _sent_json(sent: "Sent") -> dict[str, str]:
    return {"path": str(sent.ref.path), "status": f"0x{sent.status:04X}", "error_comment": sent.error_comment}


def _status(status: int, comment: str) -> str:
    return f"status 0x{status:04X}{f', {comment}' if comment else ''}"
