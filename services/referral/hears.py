"""What the desk hears, and what follows: sealed messages that intake has let in, and the commands of its own staff.

Messages are opened in ``opening.py``, what they are about is loaded in ``loading.py``, and what was decided is kept in
``keeping.py``. What must never happen: a receipt counts that is not for the very bytes that we sent.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

from services.referral.commands import Command, NewCase
from services.referral.domain import hearing, receipts, reports
from services.referral.domain.agreed import Agreed, keep_to, needed, not_heard
from services.referral.domain.cases import Case
from services.referral.domain.casework import open_case
from services.referral.domain.clocks import Hours
from services.referral.domain.erased import in_codes
from services.referral.domain.receipts import ReceiptFault, Sealed
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.domain.waiting import put_off
from services.referral.keeping import keep, kept, unkept
from services.referral.known import NO_FILES, About, Erased, Files, Kept, Known
from services.referral.loading import Loading, What
from services.referral.opening import Opener, Receipted, Reported, Spoken
from services.referral.store import folders, proofs
from shared.audit.cases import CaseEntries
from shared.audit.log import EntryCipher
from shared.contracts.codes import ReferralKind, Step
from shared.contracts.event import EventId
from shared.contracts.exchange import LifeEvent, ReferralOffered
from shared.contracts.facts import Fact
from shared.contracts.ids import CaseId, MessageId, OrganisationId
from shared.contracts.report import ReportTaken
from shared.messaging import places
from shared.messaging.decision import Decision, Early
from shared.messaging.delivery import Delivery, Heard, Later, Unreadable
from shared.messaging.desk import Desk, Reading, Said, whole
from shared.messaging.fact_letters import fact_letters, parked_fact
from shared.messaging.held import Hold
from shared.messaging.outbox import Letter
from shared.messaging.room import MOST_KEPT
from shared.messaging.sealer import Outgoing, Sealer
from shared.sealing.directory import Directory
from shared.storage.pool import Connection
from shared.storage.vault import Vault
from shared.telemetry import metrics
from shared.uuids import random_uuid

STEP_CODES: Final = frozenset(f"referral.{step.value}" for step in Step)
"""The audit entries that are steps of a referral's life."""

FRESH: Final[Iterator[UUID]] = iter(random_uuid, None)


class ReferralDesk(Desk[What, Files]):
    """Sealed messages and commands in; events for partners and facts for notify out."""

    name = places.REFERRAL
    says = Tell | Fact

    def __init__(
        self,
        us: OrganisationId,
        *,
        directory: Directory,
        opener: Opener,
        loading: Loading,
        sealer: Sealer,
        vault: Vault,
        hours: Hours,
    ) -> None:
        """Take whose desk it is, who may be known at it, what opens, looks up and seals, and the working hours."""
        self._us = us
        self._directory = directory
        self._opener = opener
        self._loading = loading
        self._sealer = sealer
        self._vault = vault
        self._hours = hours

    def read(self, delivery: Delivery) -> Heard[What]:
        """Open a sealed message.

        Raises:
            Unreadable, Later: see :meth:`Opener.reading`.
        """
        return whole(self.reading(delivery))

    def reading(self, delivery: Delivery) -> Reading[What]:
        """Open a sealed message step by step.

        Raises:
            Unreadable, Later: see :meth:`Opener.reading`.
        """
        return self._opener.reading(delivery)

    async def locate(self, connection: Connection, heard: Sequence[Heard[What]]) -> Sequence[Heard[What]]:
        """Lead each receipt to the referral that it is about."""
        return await self._loading.locate(connection, heard)

    async def load(self, connection: Connection, keys: Sequence[UUID], whats: Sequence[What]) -> dict[UUID, Files]:
        """Return what there is for each key, locked."""
        return await self._loading.load(connection, keys, whats)

    def decide(self, state: Files | None, heard: Heard[What], at: datetime) -> Decision[Files] | Early:
        """Apply the rule that the message or command calls for.

        Raises:
            Unreadable: a receipt that is not for a message of ours.
            Later: no agreement covers what a partner says; it may be renewed, or has not come yet.
        """
        files, act = state or NO_FILES, Act(self._us, at, FRESH)
        match heard.what:
            case Spoken(event=event, speaker=speaker):
                return self._hear(files, event, speaker, act)
            case Receipted() as receipted:
                return self._prove(files, receipted, act)
            case Reported(event=report):
                return self._take_report(files, report, act)
            case NewCase(by=by, case=case):
                return self._first(files, About.CASE, open_case(Case(case, at, by)), case, at)
            case Command() as command:
                return self._command(files, command, Act(command.by, at, FRESH))
            case _:
                assert_never(heard.what)

    def _hear(self, files: Files, event: LifeEvent, speaker: OrganisationId, act: Act) -> Decision[Files] | Early:
        known, fault = files.get(About.REFERRAL), not_heard(event, self._agreed(speaker, act.at), act.at)
        if fault is not None:
            raise Later(fault)
        if known is None and isinstance(event, ReferralOffered):
            case, kinds = CaseId(random_uuid()), self._agreed_kinds(speaker, act.at)
            offered = hearing.hear_offer(event, speaker, self._us, act, case=case, hours=self._hours, kinds=kinds)
            return self._first(files, About.REFERRAL, offered, case, act.at)
        if isinstance(known, Erased):
            return unkept(hearing.hear_too_late(known.thing, event, speaker, act))
        referral, legs = (known.thing, known.file.legs) if known else (None, ())
        heard = hearing.hear(referral, event, speaker, act, legs)
        if not isinstance(heard, Early):
            return self._kept(files, About.REFERRAL, known, heard, act.at)
        if not isinstance(heard.meanwhile, Ruling):
            return heard
        return replace(heard, meanwhile=self._kept(files, About.REFERRAL, known, heard.meanwhile, act.at))

    def _agreed_kinds(self, speaker: OrganisationId, at: datetime) -> frozenset[ReferralKind]:
        """Return which kinds of referral ``speaker`` may send us."""
        agreement = self._directory.book.counting(speaker, at)
        return frozenset(agreement.party(speaker).may_send) if agreement else frozenset()

    def _agreed(self, partner: OrganisationId, at: datetime) -> Agreed | None:
        """Return when the agreement with ``partner`` that counts at ``at`` is in force."""
        agreement = self._directory.book.counting(partner, at)
        return Agreed(agreement.valid_from, agreement.valid_until) if agreement else None

    def _prove(self, files: Files, what: Receipted, act: Act) -> Decision[Files]:
        """Keep a receipt: the partner's intake has what we said."""
        sent, known = what.sent, files.get(About.REFERRAL)
        sealed = Sealed(self._us, known.thing.partner, sent.digest) if known and sent else None
        why = receipts.fault(what.receipt, what.named, sealed)
        if why is not None or known is None or sent is None:
            raise Unreadable(why or ReceiptFault.UNKNOWN)
        ruling = hearing.hear_receipt(known.thing, act, sent.n)
        if isinstance(known, Erased):
            ruling = in_codes(ruling)
        return self._kept(files, About.REFERRAL, known, ruling, act.at, proof=(what.receipt.message, what.note))

    def _take_report(self, files: Files, event: ReportTaken, act: Act) -> Decision[Files]:
        known, folder = files.get(About.REPORT), CaseId(random_uuid())
        ruling = reports.hear_report(known.thing if known else None, event, self._us, act, folder)
        if known is None:
            return self._first(files, About.REPORT, ruling, folder, act.at)
        if isinstance(known, Erased):
            return unkept(ruling)
        return self._kept(files, About.REPORT, known, ruling, act.at)

    def _command(self, files: Files, command: Command, act: Act) -> Decision[Files]:
        """Apply a rule to what the command names, all of which must be there."""
        known = files.get(command.about)
        if known is None:
            return Decision.refused(Refused.NOT_FOUND)
        if isinstance(known, Known):
            return self._kept(files, command.becomes, known, command.rule(known, act), act.at)
        if command.needs_key:
            return Decision.refused(Refused.ERASED)
        return self._kept(files, command.becomes, known, in_codes(command.rule(known, act)), act.at)

    def _first(self, files: Files, about: About, ruling: Ruling[Any], folder: CaseId, at: datetime) -> Decision[Files]:
        """Keep what was not there before under a key of its own, called ``folder``."""
        known = None if ruling.state is None else Known(ruling.state, folders.new(self._vault, folder))
        return self._kept(files, about, known, ruling, at)

    def _kept(
        self,
        files: Files,
        about: About,
        known: Known[Any] | Erased[Any] | None,
        ruling: Ruling[Any],
        at: datetime,
        *,
        proof: tuple[MessageId, str] | None = None,
    ) -> Decision[Files]:
        """Return ``ruling`` as a decision that can be kept; what a partner cannot be told now waits, or is refused."""
        ruling = keep_to(ruling, {tell.to: self._agreed(tell.to, at) for tell in ruling.tells}, at)
        hindered = self._hindered(ruling, at)
        return kept(files, about, known, put_off(ruling, hindered) if hindered else ruling, proof)

    def _hindered(self, ruling: Ruling[Any], at: datetime) -> dict[EventId, str]:
        """Return which events that ``ruling`` tells partners cannot be said now, and why."""
        why = [(tell.event.id, self._sealer.hindrance(tell.to, at, needed(tell.event))) for tell in ruling.tells]
        return {event: reason for event, reason in why if reason is not None}

    def repeated(self, state: Files | None, heard: Heard[What], at: datetime) -> Decision[Files]:  # noqa: ARG002
        """Say that the same has been here before: nothing follows, and a command is answered with what there is."""
        known = (state or NO_FILES).get(heard.what.about)
        if isinstance(known, Known):
            return Kept(folder=known.folder, repeated=True)
        if known is None or not isinstance(heard.what, Command | NewCase):
            return Decision()
        owed = heard.what.about is About.REFERRAL
        return Kept(folder=None, repeated=True) if owed else Decision.refused(Refused.ERASED)

    async def keep(
        self, connection: Connection, states: Mapping[UUID, Files], decisions: Sequence[Decision[Files]], at: datetime
    ) -> None:
        """Write all that was decided."""
        await keep(connection, states, decisions, at)

    def committed(self, decisions: Sequence[Decision[Files]], said: Sequence[Said]) -> None:  # noqa: ARG002
        """Count the steps of referrals' lives, and the receipts that have come."""
        kept = [each for each in decisions if isinstance(each, Kept)]
        steps = Counter(entry.code for each in kept for entry in each.entries if entry.code in STEP_CODES)
        for code, amount in steps.items():
            metrics.TRANSITIONS.add(amount, code=code)
        if proved := sum(each.proof is not None for each in kept):
            metrics.RECEIPTS.add(proved, service=self.name, outcome=metrics.Receipt.TAKEN)

    async def say(self, connection: Connection, said: Sequence[Said], at: datetime) -> Sequence[Letter]:
        """Write down which letter says which event; return these, sealed, and the facts for notify."""
        tells = [(each.what, each.traceparent) for each in said if isinstance(each.what, Tell)]
        outgoing = [Outgoing(tell.to, tell.event, traceparent) for tell, traceparent in tells]
        sealed = await self._sealer.seal(connection, outgoing, at)
        kept = [_said_event(tell, letter) for (tell, _), letter in zip(tells, sealed, strict=True)]
        await proofs.say(connection, kept, at)
        return [*sealed, *fact_letters(self.name, said)]

    def next_turn(self, state: Files) -> int:
        """Return which number of the partner's lane comes next; of what is no referral, nothing is waited for."""
        known = state.get(About.REFERRAL)
        return len(known.thing.lane(known.thing.side.other)) + 1 if known is not None else 0

    def most_kept(self, hold: Hold) -> int | None:
        """Keep of what is refused as much of each partner as of any other.

        The rest has its receipt, and like our own intake's reports nobody says it again.
        """
        return MOST_KEPT if hold.refused and hold.delivery.origin != self._us else None

    def parked(self, held: UUID, code: str, at: datetime) -> tuple[object, ...]:  # noqa: ARG002
        """Tell an operator that something is kept back."""
        return (parked_fact(held, at),)

    def cipher(self, states: Mapping[UUID, Files]) -> EntryCipher:
        """Return what encrypts the entries of the cases at hand."""
        all_ = (each for files in states.values() for each in files.values())
        return CaseEntries({each.folder.id: each.folder.cipher for each in all_ if isinstance(each, Known)})


def _said_event(tell: Tell, letter: Letter) -> proofs.SaidEvent:
    digest = Delivery(letter.body, {}, "").digest()
    return proofs.SaidEvent(MessageId(letter.id), tell.event.referral, tell.event.n, tell.to, digest)
