"""The usual way, done well: a FastStream handler, one transaction a message, an outbox row, a confirm, then the ack.

It checks, opens, decodes, decides and encrypts with the very functions that ours uses, and writes the same rows: its
own are only the statements, a row each, and the order of the work. Sixteen messages are on the way at once, with as
many connections; asyncpg keeps every statement prepared; no connection is held while the broker is waited for.
"""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from os import urandom
from typing import Final
from uuid import UUID, uuid4

from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from bench.contenders.stopwatch import Stopwatch, Took
from bench.site import Site
from deploy.broker.topology import BrokerRole
from services.referral.domain.clocks import Hours
from services.referral.domain.hearing import hear_offer
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Paper, Ruling
from services.referral.known import Folder
from services.referral.store import folders
from services.referral.store.rows import ReferralRow, to_row
from services.referral.store.schema import SCHEMA
from shared.audit.cases import CaseEntries
from shared.audit.log import SALT_BYTES, prepare
from shared.clock import Clock
from shared.contracts.codes import EVERY_KIND
from shared.contracts.exchange import ReferralOffered, decode
from shared.contracts.facts import Fact
from shared.contracts.ids import CaseId, OrganisationId
from shared.messaging import places
from shared.messaging.delivery import inbox_id
from shared.messaging.fact_letters import LINES, fact_line
from shared.messaging.outbox import GRACE
from shared.sealing.directory import Directory
from shared.sealing.envelope import open_body, parse
from shared.sealing.keyring import Holder, Keyring, read_keyring
from shared.sealing.keys import KeyPurpose, VerifyKey
from shared.storage.pool import Connection, Pool, open_pool
from shared.storage.vault import Vault

AT_ONCE: Final = 16
NODE: Final = RabbitExchange(places.node_exchange(places.REFERRAL), declare=False)

ADMIT: Final = "INSERT INTO inbox (id, digest) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id"
LOCK: Final = """
SELECT referral.*, folder.epoch, folder.wrapped FROM referral LEFT JOIN folder ON folder.id = referral.case_id
WHERE referral.id = $1 FOR UPDATE OF referral
"""
KEEP_FOLDER: Final = "INSERT INTO folder (id, epoch, wrapped) VALUES ($1, $2, $3)"
OPEN_CASE: Final = "INSERT INTO case_file (id, opened_at, opened_by, opened_for) VALUES ($1, $2, $3, $4)"
KEEP_REFERRAL: Final = f"""
INSERT INTO referral ({", ".join(ReferralRow._fields)})
VALUES ({", ".join(f"${place}" for place, _ in enumerate(ReferralRow._fields, 1))})
"""  # noqa: S608 - names of our own columns
KEEP_PAPER: Final = """
INSERT INTO paper (id, folder, about, name, side, n, at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
KEEP_LETTER: Final = """
INSERT INTO outbox (id, due_at, broker, exchange, routing_key, headers, content_type, body)
VALUES ($1, $2, 'node', $3, $4, $5, $6, $7)
"""
KEEP_LEAF: Final = """
WITH leaf AS (INSERT INTO audit_leaf (commitment, case_id, content) VALUES ($1, $2, $3) RETURNING id)
INSERT INTO audit_pending (leaf_id) SELECT id FROM leaf
"""
CONFIRM: Final = "DELETE FROM outbox WHERE id = $1"


class Receiver:
    """Everything that the handler needs."""

    def __init__(
        self, us: OrganisationId, keyring: Keyring, directory: Directory, pool: Pool, broker: RabbitBroker
    ) -> None:
        self._us = us
        self._keyring = keyring
        self._directory = directory
        self._vault = Vault(keyring.storage_keys())
        self._pool = pool
        self._broker = broker
        self._clock = Clock()
        self._hours = Hours(UTC)

    async def receive(self, message: RabbitMessage) -> None:
        """Take one message in, and tell notify; the caller acknowledges it when this returns."""
        envelope = parse(message.body)
        header = envelope.header
        signer = self._directory.book.published(header.source, header.key_id)
        assert signer.purpose is KeyPurpose.SIGNING
        assert isinstance(signer.key, VerifyKey)
        envelope.verify(signer.key)
        event = decode(open_body(envelope, self._keyring.inbox_key(header.inbox_keys, envelope.suite)))
        assert isinstance(event, ReferralOffered)
        trace = str(message.headers.get("traceparent", ""))
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            digest = _digest(message.body)
            if not await connection.fetchval(ADMIT, inbox_id(header.source, header.id), digest):
                return
            assert await connection.fetchrow(LOCK, event.referral) is None
            facts = await self._take(connection, event, header.source, at, trace)
        for fact, body in facts:
            await self._broker.publish(
                body,
                routing_key=places.NOTIFY,
                exchange=NODE,
                mandatory=True,
                persist=True,
                message_id=str(fact.id),
                content_type=LINES,
            )
            await self._pool.execute(CONFIRM, fact.id)

    async def _take(
        self, connection: Connection, event: ReferralOffered, speaker: OrganisationId, at: datetime, trace: str
    ) -> list[tuple[Fact, bytes]]:
        """Decide, and write all that was decided."""
        act = Act(self._us, at, iter(uuid4, None))
        ruling = hear_offer(event, speaker, self._us, act, case=CaseId(uuid4()), hours=self._hours, kinds=EVERY_KIND)
        referral, case = ruling.state, ruling.opens
        assert referral is not None
        assert case is not None
        folder = folders.new(self._vault, referral.case)
        await connection.execute(KEEP_FOLDER, folder.id, folder.key.epoch, folder.key.wrapped)
        await connection.execute(OPEN_CASE, case.id, case.opened_at, case.opened_by, case.opened_for)
        row = to_row(referral)
        await connection.execute(KEEP_REFERRAL, *row._replace(version=row.version + 1))
        await connection.executemany(KEEP_PAPER, [_paper(paper, folder, at) for paper in ruling.papers])
        facts = [(said, fact_line(said, trace)) for said in ruling.says if isinstance(said, Fact)]
        for fact, body in facts:
            place = (places.node_exchange(places.REFERRAL), places.NOTIFY, "{}", LINES)
            await connection.execute(KEEP_LETTER, fact.id, at + GRACE, *place, body)
        await connection.executemany(KEEP_LEAF, _leaves(ruling, folder))
        return facts


async def run(site: Site, watch: Stopwatch) -> Took:
    """Take every offer of ``site`` by the ``watch``."""
    pool = await open_pool(site.dsn, schema=SCHEMA, application="usual", largest=AT_ONCE)
    keyring = read_keyring(site.folder, Holder.REFERRAL, site.passphrase)
    broker = RabbitBroker(
        site.urls[BrokerRole.REFERRAL],
        default_channel=Channel(publisher_confirms=True, on_return_raises=True),
        apply_types=False,
        logger=None,
    )
    receiver = Receiver(site.us, keyring, Directory(site.folder), pool, broker)
    left, done = len(site.offers), asyncio.Event()

    @broker.subscriber(
        RabbitQueue(places.node_queue(places.REFERRAL), declare=False),
        channel=Channel(prefetch_count=AT_ONCE),
        ack_policy=AckPolicy.MANUAL,
        decoder=_undecoded,
        no_reply=True,
    )
    async def handle(message: RabbitMessage) -> None:
        nonlocal left
        await receiver.receive(message)
        await message.ack()
        left -= 1
        if left == 0:
            done.set()

    await broker.connect()
    watch.start()
    await broker.start()
    await done.wait()
    took = watch.stop()
    await broker.stop()
    await pool.close()
    return took


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    return message


def _digest(body: bytes) -> bytes:
    return sha256(body).digest()


def _paper(paper: Paper, folder: Folder, at: datetime) -> tuple[object, ...]:
    id_ = uuid4()
    plain = paper.content.__pydantic_serializer__.to_json(paper.content, exclude_none=True)
    sealed = folder.cipher.seal(plain, b"paper\0" + id_.bytes + paper.name.encode())
    return id_, paper.case, paper.about, paper.name, paper.side, paper.n, at, sealed


def _leaves(ruling: Ruling[Referral], folder: Folder) -> list[tuple[bytes, UUID, bytes]]:
    """Every entry of an offer belongs to the case that it opens."""
    cipher = CaseEntries({folder.id: folder.cipher})
    leaves = [prepare(entry, urandom(SALT_BYTES)) for entry in ruling.entries]
    return [(leaf.commitment, folder.id, cipher.seal(folder.id, leaf.commitment, leaf.opening)) for leaf in leaves]
