"""One private PostgreSQL and one private RabbitMQ for a whole test run, started when the first test asks for them.

Tests share the servers, never what is on them: `broker_pair` gives a module organisations, users and virtual hosts of
its own, `fresh_database` a database of its own.
"""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest

from deploy.broker import management
from deploy.broker.definitions import SALT_BYTES, Definitions, PasswordHash, UserName, VirtualHost, hash_password
from deploy.broker.topology import Agreement, BrokerRole, Limits, Member, node_host, render, user_name, users_of
from deploy.local.databases import NodeDatabase, drop_database, ensure_database
from deploy.local.postgres import GivenPostgres, PrivatePostgres
from deploy.local.postgres import postgres as run_postgres
from deploy.local.progress import on_screen
from deploy.local.rabbitmq import ADDRESS_VARIABLE, GivenRabbit, PrivateRabbit
from deploy.local.rabbitmq import rabbitmq as run_rabbitmq
from deploy.local.rabbitmq_binaries import find_binaries
from shared.contracts.ids import OrganisationId

Postgres: TypeAlias = GivenPostgres | PrivatePostgres
Rabbit: TypeAlias = GivenRabbit | PrivateRabbit
FreshDatabase: TypeAlias = Callable[[str], Awaitable[NodeDatabase]]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch RabbitMQ now, where it is not on this machine: before the first test, whose time-out is for the test."""
    asked = any("rabbitmq" in getattr(item, "fixturenames", ()) for item in session.items)
    if asked and not session.config.option.collectonly and ADDRESS_VARIABLE not in os.environ:
        find_binaries(progress=on_screen)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Give the PostgreSQL of this test run."""
    with run_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """Give the RabbitMQ of this test run."""
    with run_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="session")
async def fresh_database(postgres: Postgres) -> AsyncIterator[FreshDatabase]:
    """Give a coroutine function that takes an organisation's id and makes it a new, empty database.

    The organisation's id gets a random part, so that two calls never meet; read it from the result.
    """
    made: list[NodeDatabase] = []

    async def make(organisation: str) -> NodeDatabase:
        made.append(await ensure_database(postgres.admin_dsn, unique(organisation)))
        return made[-1]

    yield make
    if isinstance(postgres, GivenPostgres):
        for node in made:
            await drop_database(node)


@dataclass(frozen=True)
class BrokerPair:
    """Two organisations with nodes and a partner without one on a broker; the first two have an agreement."""

    server: Rabbit
    exchange: VirtualHost
    ccem: OrganisationId
    abri: OrganisationId
    accueil: OrganisationId
    limits: Limits
    passwords: Mapping[UserName, str] = field(repr=False)
    hashes: Mapping[UserName, PasswordHash] = field(repr=False)

    @property
    def members(self) -> tuple[Member, ...]:
        """The three."""
        return (Member(self.ccem), Member(self.abri), Member(self.accueil, has_node=False))

    def url(self, organisation: OrganisationId, role: BrokerRole, host: VirtualHost | None = None) -> str:
        """Return the AMQP address as ``role``: on the organisation's node, or on ``host``."""
        user = user_name(organisation, role)
        return self.server.url(host or node_host(organisation), user, self.passwords[user])

    def exchange_url(self, organisation: OrganisationId, role: BrokerRole) -> str:
        """Return the AMQP address as ``role`` on the exchange."""
        return self.url(organisation, role, self.exchange)

    def definitions(self, *agreements: Agreement) -> Definitions:
        """Return the topology of the three with these ``agreements``."""
        return render(self.members, agreements, self.hashes, exchange_host=self.exchange, limits=self.limits)

    def agree(self, *agreements: Agreement) -> management.Removed:
        """Put ``agreements`` in force, and no others."""
        return management.apply(self.server.admin_url, self.definitions(*agreements))

    def remove(self) -> None:
        """Take everything of the three off the broker."""
        with management.Management(self.server.admin_url) as broker:
            for host in (self.exchange, node_host(self.ccem), node_host(self.abri)):
                broker.delete("vhosts", host)
            for name in users_of(self.members):
                broker.delete("users", name)


def make_broker_pair(server: Rabbit, limits: Limits | None = None) -> BrokerPair:
    """Put a new pair on ``server``, with an agreement between ccem and abri; in about a tenth of a second."""
    mark = secrets.token_hex(3)
    ccem, abri, accueil = (unique(name, mark) for name in ("ccem-fr", "abri-be", "accueil-fr"))
    names = users_of([Member(ccem), Member(abri), Member(accueil, has_node=False)])
    passwords = {name: secrets.token_urlsafe(24) for name in names}
    hashes = {name: hash_password(word, secrets.token_bytes(SALT_BYTES)) for name, word in passwords.items()}
    host = VirtualHost(f"exchange-{mark}")
    pair = BrokerPair(server, host, ccem, abri, accueil, limits or Limits(), passwords, hashes)
    pair.agree((ccem, abri))
    return pair


@pytest.fixture(scope="module")
def broker_pair(rabbitmq: Rabbit) -> Iterator[BrokerPair]:
    """Give a module's tests a pair of their own; whoever changes its agreements makes one with `make_broker_pair`."""
    pair = make_broker_pair(rabbitmq)
    yield pair
    pair.remove()


def unique(organisation: str, mark: str | None = None) -> OrganisationId:
    """Return an id like ``organisation`` that no other test has: ``ccem-fr`` becomes ``ccem-5f0a1b-fr``."""
    slug, _, country = organisation.rpartition("-")
    return OrganisationId(f"{slug}-{mark or secrets.token_hex(3)}-{country}")
