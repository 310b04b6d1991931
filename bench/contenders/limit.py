"""The limit: a bare consumer that checks who signed and opens the envelope, keeps nothing, says nothing, and acks.

It takes messages as aio-pika gives them, one by one: the least that a receiver which checks and opens what comes does
with the client library as it is. Ours goes round some of that (docs/decisions/0007), and would be faster if it kept
nothing.
"""

import asyncio

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from bench.contenders.stopwatch import Stopwatch, Took
from bench.site import Site
from deploy.broker.topology import BrokerRole
from shared.messaging import places
from shared.sealing.directory import Directory
from shared.sealing.envelope import open_body, parse
from shared.sealing.keyring import Holder, read_keyring
from shared.sealing.keys import VerifyKey

PREFETCH = 400


async def run(site: Site, watch: Stopwatch) -> Took:
    """Take every offer of ``site`` by the ``watch``."""
    first = parse(site.offers[0].envelope)
    keyring = read_keyring(site.folder, Holder.REFERRAL, site.passphrase)
    inbox = keyring.inbox_key(first.header.inbox_keys, first.suite)
    book = Directory(site.folder).book
    signer = book.published(first.header.source, first.header.key_id).key
    assert isinstance(signer, VerifyKey)
    left, done = len(site.offers), asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal left
        envelope = parse(message.body)
        envelope.verify(signer)
        open_body(envelope, inbox)
        await message.ack()
        left -= 1
        if left == 0:
            done.set()

    connection = await aio_pika.connect(site.urls[BrokerRole.REFERRAL])
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        queue = await channel.get_queue(places.node_queue(places.REFERRAL), ensure=False)
        watch.start()
        await queue.consume(take)
        await done.wait()
        return watch.stop()
