"""A door at work: the service with its own database and broker users, partners who knock, and hands to watch it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import aio_pika
import asyncpg
import httpx
import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from fastapi import FastAPI
from pydantic import SecretStr

from deploy.broker.topology import BrokerRole
from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from services.intake import app as application
from services.intake.settings import IntakeSettings
from services.intake.store.schema import MIGRATIONS, SCHEMA
from shared.contracts.facts import Fact
from shared.contracts.ids import OrganisationId, StaffId
from shared.messaging import places
from shared.messaging.fact_letters import lines_of
from shared.messaging.schema import sources
from shared.sealing.agreement import CONCLUDED_WITHIN
from shared.sealing.header import CONTENT_TYPE
from shared.staff import Role, StaffBook, StaffMember, new_token, token_digest
from shared.storage.migrate import migrate
from tests.support.partners import DAY, PASSPHRASE, Organisation, Sealed
from tests.support.servers import BrokerPair, FreshDatabase
from tests.support.wait import until

MoveClock: TypeAlias = Callable[[timedelta], None]

LOOK_SECONDS = 0.1
"""How often the door under test looks for gaps and for keys that are waited for."""


@dataclass(frozen=True)
class Knocking:
    """Our own organisation, and those who knock at its door."""

    us: Organisation
    partner: Organisation
    """An agreement is in force."""
    former: Organisation
    """The agreement ended longer ago than what it leaves behind is heard."""
    late: Organisation
    """The agreement has ended, and what is under way may be concluded."""
    coming: Organisation
    """The agreement has not begun."""
    stranger: Organisation
    """Nobody here knows it."""


@dataclass
class AtWork:
    """The service, and what it says to everybody."""

    app: FastAPI
    client: httpx.AsyncClient
    database: NodeDatabase
    owner: "asyncpg.Pool[asyncpg.Record]"
    sender: AbstractConnection
    us: OrganisationId
    partner: OrganisationId
    tokens: Mapping[Role, str]
    forwarded: list[AbstractIncomingMessage] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    receipts: list[AbstractIncomingMessage] = field(default_factory=list)

    async def bring(self, *sealed: Sealed) -> None:
        """Publish envelopes as a partner does, in order, confirmed."""
        channel = await self.sender.channel()
        exchange = await channel.get_exchange(places.from_exchange(self.partner), ensure=False)
        for each in sealed:
            message = aio_pika.Message(
                each.envelope,
                message_id=str(each.id),
                headers=dict(each.headers),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, self.us)
        await channel.close()

    def handed_on(self, sealed: Sealed) -> list[AbstractIncomingMessage]:
        """Return how the envelope reached referral, each time that it did."""
        return [each for each in self.forwarded if each.body == sealed.envelope]

    async def went_through(self, sealed: Sealed) -> AbstractIncomingMessage:
        """Wait until the envelope has been handed on, and return it as referral gets it."""
        (once,) = await until(lambda: self.handed_on(sealed), seconds=10, what="the envelope at referral")
        return once

    async def parked(self, sealed: Sealed) -> str:
        """Wait until the envelope is kept back, or the digest of one that is only counted, and return why."""
        query = "SELECT reason FROM held WHERE due_at IS NULL AND (body = $1 OR digest = $2)"

        async def look() -> str:
            digest = sha256(sealed.envelope).digest()
            return str(await self.owner.fetchval(query, sealed.envelope, digest) or "")

        return await until(look, seconds=10, what="the envelope in quarantine")

    async def count(self, table: str) -> int:
        """Return how many rows there are."""
        return int(await self.owner.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - names from the tests

    async def count_is(self, table: str, expected: int) -> bool:
        """Say whether there are so many rows."""
        return await self.count(table) == expected

    async def entries(self, code: str) -> list[str]:
        """Return the audit entries with this code, as they are kept."""
        rows = await self.owner.fetch("SELECT content FROM audit_leaf ORDER BY id")
        texts = [bytes(row["content"])[32:].decode("ascii") for row in rows]
        return [text for text in texts if f'"code":"{code}"' in text]

    async def post(self, sealed: Sealed, **headers: str) -> httpx.Response:
        """Bring an envelope over HTTP."""
        given = {**sealed.headers, "content-type": CONTENT_TYPE, **headers}
        return await self.client.post("/events", content=sealed.envelope, headers=given)

    async def report(self, said: object, **headers: str) -> httpx.Response:
        """Make a report."""
        return await self.client.post("/reports", json=said, headers=headers)


@pytest.fixture(scope="module")
def knocking(broker_pair: BrokerPair, tmp_path_factory: pytest.TempPathFactory) -> Knocking:
    """Make the organisations, with the two of the broker's pair among them."""
    folder = tmp_path_factory.mktemp("organisations")
    others = [OrganisationId(name) for name in ("ancien-fr", "recent-fr", "futur-fr", "inconnu-fr")]
    made = [Organisation.make(folder, name) for name in (broker_pair.abri, broker_pair.ccem, *others)]
    us, partner, former, late, coming, _ = made
    us.agree_with(partner)
    us.agree_with(former, begins=-CONCLUDED_WITHIN - DAY, ends=-CONCLUDED_WITHIN)
    us.agree_with(late, begins=-CONCLUDED_WITHIN, ends=-CONCLUDED_WITHIN + DAY)
    us.agree_with(coming, begins=DAY)
    return Knocking(*made)


@pytest.fixture(scope="module")
async def door(
    broker_pair: BrokerPair, knocking: Knocking, fresh_database: FreshDatabase, moved_clock: Path
) -> AsyncIterator[AtWork]:
    """Run the service for a module's tests."""
    database = await fresh_database("abri-be")
    await bring_up_to_date(database)
    tokens = {role: new_token() for role in (Role.OPERATOR, Role.CASEWORKER)}
    write_staff(knocking.us.folder, tokens)
    settings = settings_of(broker_pair, knocking.us, database, moved_clock)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWAITED_KEYS_SECONDS", "GAPS_SECONDS"):
            patch.setattr(application, name, LOOK_SECONDS)
        async with AsyncExitStack() as stack:
            app = application.create_app(settings)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://door"))
            owner = await asyncpg.create_pool(
                database.dsn(DatabaseRole.OWNER), min_size=1, server_settings={"search_path": SCHEMA}
            )
            stack.push_async_callback(owner.close)
            sender = await aio_pika.connect(broker_pair.exchange_url(broker_pair.ccem, BrokerRole.REFERRAL))
            stack.push_async_callback(sender.close)
            at_work = AtWork(app, client, database, owner, sender, knocking.us.id, knocking.partner.id, tokens)
            await listen(at_work, broker_pair, stack)
            yield at_work


@pytest.fixture(scope="module")
def moved_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that moves the door's clock."""
    return tmp_path_factory.mktemp("clock") / "offset"


@pytest.fixture
def move_clock(moved_clock: Path) -> Iterator[MoveClock]:
    """Give what puts the door's clock forward; afterwards the clock is right again."""

    def forward(offset: timedelta) -> None:
        moved_clock.write_text(str(offset.total_seconds()))

    yield forward
    forward(timedelta())


async def bring_up_to_date(database: NodeDatabase) -> None:
    """Apply every migration of the service."""
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    role = role_name(database.organisation, DatabaseRole.INTAKE)
    await migrate(owner, schema=SCHEMA, role=role, sources=sources(MIGRATIONS))
    await owner.close()


def settings_of(pair: BrokerPair, us: Organisation, database: NodeDatabase, clock_file: Path) -> IntakeSettings:
    """Return what the service is told."""
    return IntakeSettings(
        organisation=us.id,
        folder=us.folder,
        env="test",
        clock_file=clock_file,
        intake_database=SecretStr(database.dsn(DatabaseRole.INTAKE)),
        intake_node_broker=SecretStr(pair.url(us.id, BrokerRole.INTAKE)),
        intake_exchange_broker=SecretStr(pair.exchange_url(us.id, BrokerRole.INTAKE)),
        intake_passphrase=SecretStr(PASSPHRASE),
        intake_events_a_second=1_000,
        intake_reports_a_minute=6_000,
        intake_all_events_a_second=1_000,
        intake_all_reports_a_minute=6_000,
    )


def write_staff(folder: Path, tokens: Mapping[Role, str]) -> None:
    """Write ``staff.json`` with one member for each role."""
    members = [
        StaffMember(id=StaffId(f"member.{role}"), roles=frozenset({role}), token_sha256=token_digest(token))
        for role, token in tokens.items()
    ]
    StaffBook(members).save(folder / "staff.json")


async def listen(door: AtWork, pair: BrokerPair, stack: AsyncExitStack) -> None:
    """Collect what the door says: to referral, to notify, and to the partner."""

    async def collect(url: str, queue_name: str, into: Any) -> None:  # noqa: ANN401 - takes a message
        connection = await aio_pika.connect(url)
        stack.push_async_callback(connection.close)
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name, ensure=False)

        async def take(message: AbstractIncomingMessage) -> None:
            into(message)
            await message.ack()

        await queue.consume(take)

    node_queue = places.node_queue
    await collect(pair.url(door.us, BrokerRole.REFERRAL), node_queue(places.REFERRAL), door.forwarded.append)
    await collect(
        pair.url(door.us, BrokerRole.NOTIFY),
        node_queue(places.NOTIFY),
        lambda message: door.facts.extend(map(Fact.model_validate_json, lines_of(message.body))),
    )
    partner = pair.exchange_url(door.partner, BrokerRole.INTAKE)
    await collect(partner, places.to_queue(door.partner, door.us), door.receipts.append)


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    """Tell whether ``answer`` is the problem with this status and code, and has words."""
    said = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["title"] not in ("", code)
    return (answer.status_code, said["status"], said["code"]) == (status, status, code)
