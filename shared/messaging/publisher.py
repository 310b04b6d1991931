"""Publishes the letters of a batch with one write and one wait: persistent, mandatory, with their own ids.

aiormq's ``basic_publish`` makes a task, two futures and a place in a lock's line for every message; for the letters of
a batch that is as much work as all the rest of publishing (docs/decisions/0007). Here they share a frame, and what the
broker answers is noted where aiormq keeps its futures.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast
from uuid import UUID

from aio_pika.abc import AbstractChannel, DeliveryMode
from aiormq import spec
from aiormq.abc import ChannelFrame
from faststream.rabbit import RabbitBroker
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.messaging.outbox import Letter
from shared.telemetry.metrics import Sent

if TYPE_CHECKING:
    import aiormq

WRITE_BYTES = 1 << 20
"""How much is put together before it is written: a batch of facts, or one large envelope."""


class RabbitPublisher:
    """Publishes letters to one broker, on a channel of its own for each exchange.

    A broker that refuses one exchange closes the channel, and with it goes every confirm that is still awaited on it:
    letters to other exchanges must not be among them, or they would be tried again with the refused one for ever.
    """

    def __init__(self, broker: RabbitBroker) -> None:
        """Take a broker made by :func:`shared.messaging.rabbit.make_broker`."""
        self._broker = broker
        self._opening = asyncio.Lock()
        self._channels: dict[str, AbstractChannel] = {}

    async def publish(self, exchange: str, letters: Sequence[Letter], *, within: float) -> Mapping[UUID, Sent]:
        """Publish ``letters`` to ``exchange`` and return, at the latest after ``within`` seconds, what became of them.

        Of a letter that is not in what is returned, nothing is known: no answer came, or the channel was closed.
        The exchange is there: the start has looked (:func:`shared.messaging.rabbit.check_topology`).

        Raises:
            OSError, AMQPError: the broker is away, or may be: nothing is known of any letter.
        """
        answers = Answers()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                own = self._channels.get(exchange) or await self._open(exchange)
                channel = cast("aiormq.Channel", await own.get_underlay_channel())
                written = await _write(channel, letters, answers)
                await answers.until_complete(channel, written)
        return answers.outcomes

    async def _open(self, exchange: str) -> AbstractChannel:
        async with self._opening:
            if exchange not in self._channels:
                connection = await self._broker.connect()
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                self._channels[exchange] = channel
        return self._channels[exchange]


class Answers:
    """What the broker has answered to the letters of a batch."""

    def __init__(self) -> None:
        self.outcomes: dict[UUID, Sent] = {}
        self._expected = 0
        self._complete: asyncio.Future[None] | None = None

    def note(self, letter: UUID, outcome: Sent) -> None:
        """Note what became of ``letter``."""
        self.outcomes[letter] = outcome
        if self._complete is not None and not self._complete.done() and len(self.outcomes) >= self._expected:
            self._complete.set_result(None)

    async def until_complete(self, channel: "aiormq.Channel", expected: int) -> None:
        """Return when there are ``expected`` answers, or when ``channel`` closes: then no more come."""
        self._expected = expected
        if len(self.outcomes) >= expected:
            return
        self._complete = channel.create_future()  # which ends with the channel
        try:
            await asyncio.wait([self._complete])
        finally:
            self._complete.cancel()


class Awaited:
    """Stands where aiormq keeps a future for each message until the broker has answered: it sets a result or an error.

    A message comes back (``mandatory``) before it is confirmed, and aiormq finds it by its id alone.
    """

    __slots__ = ("_answers", "_channel", "_letter")

    def __init__(self, channel: "aiormq.Channel", letter: UUID, answers: Answers) -> None:
        self._channel = channel
        self._letter = letter
        self._answers = answers

    def done(self) -> bool:
        """Say that nobody has given up on the answer: it is noted, however late it comes."""
        return False

    def set_result(self, _frame: object) -> None:
        """Note that the broker has the letter."""
        self._note(Sent.CONFIRMED)

    def set_exception(self, _error: BaseException) -> None:
        """Note that no queue takes the letter, or that a queue is full."""
        self._note(Sent.UNROUTABLE)

    def _note(self, outcome: Sent) -> None:
        del self._channel.message_id_delivery_tag[str(self._letter)]
        self._answers.note(self._letter, outcome)


async def _write(channel: "aiormq.Channel", letters: Sequence[Letter], answers: Answers) -> int:
    """Write ``letters``, counting as the broker counts, so that each of its answers finds its letter; return how many.

    What is written and what is counted may not come apart: there is no wait between the two, and where the first
    is cancelled the second does not happen. A letter that is on the wire already is left out: of two with one id, what
    comes back and what is confirmed could not be told apart.
    """
    async with channel.lock:
        fresh = [letter for letter in letters if str(letter.id) not in channel.message_id_delivery_tag]
        for payload, written in _payloads(channel, fresh):
            await channel.write_queue.put(ChannelFrame(payload, should_close=False))
            for letter in written:
                channel.delivery_tag += 1
                awaited = Awaited(channel, letter.id, answers)
                channel.confirmations[channel.delivery_tag] = cast("asyncio.Future[None]", awaited)
                channel.message_id_delivery_tag[str(letter.id)] = channel.delivery_tag
    return len(fresh)


def _payloads(channel: "aiormq.Channel", letters: Sequence[Letter]) -> Iterator[tuple[bytes, Sequence[Letter]]]:
    """Put the frames of ``letters`` together, up to a size at which the next must wait."""
    payload, written = bytearray(), list[Letter]()
    for letter in letters:
        for frame in _frames(letter, channel.max_content_size):
            payload += marshal(frame, channel.number)
        written.append(letter)
        if len(payload) >= WRITE_BYTES:
            yield bytes(payload), written
            payload, written = bytearray(), []
    if written:
        yield bytes(payload), written


def _frames(letter: Letter, largest: int) -> Iterator[spec.Basic.Publish | ContentHeader | ContentBody]:
    """Return the frames of one message (AMQP 0-9-1, 2.3.5): the method, the header, and the body in parts."""
    yield spec.Basic.Publish(exchange=letter.exchange, routing_key=letter.routing_key, mandatory=True)
    properties = spec.Basic.Properties(
        message_id=str(letter.id),
        content_type=letter.content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        headers=dict(letter.headers),
    )
    yield ContentHeader(body_size=len(letter.body), properties=properties)
    for start in range(0, len(letter.body), largest):
        yield ContentBody(letter.body[start : start + largest])
