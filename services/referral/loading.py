"""What a decision is made from: all that a batch concerns, locked, in a statement or two a table, whatever its size.

What must never happen: two batches lock the same tables in another order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, assert_never
from uuid import UUID

from services.referral.commands import Command, NewCase
from services.referral.domain.casefile import CaseFile
from services.referral.known import About, Files, Known, Sent
from services.referral.opening import Message, Receipted
from services.referral.store import cases, folders, papers, proofs, reports, unsaid
from services.referral.store.referrals import Referrals
from shared.contracts.ids import MessageId
from shared.messaging.delivery import Heard
from shared.storage.pool import Connection
from shared.storage.vault import Vault

What: TypeAlias = Message | Command | NewCase
"""What the desk decides about."""

Found: TypeAlias = dict[About, Known[Any]]


class Loading:
    """The store, as decisions look at it."""

    def __init__(self, referrals: Referrals, vault: Vault) -> None:
        """Take where referrals are, and what opens the keys of cases."""
        self._referrals = referrals
        self._vault = vault

    async def locate(self, connection: Connection, heard: Sequence[Heard[What]]) -> Sequence[Heard[What]]:
        """Return ``heard`` with what was said in the messages that receipts are for, and the referral of each."""
        messages = [each.what.receipt.message for each in heard if isinstance(each.what, Receipted)]
        if not messages:
            return heard
        sent = await proofs.find(connection, messages)
        return [_located(each, sent) for each in heard]

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[What]) -> dict[UUID, Files]:
        """Return what there is for each key. A command is always alone in its batch."""
        found: dict[UUID, Found] = {}
        kinds = {what.about for what in whats}
        for about in About:
            if about in kinds:
                for key, known in (await self._of(about, connection, keys)).items():
                    found.setdefault(key, {})[about] = known
        match whats, keys:
            case [Command(about=about) as command], [key] if key in found:
                found[key][about] = await self._complete(connection, command, key, found[key][about])
        return dict(found)

    async def _of(self, about: About, connection: Connection, keys: Sequence[UUID]) -> dict[UUID, Known[Any]]:
        """Return those of ``keys`` that name something of the kind ``about``."""
        match about:
            case About.REFERRAL:
                referrals = await self._referrals.lock(connection, keys)
                return {key: Known(referral, folder) for key, (referral, folder) in referrals.items()}
            case About.REPORT:
                found = await reports.lock(connection, keys)
                opened = await folders.find(connection, [report.folder for report in found.values()], self._vault)
                return {key: Known(report, opened[report.folder]) for key, report in found.items()}
            case About.CASE:
                locked = await cases.lock(connection, keys)
                opened = await folders.find(connection, list(locked), self._vault)
                return {key: Known(case, opened[key]) for key, case in locked.items()}
            case _:
                assert_never(about)

    async def _complete(self, connection: Connection, command: Command, key: UUID, known: Known[Any]) -> Known[Any]:
        """Add what a command looks at besides what its key names."""
        beside, file, waiting = known.beside, known.file, known.unsaid
        if command.beside is not None:
            beside = (await cases.lock(connection, [command.beside])).get(command.beside)
        if command.whole:
            file = await self._file(connection, known, key)
        if command.unsaid:
            waiting = await unsaid.of_referral(connection, key, known.folder)
        return replace(known, beside=beside, file=file, unsaid=waiting)

    async def _file(self, connection: Connection, known: Known[Any], key: UUID) -> CaseFile:
        return CaseFile(
            grants=await cases.grants(connection, known.folder),
            parts=await papers.newest_parts(connection, known.folder),
            legs=await self._referrals.legs(connection, known.folder.id, but=key),
            gone=await papers.gone(connection, key, known.folder),
        )


def _located(heard: Heard[What], sent: Mapping[MessageId, Sent]) -> Heard[What]:
    match heard.what:
        case Receipted(receipt=receipt) as receipted if receipt.message in sent:
            said = sent[receipt.message]
            return replace(heard, key=said.referral, what=replace(receipted, sent=said))
        case _:
            return heard
