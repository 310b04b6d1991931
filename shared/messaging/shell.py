"""The one shell around every decision: a batch in, one transaction, letters out.

At-least-once delivery, effects exactly once. For a batch: read everything; then in one transaction drop what the
inbox has seen, load the states, decide in memory in the order of arrival, and write states, outbox, audit leaves and
held messages, one statement a table; commit. Only then may the deliveries be acknowledged, and only then do letters
leave. A batch that fails is halved down to the message that is wrong, which is parked; the rest go on. When the
database is away, nothing is wrong: the same batch is tried until it is back.

Nothing may be acknowledged before its commit, nothing published before it, and no message may stop the ones behind it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from os import urandom
from time import perf_counter
from typing import Generic, TypeVar
from uuid import UUID

from opentelemetry.trace import Span

from shared.audit import log as audit
from shared.audit.merkle import leaf_hash
from shared.clock import Clock
from shared.messaging import held, inbox, outbox
from shared.messaging.decision import Decision, Early, Refusal
from shared.messaging.delivery import Delivery, Heard, Later, Unreadable
from shared.messaging.desk import Desk, Said
from shared.messaging.outbox import Letter
from shared.messaging.post import PostOffice
from shared.storage.pool import CONTENDED, UNAVAILABLE, Connection, Pool, pause
from shared.telemetry import metrics, traces
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Outcome
from shared.uuids import uuid_of
from shared.values import dataclass

What = TypeVar("What")
State = TypeVar("State")

PATIENCE = timedelta(hours=24)
"""How long a message may wait or be retried before a person must look at it."""

CONTENTIONS = 5
"""How often a command is decided anew because somebody else was faster."""

FAILED = "decision-failed"
EARLY = "early"
GIVEN_UP = "delivery-limit"
"""The broker gave the message out too often: whoever took it died of it, again and again."""

log = get_logger(__name__)


@dataclass(slots=True)
class Item(Generic[What]):
    """One message of a batch, on its way through: the slot it came in, and what it says."""

    slot: int
    delivery: Delivery
    heard: Heard[What]
    span: Span = traces.NO_SPAN


@dataclass(slots=True)
class Work(Generic[State]):
    """What a batch has decided, until it is written."""

    states: dict[UUID, State]
    changed: dict[UUID, State] = field(default_factory=dict)
    outcomes: dict[int, Decision[State]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    leaves: list[audit.Leaf] = field(default_factory=list)
    holds: list[held.Hold] = field(default_factory=list)


class Shell(Generic[What, State]):
    """Makes a desk's decisions true."""

    def __init__(self, desk: Desk[What, State], *, pool: Pool, post: PostOffice, clock: Clock, service: str) -> None:
        """Take the ``desk``, the service's own database and post office, and the clock."""
        self.desk = desk
        self.woken = asyncio.Event()
        """Set when a held message has become due by something that happened here."""
        self._pool = pool
        self._post = post
        self._clock = clock
        self._service = service

    def now(self) -> datetime:
        """Return the time by which this shell decides."""
        return self._clock.now()

    async def take(self, deliveries: Sequence[Delivery]) -> list[Decision[State]]:
        """Deal with ``deliveries`` and return, in their order, what was decided: for what was parked, a refusal.

        When this returns, all of it is committed, and the deliveries may be acknowledged. What another worker was
        faster with has no decision here.
        """
        started = perf_counter()
        at = self._clock.now()
        items: list[Item[What]] = []
        holds: list[held.Hold] = []
        outcomes: dict[int, Decision[State]] = {}
        for slot, delivery in enumerate(deliveries):
            try:
                heard = self.desk.read(delivery)
            except Unreadable as reason:
                outcomes[slot] = Decision.refused(reason.code)
                holds.append(self._park(delivery, reason.code, at))
            except Later as reason:
                outcomes[slot] = Decision.refused(reason.code)
                holds.append(self._retry(delivery, reason.code, at))
            except Exception as error:  # noqa: BLE001 - a fault of ours in one message must not stop the others
                outcomes[slot] = self._failed(error)
                holds.append(self._park(delivery, FAILED, at))
            else:
                items.append(self._item(slot, delivery, heard))
        outcomes |= await self._settle(items, holds)
        for item in items:
            item.span.end()
        metrics.BATCH_MESSAGES.observe(len(deliveries), service=self._service)
        metrics.BATCH_SECONDS.observe(perf_counter() - started, service=self._service)
        return [outcomes.get(slot, Decision()) for slot in range(len(deliveries))]

    async def act(self, heard: Heard[What]) -> Decision[State]:
        """Make one command of a person true and return what was decided; a refusal changes nothing.

        Raises:
            OSError, asyncpg.PostgresError: the database is away; nothing has happened.
        """
        delivery = Delivery(b"", {}, "http")
        item = self._item(0, delivery, heard)
        try:
            return await self._contend(item)
        except _CommandRefusedError as refused:
            return Decision(refusal=refused.refusal)
        finally:
            item.span.end()

    async def _contend(self, item: Item[What]) -> Decision[State]:
        """Decide again, from what is known by then, when somebody else was faster."""
        for attempt in range(1, CONTENTIONS):
            try:
                return (await self._transact([item], [], command=True))[0]
            except CONTENDED:
                await asyncio.sleep(pause(attempt, first=0.02))
        return (await self._transact([item], [], command=True))[0]

    async def give_up(self, deliveries: Sequence[Delivery]) -> None:
        """Park ``deliveries`` unopened: the broker has given up on them."""
        at = self._clock.now()
        await self._settle([], [self._park(delivery, GIVEN_UP, at) for delivery in deliveries])

    async def take_due(self, limit: int) -> int:
        """Try held messages whose time has come, and return how many there were."""
        async with self._pool.acquire() as connection:
            deliveries = await held.due(connection, self.desk.name, self._clock.now(), limit)
        if deliveries:
            await self.take(deliveries)
        return len(deliveries)

    def _item(self, slot: int, delivery: Delivery, heard: Heard[What]) -> Item[What]:
        """Give the message a span of its own, from before its decision until after its commit."""
        links = map(traces.link_to, heard.links)
        name = f"process {self.desk.name}"
        span = traces.begin_from(heard.traceparent, name, attributes=heard.attributes, links=links)
        return Item(slot, delivery, heard, span)

    async def _settle(self, items: list[Item[What]], holds: list[held.Hold]) -> dict[int, Decision[State]]:
        """Commit the batch, as a whole or in halves; wait while the database is away.

        What is only to be kept must be kept: when that fails it is tried again without a word to anybody, for it may
        be the saying that fails, and then again until it works. Nothing of it is acknowledged before.
        """
        attempt, announced = 0, True
        while True:
            try:
                return await self._transact(items, holds, announced=announced)
            except (*UNAVAILABLE, *CONTENDED) as error:
                attempt += 1
                metrics.AVAILABLE.set(0, service=self._service, dependency="database")
                log.warning("batch.waits", attempt=attempt, error=type(error).__name__)
                await asyncio.sleep(pause(attempt, first=0.1, longest=5.0))
            except Exception as error:
                if items:
                    return await self._divide(items, holds, error)
                attempt += 1
                announced = False
                log.exception("message.unkept", attempt=attempt, count=len(holds))
                await asyncio.sleep(pause(attempt, first=0.1, longest=5.0))

    async def _divide(
        self,
        items: list[Item[What]],
        holds: list[held.Hold],
        error: Exception,
    ) -> dict[int, Decision[State]]:
        """Commit each half of a batch that fails by itself; park the one message that cannot be written, alone."""
        if len(items) == 1:
            await self._settle([], [*holds, self._park(items[0].delivery, FAILED, self._clock.now())])
            return {items[0].slot: self._failed(error)}
        log.warning("batch.halved", count=len(items), error=type(error).__name__)
        middle = len(items) // 2
        first = await self._settle(items[:middle], holds)
        return first | await self._settle(items[middle:], [])

    @staticmethod
    def _failed(error: Exception) -> Decision[State]:
        log.error("message.failed", reason=FAILED, error=type(error).__name__)
        return Decision.refused(FAILED)

    async def _transact(
        self,
        items: list[Item[What]],
        holds: list[held.Hold],
        *,
        command: bool = False,
        announced: bool = True,
    ) -> dict[int, Decision[State]]:
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            items, holds = await self._take_held(connection, items, holds)
            repeats = await inbox.admit(connection, _first_of_each(items))
            await self._locate(connection, items)
            keys = sorted({item.heard.key for item in items})
            states = await self.desk.load(connection, keys, [item.heard.what for item in items])
            work = self._decide(items, states, repeats, at, command=command)
            if command:
                _undo_if_refused(work)
            work.holds += holds
            if announced:
                work.said += self._announce(work.holds, at)
            letters = await self._keep(connection, work, at)
        metrics.AVAILABLE.set(1, service=self._service, dependency="database")
        self._count(work, items)
        self.desk.committed(list(work.outcomes.values()), work.said)
        self._post.send(letters)
        return work.outcomes

    async def _locate(self, connection: Connection, items: list[Item[What]]) -> None:
        located = await self.desk.locate(connection, [item.heard.what for item in items])
        for item in items:
            if item.heard.key in located:
                item.heard = replace(item.heard, key=located[item.heard.key])

    async def _take_held(
        self,
        connection: Connection,
        items: list[Item[What]],
        holds: list[held.Hold],
    ) -> tuple[list[Item[What]], list[held.Hold]]:
        """Take the messages that waited out of the table, and leave alone what another worker has taken."""
        waited = {item.delivery.waited.id for item in items if item.delivery.waited}
        waited |= {hold.delivery.waited.id for hold in holds if hold.delivery.waited}
        if not waited:
            return items, holds
        gone = waited - await held.take(connection, list(waited))
        return (
            [item for item in items if item.delivery.waited is None or item.delivery.waited.id not in gone],
            [hold for hold in holds if hold.delivery.waited is None or hold.delivery.waited.id not in gone],
        )

    def _decide(
        self,
        items: Iterable[Item[What]],
        states: dict[UUID, State],
        repeats: Mapping[UUID, bytes],
        at: datetime,
        *,
        command: bool,
    ) -> Work[State]:
        work = Work(states)
        known = dict(repeats)
        for item in items:
            decision = self._decide_one(item, work, known, at)
            if decision.refusal is not None and not command and item.slot not in work.outcomes:
                work.holds.append(self._park(item.delivery, decision.refusal.code, at, admitted=True))
            work.outcomes[item.slot] = decision
            self._gather(work, item, decision)
        return work

    def _decide_one(
        self,
        item: Item[What],
        work: Work[State],
        known: dict[UUID, bytes],
        at: datetime,
    ) -> Decision[State]:
        heard, state = item.heard, work.states.get(item.heard.key)
        admitted = item.delivery.waited is not None and item.delivery.waited.admitted
        earlier = None if admitted or heard.id is None else known.get(heard.id)
        if heard.id is not None:
            known.setdefault(heard.id, heard.digest)
        if earlier is not None:
            self._handled(Outcome.DUPLICATE)
            same = earlier == heard.digest
            return (self.desk.repeated if same else self.desk.reused)(state, heard, at)
        try:
            decision = self.desk.decide(state, heard, at)
        except Unreadable as reason:
            return Decision.refused(reason.code)
        except Later as reason:
            return self._put_off(work, item, reason.code, at)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one message must not stop the others
            return self._failed(error)
        if isinstance(decision, Early):
            return self._put_off(work, item, EARLY, at, decision.subject)
        return decision

    def _put_off(
        self,
        work: Work[State],
        item: Item[What],
        reason: str,
        at: datetime,
        subject: UUID | None = None,
    ) -> Decision[State]:
        work.holds.append(self._retry(item.delivery, reason, at, subject=subject, admitted=True))
        work.outcomes[item.slot] = Decision.refused(reason)
        return work.outcomes[item.slot]

    def _gather(self, work: Work[State], item: Item[What], decision: Decision[State]) -> None:
        if decision.state is not None:
            work.states[item.heard.key] = work.changed[item.heard.key] = decision.state
        leaves = [audit.prepare(entry, urandom(audit.SALT_BYTES)) for entry in decision.entries]
        work.leaves += leaves
        if decision.says:
            traceparent = traces.traceparent_of(item.span)
            leaf = leaf_hash(leaves[0].commitment) if leaves else None
            work.said += [Said(what, traceparent, leaf) for what in decision.says]

    def _announce(self, holds: Iterable[held.Hold], at: datetime) -> list[Said]:
        """Return what the desk says of the messages that are parked."""
        parked = [hold for hold in holds if hold.due_at is None]
        return [Said(what, None) for hold in parked for what in self.desk.parked(hold.id, hold.reason, at)]

    async def _keep(self, connection: Connection, work: Work[State], at: datetime) -> Sequence[Letter]:
        """Write all that was decided, one statement a table, and return the letters to publish after the commit."""
        if work.changed or work.outcomes:
            await self.desk.keep(connection, work.changed, list(work.outcomes.values()), at)
        letters = await self.desk.letters(connection, work.said, at) if work.said else ()
        await outbox.put(connection, letters, at)
        if work.leaves:
            await audit.append(connection, work.leaves, self.desk.cipher(work.states))
        await held.keep(connection, self.desk.name, work.holds)
        if await held.wake(connection, list(work.changed), at):
            self.woken.set()
        return letters

    def _park(self, delivery: Delivery, reason: str, at: datetime, *, admitted: bool = False) -> held.Hold:
        return self._hold(delivery, reason, at, None, None, admitted=admitted)

    def _retry(
        self,
        delivery: Delivery,
        reason: str,
        at: datetime,
        *,
        subject: UUID | None = None,
        admitted: bool = False,
    ) -> held.Hold:
        """Hold for a while, each time longer; after a day, park."""
        waited = delivery.waited
        if waited is not None and at - waited.first_at > PATIENCE:
            return self._park(delivery, reason, at, admitted=admitted)
        attempts = waited.attempts if waited else 0
        due_at = at + timedelta(seconds=pause(attempts + 1, first=1.0, longest=300.0))
        return self._hold(delivery, reason, at, due_at, subject, admitted=admitted)

    def _hold(
        self,
        delivery: Delivery,
        reason: str,
        at: datetime,
        due_at: datetime | None,
        subject: UUID | None,
        *,
        admitted: bool,
    ) -> held.Hold:
        waited = delivery.waited
        return held.Hold(
            id=waited.id if waited else _held_id(self.desk.name, delivery),
            delivery=delivery,
            reason=reason,
            attempts=waited.attempts + 1 if waited else 1,
            first_at=waited.first_at if waited else at,
            due_at=due_at,
            subject=subject,
            admitted=admitted or (waited is not None and waited.admitted),
        )

    def _count(self, work: Work[State], items: Sequence[Item[What]]) -> None:
        """Tell the metrics, and the log what a person must look at: after the commit, because now it is true."""
        self._handled(Outcome.DECIDED, amount=max(len(items) - len(work.holds), 0))
        for hold in work.holds:
            if hold.due_at is None:
                self._handled(Outcome.PARKED, hold.reason)
                log.warning("message.parked", message_id=hold.id, reason=hold.reason)
            else:
                self._handled(Outcome.EARLY if hold.subject else Outcome.RETRIED, hold.reason)

    def _handled(self, outcome: Outcome, code: str = "", amount: int = 1) -> None:
        metrics.MESSAGES_HANDLED.add(amount, service=self._service, outcome=outcome, code=code or outcome)


def _first_of_each(items: Iterable[Item[What]]) -> dict[UUID, bytes]:
    """Return the digest by id of what the inbox must take in: not what it took in before it was held."""
    messages: dict[UUID, bytes] = {}
    for item in items:
        admitted = item.delivery.waited is not None and item.delivery.waited.admitted
        if item.heard.id is not None and not admitted:
            messages.setdefault(item.heard.id, item.heard.digest)
    return messages


class _CommandRefusedError(Exception):
    """A command changes nothing: its transaction is undone, and its id stays free for when it can be granted."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def _undo_if_refused(work: Work[State]) -> None:
    """Undo a command that is refused and leaves nothing in the audit trail.

    Raises:
        _CommandRefusedError: through the transaction.
    """
    for decision in work.outcomes.values():
        if decision.refusal is not None and not work.leaves:
            raise _CommandRefusedError(decision.refusal)


def _held_id(consumer: str, delivery: Delivery) -> UUID:
    """Name a held message by its bytes, so that the same one is held once however often the broker brings it."""
    digest = sha256(consumer.encode() + b"\0" + delivery.source.encode() + b"\0" + delivery.digest()).digest()
    return uuid_of(digest[:16])
