"""The notify service of one node, with everything around it real: database, broker, mail server, HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from deploy.broker.topology import BrokerRole
from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from services.notify import app
from services.notify.settings import NotifySettings
from services.notify.store.schema import MIGRATIONS, SCHEMA
from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import FactId, StaffId
from shared.contracts.services import API
from shared.messaging import places
from shared.messaging.schema import sources
from shared.sealing.enrol import Choices, make_organisation
from shared.sealing.keyring import Cost, Holder
from shared.staff import STAFF_FILE, Role, StaffBook, StaffMember, new_token, token_digest
from shared.storage.migrate import migrate
from shared.web import opened
from tests.support.feed import FeedReader, follow
from tests.support.mailbox import Mailbox
from tests.support.servers import BrokerPair, FreshDatabase, Rabbit, make_broker_pair
from tests.support.wait import until

PASSPHRASE = "a passphrase for tests"
CHEAP = Choices(cost=Cost(memory_kib=64, iterations=1, lanes=1))
SENDER = "relais@ccem.example.org"
SITE = "https://relais.example.org"
MOST_READERS = 30

ANA = ("ana", {Role.CASEWORKER}, ("fr",))
BRUNO = ("bruno", {Role.CASEWORKER}, ("en", "fr"))
CHLOE = ("chloe", {Role.COORDINATOR}, ("fr",))
DALIA = ("dalia", {Role.OPERATOR}, ("en",))


@dataclass
class Running:
    """The service at work, and a client of its HTTP side."""

    app: FastAPI
    server: uvicorn.Server
    task: asyncio.Task[None]
    client: httpx.AsyncClient

    async def stop(self) -> None:
        """Stop as the node does: streams first."""
        for end in self.app.state.on_stop:
            end()
        self.server.should_exit = True
        await self.task
        await self.client.aclose()


@dataclass
class Node:
    """A node as far as notify sees it."""

    settings: NotifySettings
    database: NodeDatabase
    mailbox: Mailbox
    tokens: dict[str, str]
    senders: Mapping[str, aio_pika.abc.AbstractConnection]
    pool: "asyncpg.Pool[asyncpg.Record]"
    """As the owner of the tables: a test may look at everything."""
    clock_file: Path
    unused: Iterator[int] = field(default_factory=count)
    """Numbers of readers that no test has had yet."""
    _running: list[Running] = field(default_factory=list)

    async def start(self) -> Running:
        """Start the service, or one more process' worth of it."""
        made = app.create_app(self.settings)
        server = uvicorn.Server(
            uvicorn.Config(made, port=0, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
        )
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started or task.done(), seconds=15, what="the service to start")
        assert server.started
        port = server.servers[0].sockets[0].getsockname()[1]
        running = Running(made, server, task, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}{API}", timeout=10))
        self._running.append(running)
        return running

    async def close(self) -> None:
        """Stop what still runs, and let go of everything."""
        for running in self._running:
            await running.stop()
        for sender in self.senders.values():
            await sender.close()
        await self.pool.close()
        await self.mailbox.stop()

    async def tell(self, *facts: Fact) -> None:
        """Put facts on the service's queue, as the referral service does."""
        await self.publish(*(fact.model_dump_json().encode() for fact in facts))

    async def publish(self, *bodies: bytes, speaker: str = places.REFERRAL, **headers: str) -> None:
        """Put anything on the service's queue, as ``speaker`` does, confirmed."""
        channel = await self.senders[speaker].channel()
        exchange = await channel.get_exchange(places.node_exchange(speaker), ensure=False)
        for body in bodies:
            message = aio_pika.Message(
                body,
                headers=dict(headers),
                message_id=str(uuid4()),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, places.NOTIFY)
        await channel.close()

    async def fetch(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return rows of the service's own schema."""
        return [dict(row) for row in await self.pool.fetch(query, *values)]

    async def count(self, table: str) -> int:
        """Return how many rows there are."""
        return int(await self.pool.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - names from the tests

    async def told(self, count: int, staff: str | None = None) -> list[dict[str, Any]]:
        """Wait until there are ``count`` notifications, of everybody or of ``staff``, and return them."""

        async def look() -> list[dict[str, Any]]:
            query = "SELECT * FROM notification WHERE staff = $1 OR $1 IS NULL ORDER BY made_at, staff, place"
            found = await self.fetch(query, staff)
            return found if len(found) == count else []

        return await until(look, seconds=10, what=f"{count} notifications")

    async def mails(self, state: str, count: int) -> list[dict[str, Any]]:
        """Wait until ``count`` mails are in ``state``, and return them."""
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            found[:] = await self.fetch("SELECT * FROM mail WHERE state = $1", state)
            return len(found) == count

        await until(look, seconds=10, what=f"{count} mails {state}")
        return found

    async def cut_database(self, application: str = "notify%") -> None:
        """End the service's connections to the database, all or those of ``application``."""
        admin = await asyncpg.connect(self.database.admin_dsn)
        await admin.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2
            """,
            self.database.name,
            application,
        )
        await admin.close()

    async def let_connect(self, allowed: bool) -> None:  # noqa: FBT001 - what the statement says
        """Let the database take new connections, or none."""
        admin = await asyncpg.connect(self.database.admin_dsn)
        await admin.execute(f"ALTER DATABASE {self.database.name} ALLOW_CONNECTIONS {allowed}")
        await admin.close()

    def pass_time(self, seconds: float) -> None:
        """Move the service's clock on, ``seconds`` from the real time."""
        self.clock_file.write_text(str(seconds))

    @asynccontextmanager
    async def feed(
        self, running: Running, staff: str, path: str = "/feed", **headers: str
    ) -> AsyncIterator[FeedReader]:
        """Follow what ``staff`` is told."""
        async with follow(running.client, self.tokens[staff], path, **headers) as reader:
            yield reader

    async def ask(self, running: Running, method: str, path: str, staff: str | None, **headers: str) -> httpx.Response:
        """Ask something as ``staff``, or as nobody."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if staff is not None:
            named["Authorization"] = f"Bearer {self.tokens[staff]}"
        return await running.client.request(method, path, headers=named)


def a_fact(
    code: FactCode = FactCode.REFERRAL_RECEIVED,
    urgency: Urgency = Urgency.URGENT,
    audience: Audience = Audience.ASSIGNEE,
    assignee: str | None = "ana",
    subject: UUID | None = None,
) -> Fact:
    """Return a fact that has just happened."""
    return Fact(
        id=FactId(uuid4()),
        code=code,
        subject=subject or uuid4(),
        urgency=urgency,
        audience=audience,
        assignee=None if assignee is None else StaffId(assignee),
        at=datetime.now(UTC),
    )


def make_staff(folder: Path, staff: Sequence[tuple[str, set[Role], tuple[str, ...]]]) -> dict[str, str]:
    """Write ``staff.json`` and return everybody's token."""
    tokens = {name: new_token() for name, _, _ in staff}
    StaffBook(
        StaffMember(
            id=StaffId(name),
            roles=frozenset(roles),
            languages=languages,
            email=f"{name}@ccem.example.org",
            token_sha256=token_digest(tokens[name]),
        )
        for name, roles, languages in staff
    ).save(folder / STAFF_FILE)
    return tokens


async def make_database(fresh_database: FreshDatabase) -> NodeDatabase:
    """Make a database in which the service's schema is up to date."""
    database = await fresh_database("ccem-fr")
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    role = role_name(database.organisation, DatabaseRole.NOTIFY)
    await migrate(owner, schema=SCHEMA, role=role, sources=sources(MIGRATIONS))
    await owner.close()
    return database


async def make_node(
    pair: BrokerPair,
    fresh_database: FreshDatabase,
    folder: Path,
    staff: Sequence[tuple[str, set[Role], tuple[str, ...]]] = (ANA, BRUNO, CHLOE, DALIA),
) -> Node:
    """Make everything that a node has before the service starts for the first time."""
    make_organisation(folder / "node", pair.ccem, dict.fromkeys(Holder, PASSPHRASE), datetime.now(UTC), CHEAP)
    tokens = make_staff(folder / "node", staff)
    database = await make_database(fresh_database)
    mailbox = Mailbox()
    await mailbox.start()
    clock_file = folder / "clock"
    settings = NotifySettings.model_validate(
        {
            "organisation": pair.ccem,
            "folder": folder / "node",
            "env": "test",
            "clock_file": clock_file,
            "public_url": SITE,
            "notify_database": database.dsn(DatabaseRole.NOTIFY),
            "notify_node_broker": pair.url(pair.ccem, BrokerRole.NOTIFY),
            "notify_passphrase": PASSPHRASE,
            "notify_smtp": mailbox.address,
            "notify_mail_from": SENDER,
        }
    )
    pool = await asyncpg.create_pool(
        database.dsn(DatabaseRole.OWNER), min_size=1, max_size=4, server_settings={"search_path": SCHEMA}
    )
    roles = (BrokerRole.INTAKE, BrokerRole.REFERRAL)
    senders = {role.value: await aio_pika.connect(pair.url(pair.ccem, role)) for role in roles}
    return Node(settings, database, mailbox, tokens, senders, pool, clock_file)


@pytest.fixture(autouse=True)
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for mail and number the audit log more often than a node does, so that a test waits less."""
    monkeypatch.setattr(app, "MAIL_SECONDS", 0.1)
    monkeypatch.setattr(opened, "SEQUENCER_SECONDS", 0.1)


@pytest.fixture
async def node(broker_pair: BrokerPair, fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Node]:
    """Give a node on which the service is not started yet."""
    async with AsyncExitStack() as closing:
        made = await make_node(broker_pair, fresh_database, tmp_path)
        closing.push_async_callback(made.close)
        yield made


@pytest.fixture
async def service(node: Node) -> Running:
    """Give the service at work."""
    return await node.start()


@dataclass
class Reader:
    """A member of staff whom nobody has told anything yet, at a service that other readers use too."""

    node: Node
    running: Running
    name: str

    async def tell(self, count: int = 1) -> list[Fact]:
        """Tell them of ``count`` facts that only ring, and return those; they may not have arrived yet."""
        facts = [a_fact(FactCode.REFERRAL_OPENED, assignee=self.name) for _ in range(count)]
        await self.node.tell(*facts)
        return facts

    async def told(self, count: int) -> list[dict[str, Any]]:
        """Wait until they have ``count`` notifications."""
        return await self.node.told(count, self.name)

    def feed(self, path: str = "/feed", **headers: str) -> AbstractAsyncContextManager[FeedReader]:
        """Follow what they are told."""
        return self.node.feed(self.running, self.name, path, **headers)

    async def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        """Ask something as them."""
        return await self.node.ask(self.running, method, path, self.name, **headers)

    def another(self) -> "Reader":
        """Return somebody else at the same service."""
        return Reader(self.node, self.running, f"{self.name}-2")


@pytest.fixture(scope="module")
async def house(
    rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Node, Running]]:
    """Give a running service with many members of staff and a queue of its own, for a whole module."""
    names = [name for n in range(MOST_READERS) for name in (f"reader-{n}", f"reader-{n}-2")]
    staff = [(name, {Role.CASEWORKER}, ("fr",)) for name in names]
    pair = make_broker_pair(rabbitmq)
    node = await make_node(pair, fresh_database, tmp_path_factory.mktemp("house"), staff)
    async with AsyncExitStack() as closing:
        closing.callback(pair.remove)
        closing.push_async_callback(node.close)
        yield node, await node.start()


@pytest.fixture
def reader(house: tuple[Node, Running]) -> Reader:
    """Give a reader of the test's own."""
    node, running = house
    return Reader(node, running, f"reader-{next(node.unused)}")
