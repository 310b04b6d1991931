"""What lies in the outbox for a partner and is tried again: whether it may still leave, and what leaves in its place.

A letter may lie there for weeks while the exchange is away. Meanwhile consent is taken back, terms and agreements end,
envelopes expire, and partners withdraw keys. So before each further try the gate is asked as if it were said again
(``domain/leaving.py``). What has lost its words, or is sealed in vain, is sealed anew under the number that the first
had, so that the partner misses none. What has no words leaves as it is, also while the key of its case is away. Where
no agreement lets anything leave, all of it waits for one.

What must never happen: sealed words leave that the person does not allow any more, or to a key that somebody else may
have; one letter holds up the others.
"""

from collections.abc import Sequence
from datetime import datetime
from os import urandom

from services.referral.domain.casefile import CaseFile
from services.referral.domain.cases import CLOCK
from services.referral.domain.facts import emptied_facts
from services.referral.domain.leaving import NO_PAPERS, Today, awaits_agreement, goes_whole, leaving, says_words
from services.referral.domain.policy import Recipient
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import EMPTIED, said_line
from services.referral.domain.retelling import Papers
from services.referral.domain.ruling import Act
from services.referral.known import Erased, Known, Sent
from services.referral.loading import asked_by_the_gate
from services.referral.once import Once
from services.referral.recipients import Recipients
from services.referral.store import papers, proofs
from services.referral.store.referrals import Referrals
from shared.audit import log as audit
from shared.audit.cases import CaseEntries
from shared.contracts.event import type_of
from shared.contracts.exchange import ReferralEvent
from shared.contracts.ids import MessageId, OrganisationId
from shared.messaging import outbox, places
from shared.messaging.delivery import Delivery, Later
from shared.messaging.desk import Said
from shared.messaging.fact_letters import fact_letters
from shared.messaging.outbox import Letter
from shared.messaging.sealer import Outgoing, Sealer
from shared.sealing.envelope import parse
from shared.storage.pool import Connection, will_pass
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.uuids import random_uuid
from shared.values import dataclass

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the event in a letter."""

    referral: Referral
    known: Known[Referral] | None
    """With its key; ``None`` where the case was erased."""
    papers: Papers
    today: Today


class OutgoingMail:
    """Asks the gate about letters that are tried again."""

    def __init__(self, referrals: Referrals, recipients: Recipients, sealer: Sealer) -> None:
        """Take where referrals are, what partners are today, and what seals."""
        self._referrals = referrals
        self._recipients = recipients
        self._sealer = sealer
        self._told = Once()

    async def review(self, connection: Connection, letters: Sequence[Letter], at: datetime) -> Sequence[Letter]:
        """Return what may leave of ``letters``, which are claimed: facts as they are, events by the gate."""
        sent = await proofs.find(connection, [letter.id for letter in letters])
        leaves = []
        for letter in letters:
            said = sent.get(MessageId(letter.id))
            now = letter if said is None else await self._if_it_can_be_told(connection, letter, said, at)
            leaves += [] if now is None else [now]
        return leaves

    async def _if_it_can_be_told(
        self, connection: Connection, letter: Letter, sent: Sent, at: datetime
    ) -> Letter | None:
        """Return what leaves of ``letter`` now; one of which nothing can be told stays, and the others go."""
        try:
            return await self._now(connection, letter, sent, at)
        except Exception as error:
            if will_pass(error):
                raise
            # one that cannot be looked at must not hold up the others
            self._stuck(letter, sent, error)
            return None

    def _stuck(self, letter: Letter, sent: Sent, why: Exception) -> None:
        """Name a letter that stays, once; where it waits for what is ours to bring back, each try counts."""
        code = why.code if isinstance(why, Later) else None
        if code is not None:
            metrics.MESSAGES_HANDLED.add(service=places.REFERRAL, outcome=metrics.Outcome.RETRIED, code=code)
        if self._told.first(letter.id):
            error = type(why).__name__
            log.warning("letter.stuck", message_id=letter.id, referral_id=sent.referral, code=code, error=error)

    async def _now(self, connection: Connection, letter: Letter, sent: Sent, at: datetime) -> Letter | None:
        """Return what leaves of ``letter`` now; ``None`` where nothing does."""
        referral = await self._referrals.look_at(connection, sent.referral)
        to = self._recipients.of(referral.partner, at)
        if not to.agreed and awaits_agreement(referral, sent.n, at):
            await outbox.awaits_agreement(connection, letter.id)
            return None
        holds = self._holds(letter, at)
        if holds and (sent.emptied or not says_words(referral, sent.n)):
            return letter
        found = await self._look(connection, sent.n, await self._referrals.opened(connection, referral), to)
        event = leaving(referral, sent.n, found.papers, at, found.today)
        whole = goes_whole(referral, sent.n, found.papers, event) and found.known is not None
        if whole and holds:
            return letter
        replaced = await self._replace(connection, letter, event, at, emptied=not whole)
        if replaced is not None:
            await _note(connection, found, event, at)
        return replaced

    def _holds(self, letter: Letter, at: datetime) -> bool:
        """Tell whether the envelope has not expired, and the partner still has a key that it is sealed to.

        One that is not in its document any more it has withdrawn: somebody else may have it.
        """
        envelope = parse(letter.body)
        header, book = envelope.header, self._recipients.directory.book
        opens = book.opens_until(header.recipient, header.inbox_keys, envelope.suite) is not None
        return opens and at < header.expires

    async def _look(
        self, connection: Connection, n: int, known: Known[Referral] | Erased[Referral], to: Recipient
    ) -> Found:
        """Return what the gate looks at, where there are words; of what was erased none are left that could leave."""
        if isinstance(known, Erased):
            return Found(known.thing, None, NO_PAPERS, Today(CaseFile(), to))
        if not says_words(known.thing, n):
            return Found(known.thing, known, NO_PAPERS, Today(CaseFile(), to))
        file = await asked_by_the_gate(connection, known.folder)
        own = await papers.of_side(connection, known.thing.id, known.thing.side, known.folder, [n])
        return Found(known.thing, known, own.get(n, NO_PAPERS), Today(file, to))

    async def _replace(
        self, connection: Connection, letter: Letter, event: ReferralEvent, at: datetime, *, emptied: bool
    ) -> Letter | None:
        """Seal ``event`` in the place of ``letter``, under its number; where that cannot be done, nothing leaves.

        To a partner with whom no agreement lets anything be said any more, it waits for one.
        """
        to = OrganisationId(letter.routing_key)
        if reason := self._sealer.hindrance(to, at, (type_of(type(event)),)):
            log.warning("envelope.unsealed", recipient=to, reason=reason)
            heard_until = self._recipients.directory.book.heard_until(to)
            if heard_until is None or at >= heard_until:
                await outbox.awaits_agreement(connection, letter.id)
            return None
        new = self._sealer.seal_in_place(Outgoing(to, event), parse(letter.body).header.sequence, at)
        digest = Delivery(new.body, {}, "").digest()
        said = proofs.SaidEvent(MessageId(new.id), event.referral, event.n, to, digest, emptied)
        await outbox.replace(connection, letter.id, new)
        await proofs.say(connection, [said], at)
        log.warning("letter.replaced", message_id=letter.id, referral_id=event.referral)
        return new


async def _note(connection: Connection, found: Found, event: ReferralEvent, at: datetime) -> None:
    """Write down whether the words left after all, and tell staff if not; of what was erased, nothing is written."""
    if found.known is None:
        return
    act = Act(CLOCK, at, iter(random_uuid, None))
    line = said_line(found.referral, event.n, found.papers, event, act)
    cipher = CaseEntries({found.known.folder.id: found.known.folder.cipher})
    await audit.append(connection, [audit.prepare(line, urandom(audit.SALT_BYTES))], cipher)
    if line.detail["words"] == EMPTIED:
        facts = emptied_facts(found.referral, {event.n}, act)
        await outbox.put(connection, fact_letters(places.REFERRAL, map(Said, facts)), at)
