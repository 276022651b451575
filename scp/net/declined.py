"""Why nothing can be sent to a receiver: what was proposed, and what was said of it (PS3.8 Table 9-18).

A destination is asked by presentation contexts of ours and answers each; the requestor of a C-GET has
proposed contexts of its own, in which it must take the role of SCP (PS3.7 D.3.3.4).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext

from scp.net.dialogue import Dialogue
from scp.net.negotiation import Result

SAID: Mapping[int, str] = {
    Result.ACCEPTANCE: "not as SCP",
    Result.USER_REJECTION: "refused",
    Result.ABSTRACT_SYNTAX_NOT_SUPPORTED: "class not supported",
    Result.TRANSFER_SYNTAXES_NOT_SUPPORTED: "transfer syntax not supported",
}
"""By the result of the contexts of one class, as short as an Error Comment needs it."""

NO_REASON = "no reason given"


@dataclass(frozen=True, slots=True)
class Declined:
    """Why nothing can be sent: *sentence* all of it, *short* what fits into an Error Comment."""

    sentence: str = ""
    short: str = ""


def declined_of_ours(
    rejected: Iterable[PresentationContext], sop_class_uids: Collection[str], syntaxes: Iterable[str]
) -> Declined:
    """Return what the other end said of these classes, which we proposed in *syntaxes*."""
    contexts = list(rejected)
    said = {
        uid: _told({context.result for context in contexts if context.abstract_syntax == uid})
        for uid in sop_class_uids
    }
    return _declined(said, f"each was offered in {', '.join(UID(syntax).name for syntax in syntaxes)}")


def declined_of_theirs(association: Dialogue, sop_class_uids: Collection[str]) -> Declined:
    """Return what the requestor of *association* proposed for these classes; itself knows that."""
    roles = association.requestor.role_selection
    contexts = association.requestor.primitive.presentation_context_definition_list
    proposed = {str(context.abstract_syntax) for context in contexts}
    said = {
        uid: "not proposed"
        if uid not in proposed
        else "no transfer syntax that we can make"
        if uid in roles and roles[uid].scp_role
        else "proposed without the role of SCP"
        for uid in sop_class_uids
    }
    told = _declined(said, "the requestor must propose one of them, as SCP")
    return Declined(told.sentence)


def _told(results: Collection[int | None]) -> str:
    return " or ".join(sorted({SAID.get(result or 0, NO_REASON) for result in results})) or NO_REASON


def _declined(said: Mapping[str, str], besides: str) -> Declined:
    """Return what was *said* of each class, classes of which the same was said together."""
    names: dict[str, list[str]] = {}
    for uid, why in said.items():
        names.setdefault(why, []).append(UID(uid).name)
    told = "; ".join(f"{', '.join(classes)}: {why}" for why, classes in names.items())
    short = "; ".join(
        f"{why}: {', '.join(name.partition(' Image Storage')[0] for name in classes)}"
        for why, classes in names.items()
    )
    return Declined(f"{told}; {besides}", short)
