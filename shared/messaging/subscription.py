"""Queues that are heard together, on one channel, and that may come and go while we listen.

The broker may end it at any time: it closes a channel (a delivery that nobody acknowledged in time, a fault in the
protocol), or cancels a consumer (the queue has moved, or is gone). So somebody looks, every second (``watch.py``), and
what is not heard is subscribed again. The client library brings back the connection and nothing else: it would declare
every queue anew that it had, and where one is gone it would give the whole connection up, and try again for ever. No
partner's queue may deafen us to the others: neither one that is gone, nor one that does not answer, as after a broker
that was killed when the queue was a moment old.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import aiormq
from aiormq.exceptions import ChannelNotFoundEntity
from faststream.rabbit import RabbitBroker

from shared.messaging.channels import Take, consume, hand_over, open_channel
from shared.telemetry.logs import get_logger

ANSWER_SECONDS: Final = 10.0
"""How long a queue has to answer."""
AGAIN_SECONDS: Final = 5.0
"""How long a queue that is not there is left alone; each look for one is an error in the broker's log."""
SILENT_SECONDS: Final = 60.0
"""How long a queue that does not answer is left alone: asking for it costs the others a new connection."""
LEAST_IN_HAND: Final = 10
"""Messages that each queue may deliver before any is acknowledged, however many queues there are."""

log = get_logger(__name__)


class Subscription:
    """Queues on one channel; what they deliver goes to ``put``, undecoded and unacknowledged, tagged by their name."""

    def __init__(self, broker: RabbitBroker, queues: Callable[[], Collection[str]], *, in_hand: int, put: Take) -> None:
        """Take what says which ``queues`` are to be heard now, and where it goes; nothing comes before :meth:`renew`.

        ``in_hand`` is how much all of them together may deliver before it is acknowledged. They have it in equal
        shares: so what comes from one never waits behind more than that of the others.
        """
        self._broker = broker
        self._queues = queues
        self._in_hand = in_hand
        self._put = put
        self._channel: aiormq.Channel | None = None
        self._wanted: set[str] = set()
        self._absent: dict[str, float] = {}

    def is_open(self) -> bool:
        """Say whether we are given messages now: of every queue that is there, and of one at least if any is wanted."""
        if self._channel is None or self._channel.is_closed:
            return False
        heard = self._channel.consumers.keys()
        return self._wanted <= heard | self._absent.keys() and bool(heard or not self._wanted)

    async def renew(self) -> None:
        """Hear every queue that is to be heard and is not, and no longer one that is not to be heard any more.

        A connection that is lost is waited for: what comes after it is heard at once.

        Raises:
            OSError, AMQPError, TimeoutError: the broker is away; it may be tried again.
        """
        self._wanted = set(self._queues())
        self._absent = {queue: until for queue, until in self._absent.items() if queue in self._wanted}
        share = max(LEAST_IN_HAND, self._in_hand // max(1, len(self._wanted)))
        channel = await self._opened()
        for queue in channel.consumers.keys() - self._wanted:
            await channel.basic_cancel(queue, timeout=ANSWER_SECONDS)
        for queue in sorted(self._wanted - channel.consumers.keys()):
            if await self._is_there(queue):
                await self._hear(queue, share)

    async def _opened(self) -> aiormq.Channel:
        if self._channel is None or self._channel.is_closed:
            self._channel = await open_channel(self._broker)
            hand_over(self._channel, self._put)
        return self._channel

    async def _hear(self, queue: str, share: int) -> None:
        """Let ``queue`` deliver.

        One that does not answer takes the channel with it: the rest goes on with another, and what had been heard on
        it is heard again after the next look.
        """
        channel = await self._opened()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await consume(channel, queue, share)
        except TimeoutError:
            self._channel = None
            log.warning("queue.silent", queue=queue)
            self._leave_alone(queue, SILENT_SECONDS)

    def _leave_alone(self, queue: str, seconds: float) -> None:
        self._absent[queue] = asyncio.get_running_loop().time() + seconds

    async def _is_there(self, queue: str) -> bool:
        """Look on a channel of its own: asking for a queue that is not there closes the channel."""
        if queue in self._absent and asyncio.get_running_loop().time() < self._absent[queue]:
            return False
        probe = await open_channel(self._broker)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await probe.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            if queue not in self._absent:
                log.warning("queue.absent", queue=queue)
            self._leave_alone(queue, AGAIN_SECONDS)
            return False
        self._absent.pop(queue, None)
        await probe.close()
        return True
