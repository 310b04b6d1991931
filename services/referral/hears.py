"""What the desk hears, and what follows: sealed messages that intake has let in, and the commands of its own staff.

Messages are opened in ``opening.py``. What must never happen: a receipt counts that is not for the very bytes that we
sent; a part of a decision is kept without the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias, assert_never
from uuid import UUID

from services.referral.domain import hearing, reports
from services.referral.domain.cases import CLOCK, Actor, Case
from services.referral.domain.clocks import Hours
from services.referral.domain.expiring import expire
from services.referral.domain.grants import Grant
from services.referral.domain.referral import Referral
from services.referral.domain.reports import ReportFile
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.known import About, Kept, Known
from services.referral.opening import Opener, Receipted, Reported, Spoken
from services.referral.store import cases, folders, papers, proofs, referrals
from services.referral.store import reports as report_store
from shared.audit.cases import CaseEntries
from shared.audit.log import EntryCipher
from shared.clock import Clock
from shared.contracts.codes import ReferralKind, Step, Urgency
from shared.contracts.exchange import LifeEvent, ReferralOffered
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import CaseId, FactId, MessageId, OrganisationId
from shared.messaging import places
from shared.messaging.decision import Decision, Early
from shared.messaging.delivery import Delivery, Heard, Unreadable
from shared.messaging.desk import Desk, Said
from shared.messaging.outbox import JSON, Letter
from shared.messaging.sealer import Outgoing, Place, Sealer
from shared.sealing.codes import DirectoryError
from shared.sealing.directory import Directory
from shared.sealing.keyring import Keyring
from shared.storage.pool import Connection
from shared.storage.vault import Vault
from shared.telemetry import metrics
from shared.uuids import random_uuid
from shared.values import dataclass

STEP_CODES: Final = frozenset(f"referral.{step.value}" for step in Step)
"""The audit entries that are steps of a referral's life."""

Rule: TypeAlias = Callable[[Known, Act], Decision[Any]]
"""A rule of the domain, with all but what is known and who acts already given."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a member of staff, or the clock, does about what the key names."""

    by: Actor
    rule: Rule
    about: About
    case: CaseId | None = None
    """A case that it looks at besides what the key names, or instead of it where that is not there yet."""
    whole: bool = False
    """Whether the rule looks at grants, at the case's documents and at its other referrals."""
    opens: bool = False
    """Whether the key names a case that is to be opened, and has no key of its own to be encrypted under yet."""


What: TypeAlias = Spoken | Receipted | Reported | Command


class ReferralDesk(Desk[What, Known]):
    """Sealed messages and commands in; events for partners and facts for notify out."""

    name = places.REFERRAL

    def __init__(
        self,
        us: OrganisationId,
        *,
        directory: Directory,
        keyring: Keyring,
        sealer: Sealer,
        vault: Vault,
        clock: Clock,
        hours: Hours,
    ) -> None:
        """Take whose desk it is, who may be known at it, the keys that open and seal, and the working hours."""
        self.us = us
        self.hours = hours
        self._directory = directory
        self._opener = Opener(us, directory, keyring)
        self._sealer = sealer
        self._vault = vault
        self._clock = clock

    def read(self, delivery: Delivery) -> Heard[What]:
        """Open a sealed message.

        Raises:
            Unreadable, Later: see :meth:`Opener.read`.
        """
        return self._opener.read(delivery)

    async def locate(self, connection: Connection, whats: Sequence[What]) -> Mapping[UUID, UUID]:
        """Return the referral that each receipt is about."""
        messages = [what.receipt.message for what in whats if isinstance(what, Receipted)]
        if not messages:
            return {}
        return {message: referral for message, (referral, _) in (await proofs.find(connection, messages)).items()}

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[What]) -> dict[UUID, Known]:
        """Return what there is for each key, locked."""
        kinds = {what.about for what in whats}
        known: dict[UUID, Known] = {}
        if About.REFERRAL in kinds:
            found = await referrals.lock(connection, keys, self.us, self._vault)
            known |= {key: Known(folder, referral=referral) for key, (referral, folder) in found.items()}
        if About.REPORT in kinds:
            known |= await self._reports(connection, keys)
        if About.CASE in kinds:
            known |= await self._cases(connection, keys)
        for what in whats:
            if isinstance(what, Command) and (what.whole or what.case):
                await self._complete(connection, known, keys, what)
        return await self._with_sent(connection, known, whats)

    async def _reports(self, connection: Connection, keys: Sequence[UUID]) -> dict[UUID, Known]:
        found = await report_store.lock(connection, keys)
        opened = await folders.find(connection, [report.folder for report in found.values()], self._vault)
        return {key: Known(opened[report.folder], report=report) for key, report in found.items()}

    async def _cases(self, connection: Connection, keys: Sequence[UUID]) -> dict[UUID, Known]:
        found = await cases.lock(connection, keys)
        opened = await folders.find(connection, list(found), self._vault)
        return {key: Known(opened[key], case=case) for key, case in found.items()}

    async def _complete(
        self, connection: Connection, known: dict[UUID, Known], keys: Sequence[UUID], what: Command
    ) -> None:
        """Add what a command looks at besides what its key names; a command is always alone in its batch."""
        (key,) = keys
        have = known.get(key)
        if what.case is not None:
            named = (await self._cases(connection, [what.case])).get(what.case)
            have = replace(have, case=named.case if named else None) if have else named
        if have is not None and what.whole:
            have = replace(
                have,
                grants=await cases.grants(connection, have.folder),
                parts=await papers.newest_parts(connection, have.folder),
                legs=await referrals.legs(connection, have.folder.id, key, self.us),
            )
        if have is not None:
            known[key] = have

    async def _with_sent(
        self, connection: Connection, known: dict[UUID, Known], whats: Sequence[What]
    ) -> dict[UUID, Known]:
        """Add what was said in the messages that receipts have come for."""
        messages = [what.receipt.message for what in whats if isinstance(what, Receipted)]
        if messages:
            for message, (referral, sent) in (await proofs.find(connection, messages)).items():
                if referral in known:
                    have = known[referral]
                    known[referral] = replace(have, sent={**have.sent, message: sent})
        return known

    def decide(self, state: Known | None, heard: Heard[What], at: datetime) -> Decision[Known] | Early:
        """Apply the rule that the message or command calls for.

        Raises:
            Unreadable: a receipt that is not for a message of ours.
        """
        act = Act(self.us, at, iter(random_uuid, None))
        match heard.what:
            case Spoken(event=event, speaker=speaker):
                return self._hear(state, event, speaker, act)
            case Receipted():
                return self._prove(state, heard.what, act)
            case Reported(event=event):
                folder = CaseId(random_uuid())
                known = state.report if state else None
                return self._kept(state, reports.hear_report(known, event, self.us, act, folder), folder)
            case Command(by=by, rule=rule, opens=opens):
                if state is None and opens:
                    state = Known(folders.new(self._vault, CaseId(heard.key)))
                if state is None:
                    return Decision.refused("not-found")
                return self._kept(state, rule(state, replace(act, by=by)), None)
            case _:
                assert_never(heard.what)

    def _hear(
        self, state: Known | None, event: LifeEvent, speaker: OrganisationId, act: Act
    ) -> Decision[Known] | Early:
        if isinstance(event, ReferralOffered) and state is None:
            case, kinds = CaseId(random_uuid()), self._agreed_kinds(speaker)
            ruling = hearing.hear_offer(event, speaker, self.us, act, case=case, hours=self.hours, kinds=kinds)
            return self._kept(None, ruling, case)
        heard = hearing.hear(state.referral if state else None, event, speaker, act)
        return heard if isinstance(heard, Early) else self._kept(state, heard, None)

    def _agreed_kinds(self, speaker: OrganisationId) -> frozenset[ReferralKind]:
        """Return which kinds of referral ``speaker`` may send us."""
        agreement = self._directory.book.agreements.get(speaker)
        return frozenset(agreement.party(speaker).may_send) if agreement else frozenset()

    def _prove(self, state: Known | None, what: Receipted, act: Act) -> Decision[Known]:
        """Keep a receipt; the one for the offer says that the partner's intake has it."""
        message = what.receipt.message
        sent = state.sent.get(message) if state else None
        if state is None or state.referral is None or sent is None:
            raise Unreadable("receipt-unknown")
        expected = (self.us, state.referral.partner, sent.digest)
        if (what.receipt.sender, what.receipt.recipient, what.receipt.sealed) != expected:
            raise Unreadable("receipt-for-other-bytes")
        ruling: Ruling[Referral] = hearing.hear_receipt(state.referral, act) if sent.n == 1 else Ruling()
        kept = self._kept(state, ruling, None)
        return replace(kept, proof=(message, what.note)) if isinstance(kept, Kept) else kept

    def _kept(self, state: Known | None, ruling: Decision[Any], folder: CaseId | None) -> Decision[Known]:
        """Return the domain's decision as one that the store can keep.

        ``folder`` is the id of the key that the decision needs, where there was nothing before.
        """
        if ruling.refusal is not None:
            return Decision(entries=ruling.entries, refusal=ruling.refusal)
        if unreachable := self._unreachable(ruling):
            return Decision.refused(unreachable)
        known = state or (Known(folders.new(self._vault, folder)) if folder and ruling.state is not None else None)
        if known is None:
            return Decision(says=ruling.says, entries=ruling.entries)
        also = [each for each in _also(ruling) if not self._unreachable(each)]
        rulings = [ruling, *also]
        return Kept(
            state=_after(known, ruling.state),
            says=tuple(said for each in rulings for said in each.says),
            entries=tuple(entry for each in rulings for entry in each.entries),
            folder=known.folder,
            others=tuple(each.state for each in also if each.state is not None),
            papers=tuple(paper for each in rulings if isinstance(each, Ruling) for paper in each.papers),
            opens=_opens(ruling),
            grant=ruling.state if isinstance(ruling.state, Grant) else None,
        )

    def _unreachable(self, ruling: Decision[Any]) -> str | None:
        """Return why a partner that ``ruling`` tells something cannot be told, or ``None`` when each can."""
        try:
            for said in ruling.says:
                if isinstance(said, Tell):
                    self._directory.book.inbox_key(said.to, self._clock.now())
        except DirectoryError as refused:
            return refused.code
        return None

    async def keep(
        self, connection: Connection, states: Mapping[UUID, Known], decisions: Sequence[Decision[Known]], at: datetime
    ) -> None:
        """Write keys, cases, referrals, reports, consent, documents and receipts: one statement a table."""
        kept = [each for each in decisions if isinstance(each, Kept)]
        new = {known.folder.id: known.folder for known in states.values() if known.folder.new}
        await folders.keep(connection, list(new.values()))
        await cases.open_(connection, [each.opens for each in kept if each.opens is not None])
        changed = [known.referral for known in states.values() if known.referral]
        await referrals.save(connection, [*changed, *(other for each in kept for other in each.others)])
        await report_store.save(connection, [known.report for known in states.values() if known.report])
        await cases.record(connection, [(each.grant, each.folder) for each in kept if each.grant and each.folder])
        await papers.keep(
            connection, [(paper, each.folder) for each in kept if each.folder for paper in each.papers], at
        )
        await proofs.prove(connection, [each.proof for each in kept if each.proof], at)

    def committed(self, decisions: Sequence[Decision[Known]], said: Sequence[Said]) -> None:  # noqa: ARG002
        """Count the steps of referrals' lives, and the receipts that have come."""
        kept = [each for each in decisions if isinstance(each, Kept)]
        steps = Counter(entry.code for each in kept for entry in each.entries if entry.code in STEP_CODES)
        for code, amount in steps.items():
            metrics.TRANSITIONS.add(amount, code=code)
        if proved := sum(each.proof is not None for each in kept):
            metrics.RECEIPTS.add(proved, service=self.name, outcome=metrics.Receipt.TAKEN)

    async def letters(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Return sealed events for partners and facts for notify."""
        tells = [(each.what, each.traceparent) for each in said if isinstance(each.what, Tell)]
        sealed = await self._sealer.seal(connection, [self._outgoing(*tell) for tell in tells], at)
        await proofs.say(
            connection,
            [_said_event(tell, letter) for (tell, _), letter in zip(tells, sealed, strict=True)],
            at,
        )
        return [*sealed, *_facts(said)]

    def _outgoing(self, tell: Tell, traceparent: str | None) -> Outgoing:
        event = tell.event.model_copy(update={"traceparent": traceparent})
        return Outgoing(tell.to, event, Place("exchange", places.from_exchange(self.us), tell.to, labelled=True))

    def parked(self, held: UUID, code: str, at: datetime) -> tuple[object, ...]:  # noqa: ARG002
        """Tell an operator that something is kept back."""
        return (
            Fact(
                id=FactId(random_uuid()),
                code=FactCode.MESSAGE_PARKED,
                subject=held,
                urgency=Urgency.STANDARD,
                audience=Audience.OPERATOR,
                at=at,
            ),
        )

    def cipher(self, states: Mapping[UUID, Known]) -> EntryCipher:
        """Return what encrypts the entries of the cases at hand."""
        return CaseEntries({known.folder.id: known.folder.cipher for known in states.values()})


LOOK_AT_CLOCKS: Final = Command(
    CLOCK, lambda known, act: expire(known.referral, act) if known.referral else Decision(), About.REFERRAL
)
"""The clock looks at one referral."""


def _after(known: Known, state: object) -> Known | None:
    """Return what is known after a decision; ``None`` where it changed nothing."""
    match state:
        case None:
            return None
        case Referral():
            return replace(known, referral=state)
        case ReportFile():
            return replace(known, report=state)
        case Case():
            return replace(known, case=state)
        case _:
            return known


def _also(ruling: Decision[Any]) -> tuple[Ruling[Any], ...]:
    return ruling.also if isinstance(ruling, Ruling) else ()


def _opens(ruling: Decision[Any]) -> Case | None:
    if isinstance(ruling, Ruling) and ruling.opens is not None:
        return ruling.opens
    return ruling.state if isinstance(ruling.state, Case) else None


def _said_event(tell: Tell, letter: Letter) -> proofs.SaidEvent:
    digest = Delivery(letter.body, {}, "").digest()
    return proofs.SaidEvent(MessageId(letter.id), tell.event.referral, tell.event.n, tell.to, digest)


def _facts(said: Sequence[Said]) -> Iterator[Letter]:
    for each in said:
        if isinstance(each.what, Fact):
            trace = {"traceparent": each.traceparent} if each.traceparent else {}
            body = each.what.model_dump_json().encode()
            yield Letter(each.what.id, "node", places.NODE_EXCHANGE, places.NOTIFY, trace, JSON, body)
