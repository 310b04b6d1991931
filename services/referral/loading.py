"""What a decision is made from: all that a batch concerns, locked, in a statement or two a table, whatever its size.

What must never happen: two batches lock the same rows in another order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, assert_never
from uuid import UUID

from services.referral.commands import Command, Looks, NewCase
from services.referral.domain.casefile import CaseFile
from services.referral.domain.leaving import says_words
from services.referral.domain.referral import Referral
from services.referral.known import About, Erased, Files, Folder, Known, Sent
from services.referral.opening import Message, Receipted, Spoken
from services.referral.store import cases, papers, proofs
from services.referral.store.referrals import Referrals
from services.referral.store.reports import Reports
from shared.contracts.codes import Category
from shared.contracts.exchange import ReferralArrived
from shared.contracts.ids import MessageId
from shared.messaging.delivery import Heard
from shared.storage.pool import Connection
from shared.storage.vault import Vault

What: TypeAlias = Message | Command | NewCase
"""What the desk decides about."""

_WHOLE = frozenset({Looks.AT_CONSENT, Looks.AT_THE_CASE})
"""Who looks so decides about the other referrals of the case too."""

Locked: TypeAlias = Mapping[About, Mapping[UUID, Known[Any] | Erased[Any]]]


class Loading:
    """The store, as decisions look at it."""

    def __init__(self, referrals: Referrals, reports: Reports, vault: Vault) -> None:
        """Take where referrals and reports are, and what opens the keys of cases."""
        self._referrals = referrals
        self._reports = reports
        self._vault = vault

    async def locate(self, connection: Connection, heard: Sequence[Heard[What]]) -> Sequence[Heard[What]]:
        """Return ``heard`` with what was said in the messages that receipts are for, and the referral of each."""
        messages = [each.what.receipt.message for each in heard if isinstance(each.what, Receipted)]
        if not messages:
            return heard
        sent = await proofs.find(connection, messages)
        return [_located(each, sent) for each in heard]

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[What]) -> dict[UUID, Files]:
        """Return what there is for each key. A command is always alone in its batch.

        Raises:
            Later: ``keyring-key-missing``: the keyring has not the storage key of one of them. It may come back.
                ``newer-version-needed``: this version cannot read one of them, which a newer one has written.
        """
        kinds = {what.about for what in whats}
        command, arrivals = next((what for what in whats if isinstance(what, Command)), None), _arrivals(whats)
        of_kind = {about: keys if about in kinds else () for about in About}
        locked = await self._lock(connection, of_kind, command, arrivals)
        found = {key: {about: locked[about][key] for about in kinds if key in locked[about]} for key in keys}
        if command is not None and isinstance(named := found[keys[0]].get(command.about), Known):
            complete = await self._complete(connection, command, keys[0], named, locked)
            found[keys[0]] = {} if complete is None else {command.about: complete}
        for key in arrivals:
            if isinstance(known := found[key].get(About.REFERRAL), Known):
                legs = _legs(locked, known.folder.id, key)
                found[key][About.REFERRAL] = replace(known, file=CaseFile(legs=legs))
        return {key: files for key, files in found.items() if files}

    async def _lock(
        self,
        connection: Connection,
        keys: Mapping[About, Sequence[UUID]],
        command: Command | None,
        arrivals: Sequence[UUID],
    ) -> Locked:
        """Return what the keys of each kind name, and what a command or an arrival looks at besides.

        Cases are locked first, then referrals, then reports, each kind in the order of ids. Who looks at the whole of a
        case locks the case before any of its referrals, so that two of them stand in one line.
        """
        whole = command is not None and command.looks in _WHOLE
        beside = [command.beside] if command is not None and command.beside is not None else []
        named, of = [*keys[About.CASE], *beside], keys[About.REFERRAL] if whole else arrivals
        in_cases = await cases.lock(connection, self._vault, named, of)
        all_of = list(in_cases) if whole or arrivals else ()
        in_referrals = await self._referrals.lock(connection, keys[About.REFERRAL], all_of)
        in_reports = await self._reports.lock(connection, keys[About.REPORT])
        return {About.CASE: in_cases, About.REFERRAL: in_referrals, About.REPORT: in_reports}

    async def _complete(
        self, connection: Connection, command: Command, key: UUID, known: Known[Any], locked: Locked
    ) -> Known[Any] | Erased[Any] | None:
        """Return what a command names with what it looks at besides; ``None`` where not all that it names is there."""
        if command.beside is not None and not isinstance(beside := locked[About.CASE].get(command.beside), Known):
            return None if beside is None else Erased(known.thing)
        match command.looks:
            case Looks.AT_IT_ALONE:
                return known
            case Looks.AT_WHAT_IS_SAID:
                return await _with_what_is_said(connection, known)
            case Looks.AT_CONSENT:
                grants = await cases.grants(connection, known.folder)
                return replace(known, file=CaseFile(grants=grants, legs=_legs(locked, known.folder.id, key)))
            case Looks.AT_THE_CASE:
                file = await _file(connection, known.folder, key, _legs(locked, known.folder.id, key))
                return replace(known, file=file)
            case _:
                assert_never(command.looks)


async def _with_what_is_said(connection: Connection, known: Known[Referral]) -> Known[Referral]:
    """Return a referral with the papers of what is not proved; where all of that has no words, nothing is opened."""
    referral, folder = known.thing, known.folder
    worded = [n for n in referral.repeats if says_words(referral, n)]
    if not worded:
        return known
    own = await papers.of_side(connection, referral.id, referral.side, folder, worded)
    return replace(known, file=await asked_by_the_gate(connection, folder), own=own)


async def asked_by_the_gate(connection: Connection, folder: Folder) -> CaseFile:
    """Return what the gate asks of a case when something is said again: what the person allows, and of what age."""
    age = await papers.newest_parts(connection, folder, [Category.SUMMARY])
    return CaseFile(grants=await cases.grants(connection, folder), parts=age)


async def _file(connection: Connection, folder: Folder, key: UUID, legs: tuple[Referral, ...]) -> CaseFile:
    return CaseFile(
        grants=await cases.grants(connection, folder),
        parts=await papers.newest_parts(connection, folder),
        legs=legs,
        gone=await papers.gone(connection, key, folder),
    )


def _arrivals(whats: Sequence[What]) -> list[UUID]:
    """Return the referrals of which somebody says that the person has arrived: the case's others count then."""
    return [
        what.event.referral for what in whats if isinstance(what, Spoken) and isinstance(what.event, ReferralArrived)
    ]


def _legs(locked: Locked, case: UUID, but: UUID) -> tuple[Referral, ...]:
    """Return the referrals of ``case``, all of which are locked, without one of them."""
    referrals = (each.thing for each in locked[About.REFERRAL].values())
    return tuple(referral for referral in referrals if referral.case == case and referral.id != but)


def _located(heard: Heard[What], sent: Mapping[MessageId, Sent]) -> Heard[What]:
    match heard.what:
        case Receipted(receipt=receipt) as receipted if receipt.message in sent:
            said = sent[receipt.message]
            return replace(heard, key=said.referral, what=replace(receipted, sent=said))
        case _:
            return heard
