"""What a decision leaves behind: everything that was ruled, written in one statement a table.

What must never happen: a part of a decision is kept without the rest.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.referral.domain.ruling import Ruling
from services.referral.known import About, Erased, Files, Kept, Known
from services.referral.store import cases, folders, papers, proofs, referrals, reports
from shared.contracts.ids import MessageId
from shared.messaging.decision import Decision
from shared.storage.pool import Connection


def kept(
    files: Files,
    about: About,
    known: Known[Any] | Erased[Any] | None,
    ruling: Ruling[Any],
    proof: tuple[MessageId, str] | None = None,
) -> Decision[Files]:
    """Return ``ruling`` as a decision that the store can keep.

    ``about`` says which of ``files`` its state becomes, under the key of ``known``: what it was made from, or what is
    new. A receipt that it takes in is its ``proof``.
    """
    if known is None or (ruling.refusal is not None and ruling.state is None):
        return unkept(ruling)
    state = None if ruling.state is None else {**files, about: known.become(ruling.state)}
    rulings = (ruling, *ruling.also)
    return Kept(
        state=state,
        says=tuple(said for each in rulings for said in each.says),
        entries=tuple(entry for each in rulings for entry in each.entries),
        refusal=ruling.refusal,
        folder=known.folder if isinstance(known, Known) else None,
        rulings=rulings,
        proof=proof,
    )


def unkept(ruling: Ruling[Any]) -> Decision[Files]:
    """Return a ``ruling`` that nothing is kept of but its entries: it refuses, or there is no key to keep it under."""
    return Decision(entries=ruling.entries, refusal=ruling.refusal)


class CrossedError(Exception):
    """Two messages of a batch change one referral, and neither has seen what the other did: apart, each does.

    So it is where one of them does it to another leg of its case (``also``), which the shell has under another key.
    """


async def keep(
    connection: Connection, states: Mapping[UUID, Files], decisions: Sequence[Decision[Files]], at: datetime
) -> None:
    """Write keys, cases, referrals, reports, consent, documents and receipts: one statement a table.

    Raises:
        CrossedError: two of ``decisions`` change one referral.
    """
    known = [(about, each) for files in states.values() for about, each in files.items() if each.changed]
    decided = [each for each in decisions if isinstance(each, Kept)]
    rulings = [(ruling, each.folder) for each in decided if each.folder is not None for ruling in each.rulings]
    changed = [each.thing for about, each in known if about is About.REFERRAL]
    changed += [leg.state for each in decided for leg in each.rulings[1:] if leg.state is not None]
    if len({each.id for each in changed}) < len(changed):
        raise CrossedError
    await folders.keep(connection, [each.folder for _, each in known if isinstance(each, Known) and each.folder.new])
    await cases.open_(connection, [ruling.opens for ruling, _ in rulings if ruling.opens is not None])
    await referrals.save(connection, changed)
    await reports.save(connection, [each.thing for about, each in known if about is About.REPORT])
    await cases.record(connection, [(ruling.grant, folder) for ruling, folder in rulings if ruling.grant is not None])
    await papers.keep(connection, [(paper, folder) for ruling, folder in rulings for paper in ruling.papers], at)
    await proofs.prove(connection, [each.proof for each in decided if each.proof is not None], at)
