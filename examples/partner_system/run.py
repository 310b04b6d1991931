"""Hand over several persons at once: send what is stored, take in what comes, until everybody has arrived.

All that counts is in the store. A broker that goes away is waited for; a program that was killed goes on where it was.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

from . import amqp, web
from .amqp import BrokerLink
from .desk import Desk
from .happened import Happened
from .keys import Purpose
from .outcomes import Later
from .referral_file import ReferralFile
from .store import Outgoing
from .web import WebLink

PAUSE = 2.0
"""Seconds until a lost broker is tried again."""
RESEND = 60.0
"""Seconds until an envelope goes again that has no receipt."""
LOOK = 1.0
"""Seconds between two looks at what is to be sent, where nothing happens."""
LAST_RECEIPTS = 10.0
"""Seconds for receipts that are still on their way when all has ended, and for what a withdrawal still brings."""
RECEIPT_WITHIN = 300.0
"""A receipt that takes longer than this is an alarm: docs/protocol/receipts.md, section 4."""


@dataclass(slots=True)
class Journal:
    """What is printed: one line of JSON for each step, with codes, ids and milliseconds, and nothing about a person."""

    write: Callable[[str], None]
    began: dict[str | None, float] = field(default_factory=lambda: {None: time.monotonic()})

    def tell(self, happened: Iterable[Happened]) -> None:
        """Print what happened, with the time since the referral began, or else the program."""
        for one in happened:
            now = time.monotonic()
            began = self.began.setdefault(one.referral, now)
            line: dict[str, str | int] = {"event": one.event}
            if one.referral:
                line["referral"] = one.referral
            line |= one.codes
            line["elapsed_ms"] = round((now - began) * 1000)
            self.write(json.dumps(line))


@dataclass(frozen=True, slots=True)
class Ways:
    """How the partner is reached: a broker to hear and speak through, its intake to speak to over HTTP, or both."""

    broker: str | None
    http: str | None


@dataclass(slots=True)
class Run:
    """One run of the program."""

    desk: Desk
    journal: Journal
    ways: Ways
    referrals: list[str] = field(default_factory=list)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something was written that may have to be sent."""
    tried: dict[str, float] = field(default_factory=dict)
    """When each envelope was sent first; infinite once it was said that its receipt is late."""
    due: dict[str, float] = field(default_factory=dict)
    """When each envelope is to be sent again."""
    ended_at: float | None = None

    async def hand_over(self, files: Iterable[ReferralFile], to: str, seconds: float, *, withdraw: bool) -> int:
        """Offer every file, and return how many persons have arrived once all has ended or the time is up.

        Without a broker nothing can be heard: the offers that the partner has taken count instead.

        Raises:
            Refused: something cannot be offered.
        """
        for file in files:
            referral, happened = self.desk.offer(file, to)
            self.referrals.append(referral)
            self.journal.tell(happened)
        if not await self._work_for(seconds):
            left = [referral for referral in self.referrals if not self._is_over(referral)]
            self.journal.tell(Happened("time-out", referral) for referral in left)
            if withdraw and left:
                for referral in left:
                    self.journal.tell(self.desk.withdraw(referral, "no_answer"))
                await self._work_for(LAST_RECEIPTS)
        reached = self.desk.has_arrived if self.ways.broker else self.desk.is_received
        return sum(reached(referral) for referral in self.referrals)

    async def _work_for(self, seconds: float) -> bool:
        """Work until all is done; return whether it was in time."""
        try:
            async with asyncio.timeout(seconds):
                while not self._is_done():
                    await self._work()
        except TimeoutError:
            return False
        return True

    async def _work(self) -> None:
        """Send and listen until all is done, or the broker is lost."""
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                way: BrokerLink | WebLink | None = None
                tasks = []
                if self.ways.broker:
                    way = broker = await stack.enter_async_context(
                        amqp.connected(self.ways.broker, self.desk.own, self.desk.partners)
                    )
                    tasks.append(group.create_task(self._listen(broker)))
                if self.ways.http:
                    way = await stack.enter_async_context(web.reached(self.ways.http))
                if way:
                    await self._send(way)
                for task in tasks:
                    task.cancel()
        except* amqp.AWAY:
            self.journal.tell([Happened("broker-away")])
            await asyncio.sleep(PAUSE)

    async def _listen(self, broker: BrokerLink) -> None:
        """Take in what comes; acknowledge what is written down, and nothing before."""
        async for message in broker.deliveries():
            self.journal.tell(self.desk.take(message.body, message.headers))
            await message.ack()
            self.stirred.set()
        raise ConnectionError

    async def _send(self, way: BrokerLink | WebLink) -> None:
        while not self._is_done():
            self.stirred.clear()
            for made in self.desk.to_send():
                if self.due.get(made.id, 0.0) <= time.monotonic():
                    await self._send_one(way, made)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stirred.wait(), LOOK)

    async def _send_one(self, way: BrokerLink | WebLink, made: Outgoing) -> None:
        outcome = await way.send(made)
        happened = self.desk.sent(made, outcome)
        self.journal.tell(happened)
        if happened:
            self.stirred.set()
        now = time.monotonic()
        if isinstance(outcome, Later):
            self.due[made.id] = now + outcome.seconds
        elif made.purpose == Purpose.SIGNING:  # a receipt is sent once, and again whenever it is asked for again
            self.due[made.id] = now + RESEND
        if now - self.tried.setdefault(made.id, now) > RECEIPT_WITHIN:
            self.tried[made.id] = float("inf")  # said once
            self.journal.tell([Happened("receipt-overdue", made.referral, {"of": made.step})])

    def _is_over(self, referral: str) -> bool:
        return self.desk.has_ended(referral) or (self.ways.broker is None and self.desk.is_received(referral))

    def _is_done(self) -> bool:
        """Tell whether all has ended, and nothing is left to be sent or has had its time."""
        if not all(self._is_over(referral) for referral in self.referrals):
            return False
        self.ended_at = self.ended_at or time.monotonic()
        return not self.desk.to_send() or time.monotonic() > self.ended_at + LAST_RECEIPTS
