"""The one shell around every decision: a batch in, one transaction, letters out.

At-least-once delivery, effects exactly once. A message is read when it comes. For a batch, then, in one transaction:
drop what the inbox has seen, load the states, decide in memory in the order of arrival, and write states, outbox, audit
leaves and held messages, one statement a table; commit. Only then may the deliveries be acknowledged, and only then
do letters leave. A batch that fails is halved down to the message that is wrong, which is parked; the rest go on. One
that somebody is in the way of, again and again, is found likewise, and waits.
When the database is away, nothing is wrong: the same batch is tried until it is back.

Nothing may be acknowledged before its commit, nothing published before it, and no message may stop the ones behind it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from os import urandom
from time import perf_counter
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.audit import log as audit
from shared.clock import Clock
from shared.contracts.coded import Coded
from shared.contracts.entries import Entry
from shared.messaging import held, inbox, outbox, room
from shared.messaging.batch import Batch, Item, Work
from shared.messaging.decision import Decision, Early, Refusal
from shared.messaging.delivery import Delivery, Heard, Later, Read, Unreadable, Unsigned
from shared.messaging.desk import Desk, Reading, Said
from shared.messaging.held import Hold
from shared.messaging.holding import FAILED, hold
from shared.messaging.outbox import Letter
from shared.messaging.post import PostOffice
from shared.pauses import pause
from shared.sealing.codes import KeyringCode, KeyringError
from shared.storage.pool import CONTENDED, Connection, Pool, is_away
from shared.telemetry import metrics, traces
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Outcome
from shared.uuids import in_order

What = TypeVar("What")
State = TypeVar("State")

CONTENTIONS = 5
"""How often a command or a batch is decided anew because somebody else was in the way."""

UNSAYABLE = "saying-unknown"
EARLY = "early"
BUSY = "database-busy"

log = get_logger(__name__)


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
        metrics.MESSAGES_HANDLED.begin(service=service, outcome=Outcome.RETRIED, code=KeyringCode.KEY_MISSING)

    def read(self, deliveries: Sequence[Delivery]) -> list[Read[What]]:
        """Read messages: as soon as they come, while the database is at work on others.

        Each step of reading is taken for all of them before the next one: what a step needs is then in the processor's
        caches, where the other steps would have driven it out (docs/decisions/0007).
        """
        reading = [self.desk.reading(delivery) for delivery in deliveries]
        reads: list[Read[What] | None] = [None] * len(deliveries)
        while None in reads:
            for slot, read in enumerate(reads):
                if read is None:
                    reads[slot] = _step(reading[slot], deliveries[slot])
        return [read for read in reads if read is not None]

    async def take(self, messages: Sequence[Read[What]]) -> list[Decision[State]]:
        """Deal with ``messages`` and return, in their order, what was decided: for what was held, a refusal.

        When this returns, all of it is committed, and the deliveries may be acknowledged. What another worker was
        faster with has no decision here.
        """
        started, at = perf_counter(), self._clock.now()
        items: list[Item[What]] = []
        holds: list[Hold] = []
        outcomes: dict[int, Decision[State]] = {}
        for slot, read in enumerate(messages):
            if isinstance(read.heard, Heard):
                items.append(self._item(slot, read.heard, read.delivery))
            else:
                outcomes[slot] = Decision.refused(read.heard.code)
                holds.append(hold(self.desk.name, read.delivery, read.heard, at))
        try:
            outcomes |= await self._settle(Batch(items, holds))
        finally:
            for item in items:
                item.span.end()
        metrics.BATCH_MESSAGES.observe(len(messages), service=self._service)
        metrics.BATCH_SECONDS.observe(perf_counter() - started, service=self._service)
        return [outcomes.get(slot, Decision()) for slot in range(len(messages))]

    async def take_due(self, limit: int) -> int:
        """Try held messages whose time has come, and return how many there were."""
        async with self._pool.acquire() as connection:
            deliveries = await held.due(connection, self.desk.name, self._clock.now(), limit)
            metrics.HELD.set(await held.waiting(connection), service=self._service)
            metrics.PARKED.set(await held.count_parked(connection), service=self._service)
        if deliveries:
            await self.take(self.read(deliveries))
        return len(deliveries)

    async def act(self, heard: Heard[What]) -> Decision[State]:
        """Make one command of a person true and return what was decided; a refusal changes nothing.

        It is decided anew, from what is known by then, when somebody else was faster.

        Raises:
            OSError, asyncpg.PostgresError: the database is away; nothing has happened.
        """
        item = self._item(0, heard, None)
        try:
            for attempt in range(1, CONTENTIONS):
                try:
                    return (await self._transact(Batch([item], [])))[0]
                except CONTENDED:
                    await asyncio.sleep(pause(attempt, first=0.02))
            return (await self._transact(Batch([item], [])))[0]
        except _CommandRefusedError as refused:
            await self._write_down(refused.leaves, refused.states)
            return Decision(refusal=refused.refusal)
        except Later as reason:
            return Decision.refused(reason.code)
        finally:
            item.span.end()

    def _item(self, slot: int, heard: Heard[What], delivery: Delivery | None) -> Item[What]:
        """Give the message a span of its own, from before its decision until after its commit."""
        links = map(traces.link_to, heard.links)
        name = f"process {self.desk.name}"
        span = traces.begin_from(heard.traceparent, name, attributes=heard.attributes, links=links)
        return Item(slot, heard, delivery, span)

    async def _settle(self, batch: Batch[What], attempt: int = 0) -> dict[int, Decision[State]]:
        """Commit the batch, as a whole or in halves; wait while the database is away, or a key of ours.

        ``attempt`` is how often it was tried as part of a larger batch: a half begins where the whole gave up.
        What is only to be kept must be kept: when that fails it is tried again without a word to anybody, for it may
        be the saying that fails, and then again until it works. Nothing of it is acknowledged before.
        """
        while True:
            try:
                return await self._transact(batch)
            except Exception as error:
                if _passes(error, attempt):
                    log.warning("batch.waits", attempt=attempt, error=type(error).__name__)
                elif len(batch.items) + len(batch.holds) > 1:
                    log.warning("batch.halved", count=len(batch.items) + len(batch.holds), error=type(error).__name__)
                    first, second = batch.halves()
                    return await self._settle(first, attempt) | await self._settle(second, attempt)
                elif batch.items:
                    return await self._set_aside(batch.items[0], error)
                else:
                    log.exception("message.unkept", attempt=attempt)
                    batch = replace(batch, announced=batch.announced and isinstance(error, CONTENDED))
            attempt += 1
            await asyncio.sleep(pause(attempt, first=0.1, longest=5.0))

    async def _set_aside(self, item: Item[What], error: Exception) -> dict[int, Decision[State]]:
        """Park a message that cannot be written; what cannot be looked at, or somebody is in the way of, waits."""
        why: Unreadable | Later
        if isinstance(error, Later):
            why = error
        elif isinstance(error, CONTENDED):
            why = Later(BUSY)
        else:
            _say_failed(error)
            why = Unreadable(FAILED)
        if item.delivery is not None:
            await self._settle(Batch([], [hold(self.desk.name, item.delivery, why, self._clock.now())]))
        return {item.slot: Decision.refused(why.code)}

    async def _transact(self, batch: Batch[What]) -> dict[int, Decision[State]]:
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            batch = await self._take_held(connection, batch)
            repeats = await inbox.admit(connection, _first_of_each(batch.items))
            await self._locate(connection, batch.items)
            keys = sorted({item.heard.key for item in batch.items}, key=in_order)
            states = await self.desk.load(connection, keys, [item.heard.what for item in batch.items])
            work = self._decide(batch.items, states, repeats, at)
            _undo_refused_command(batch.items, work)
            holds = [*work.holds, *batch.holds]
            work.holds = await room.keep(connection, self.desk.name, holds, at, self.desk.most_kept)
            work.leaves += map(_leaf, (line for each in work.holds for line in each.lines()))
            if batch.announced:
                work.said += self._announce(work.holds, at)
            letters = await self._keep(connection, work, at)
        self._post.send(letters)
        self._tell_of(work)
        return work.outcomes

    async def _write_down(self, leaves: Sequence[audit.Leaf], states: Mapping[UUID, State]) -> None:
        """Write down a command that was refused: by itself, so that nothing else of it is kept."""
        if not leaves:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await audit.append(connection, leaves, self.desk.cipher(states))
        metrics.AUDIT_ENTRIES.add(len(leaves), service=self._service)

    async def _locate(self, connection: Connection, items: Sequence[Item[What]]) -> None:
        located = await self.desk.locate(connection, [item.heard for item in items])
        for item, heard in zip(items, located, strict=True):
            item.heard = heard

    async def _take_held(self, connection: Connection, batch: Batch[What]) -> Batch[What]:
        """Take the messages that waited out of the table, and leave alone what another worker has taken."""
        deliveries = [*(item.delivery for item in batch.items), *(held.delivery for held in batch.holds)]
        waited = {delivery.waited.id for delivery in deliveries if delivery is not None and delivery.waited}
        if not waited:
            return batch
        gone = waited - await held.take(connection, list(waited))

        def here(each: Item[What] | Hold) -> bool:
            return each.delivery is None or each.delivery.waited is None or each.delivery.waited.id not in gone

        return replace(batch, items=list(filter(here, batch.items)), holds=list(filter(here, batch.holds)))

    def _decide(
        self,
        items: Iterable[Item[What]],
        states: dict[UUID, State],
        repeats: Mapping[UUID, bytes],
        at: datetime,
    ) -> Work[State]:
        work = Work(states)
        known = dict(repeats)
        here = set[tuple[UUID | None, bytes]]()
        for item in items:
            message = (item.heard.id, item.heard.digest)
            if item.heard.id is not None and message in here:
                work.became[Outcome.DUPLICATE] += 1
                work.outcomes[item.slot] = Decision()
                continue
            here.add(message)
            earlier = None if item.admitted or item.heard.id is None else known.get(item.heard.id)
            if item.heard.id is not None:
                known.setdefault(item.heard.id, item.heard.digest)
            if earlier is None:
                self._first_time(item, work, at)
            else:
                self._again(item, work, at, same=earlier == item.heard.digest)
        return work

    def _first_time(self, item: Item[What], work: Work[State], at: datetime) -> None:
        """Decide about a message that the inbox has just taken in."""
        try:
            decision = self.desk.decide(work.states.get(item.heard.key), item.heard, at)
        except Unreadable as reason:
            decision = Decision.refused(reason.code)
        except Later as reason:
            return self._put_off(item, work, reason, at)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one message must not stop the others
            _say_failed(error)
            decision = Decision.refused(FAILED)
        if isinstance(decision, Early):
            self._put_off(item, work, Later(EARLY), at, decision)
            return None if decision.meanwhile is None else self._gather(work, item, decision.meanwhile)
        if decision.refusal is None:
            work.became[Outcome.DECIDED] += 1
        return self._conclude(work, item, decision, at, admitted=True)

    def _again(self, item: Item[What], work: Work[State], at: datetime, *, same: bool) -> None:
        """Answer a message that comes again; park other bytes under its id, so that a replay meets the inbox again."""
        state = work.states.get(item.heard.key)
        try:
            decision = (self.desk.repeated if same else self.desk.reused)(state, item.heard, at)
        except Later as reason:
            return self._put_off(item, work, reason, at, admitted=False)
        if decision.refusal is None or item.delivery is None:
            work.became[Outcome.DUPLICATE] += 1
        return self._conclude(work, item, decision, at, admitted=False)

    def _conclude(
        self, work: Work[State], item: Item[What], decision: Decision[State], at: datetime, *, admitted: bool
    ) -> None:
        """Gather what was decided; what is refused is held, and written down as far as it is kept or changes things."""
        if decision.refusal is None or item.delivery is None:
            return self._gather(work, item, decision)
        why, follows = Unreadable(decision.refusal.code), decision.state is not None
        entries = () if follows else decision.entries
        work.holds.append(hold(self.desk.name, item.delivery, why, at, admitted=admitted, entries=entries))
        if follows:
            return self._gather(work, item, decision)
        work.outcomes[item.slot] = decision
        return None

    def _put_off(
        self,
        item: Item[What],
        work: Work[State],
        reason: Later,
        at: datetime,
        early: Early | None = None,
        *,
        admitted: bool = True,
    ) -> None:
        if item.delivery is not None:
            work.holds.append(hold(self.desk.name, item.delivery, reason, at, early=early, admitted=admitted))
        work.outcomes[item.slot] = Decision.refused(reason.code)

    def _gather(self, work: Work[State], item: Item[What], decision: Decision[State]) -> None:
        work.outcomes[item.slot] = decision
        if decision.state is not None:
            work.states[item.heard.key] = work.changed[item.heard.key] = decision.state
        leaves = list(map(_leaf, decision.entries))
        work.leaves += leaves
        if decision.says:
            traceparent = traces.traceparent_of(item.span)
            recorded = leaves[0].commitment if leaves else None
            work.said += self._sayings(decision.says, traceparent, recorded)

    def _announce(self, holds: Iterable[Hold], at: datetime) -> list[Said]:
        """Return what the desk says of the messages that are parked."""
        parked = [each for each in holds if each.due_at is None and each.told]
        return [said for each in parked for said in self._sayings(self.desk.parked(each.id, each.reason, at))]

    def _sayings(
        self, whats: Sequence[object], traceparent: str | None = None, recorded: audit.Commitment | None = None
    ) -> list[Said]:
        """Return what is to be said.

        Raises:
            UnsayableError: the desk does not know one of ``whats``, and would drop it. The message is parked.
        """
        if not all(isinstance(what, self.desk.says) for what in whats):
            raise UnsayableError(UNSAYABLE)
        return [Said(what, traceparent, recorded) for what in whats]

    async def _keep(self, connection: Connection, work: Work[State], at: datetime) -> Sequence[Letter]:
        """Write all that was decided, one statement a table, and return the letters to publish after the commit."""
        if work.changed or work.outcomes:
            await self.desk.keep(connection, work.changed, list(work.outcomes.values()), at)
        letters = await self.desk.say(connection, work.said, at) if work.said else ()
        await outbox.put(connection, letters, at)
        if work.leaves:
            await audit.append(connection, work.leaves, self.desk.cipher(work.states))
        turns = {subject: self.desk.next_turn(state) for subject, state in work.changed.items()}
        if await held.wake(connection, turns, at):
            self.woken.set()
        return letters

    def _tell_of(self, work: Work[State]) -> None:
        """Count what is committed, and log what a person must look at; what fails in that undoes nothing."""
        try:
            self._count(work)
        except Exception:  # a fault of ours in counting: what is committed has happened
            log.exception("committed.uncounted")

    def _count(self, work: Work[State]) -> None:
        """Tell the metrics, and the log what a person must look at: after the commit, because now it is true."""
        metrics.AUDIT_ENTRIES.add(len(work.leaves), service=self._service)
        for outcome, amount in work.became.items():
            metrics.MESSAGES_HANDLED.add(amount, service=self._service, outcome=outcome, code=outcome)
        for each in work.holds:
            outcome = Outcome.PARKED if each.due_at is None else Outcome.EARLY if each.subject else Outcome.RETRIED
            metrics.MESSAGES_HANDLED.add(each.count, service=self._service, outcome=outcome, code=each.reason)
            if each.due_at is None and each.told:
                log.warning("message.parked", held_id=each.id, reason=each.reason)
        self.desk.committed(list(work.outcomes.values()), work.said)


def _step(reading: Reading[What], delivery: Delivery) -> Read[What] | None:
    """Go on with ``reading`` a ``delivery``; return what has become of it, or ``None`` where more is to be read."""
    try:
        next(reading)
    except StopIteration as end:
        heard: Heard[What] = end.value
        return Read(delivery.brought_by(heard.origin), heard)
    except Unsigned as reason:
        return Read(delivery.without_body(), reason)
    except Unreadable as reason:
        return Read(delivery.brought_by(reason.origin).without_excess(), reason)
    except Later as reason:
        return Read(delivery, reason)
    except Exception as error:  # noqa: BLE001 - a fault of ours in one message must not stop the others
        _say_failed(error)
        return Read(delivery.without_excess(), Unreadable(FAILED))
    return None


def _first_of_each(items: Iterable[Item[What]]) -> dict[UUID, bytes]:
    """Return the digest by id of what the inbox must take in: not what it took in before it was held."""
    messages: dict[UUID, bytes] = {}
    for item in items:
        if item.heard.id is not None and not item.admitted:
            messages.setdefault(item.heard.id, item.heard.digest)
    return messages


def _leaf(entry: Entry) -> audit.Leaf:
    return audit.prepare(entry, urandom(audit.SALT_BYTES))


class UnsayableError(Coded[str]):
    """A decision says what its desk does not: a fault in the program, and nothing of it is kept."""


class _CommandRefusedError(Exception):
    """A command changes nothing: its transaction is undone, and its id stays free for when it can be granted."""

    def __init__(self, refusal: Refusal, work: Work[Any]) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.leaves = work.leaves
        """What the audit log says of it all the same."""
        self.states: Mapping[UUID, Any] = work.states


def _undo_refused_command(items: Sequence[Item[What]], work: Work[State]) -> None:
    """Undo a command that is refused.

    Raises:
        _CommandRefusedError: through the transaction.
    """
    for item in items:
        refusal = work.outcomes[item.slot].refusal
        if item.delivery is None and refusal is not None:
            raise _CommandRefusedError(refusal, work)


def _passes(error: Exception, attempt: int) -> bool:
    """Tell whether nothing is wrong with the batch: the database or a key of ours is away, or somebody was ahead.

    Who is in the way again and again may be in the batch itself: then it is looked for.
    """
    if isinstance(error, KeyringError):
        return error.code is KeyringCode.KEY_MISSING
    return is_away(error) or (isinstance(error, CONTENDED) and attempt < CONTENTIONS)


def _say_failed(error: Exception) -> None:
    log.error("message.failed", reason=FAILED, error=type(error).__name__)
