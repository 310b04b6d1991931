"""Two organisations and a partner without a node, joined by an exchange, all on this machine.

This is what the demo and ``relais up`` run. Each node has a database, a virtual host, keys and staff of its own.
Everything is made afresh in one folder, and every process is our child: when we end, in whatever way, nothing is left
running.
"""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from deploy.broker.definitions import SALT_BYTES, hash_password
from deploy.broker.topology import (
    EXCHANGE_HOST,
    Agreement,
    BrokerRole,
    Member,
    render,
    user_name,
)
from deploy.compose.launch import write_environment
from deploy.local.databases import NodeDatabase, ensure_database
from deploy.local.errors import LocalCode, LocalError
from deploy.local.mail import Mail, mail_catcher
from deploy.local.partner import introduce_partner
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.postgres import postgres
from deploy.local.processes import Kept, Program
from deploy.local.progress import Progress, waiting
from deploy.local.rabbitmq import RabbitServer, rabbitmq
from deploy.nodes import SECRET_BYTES, Made, let_agree, make_node, migrate_node, settings
from shared.clock import Clock
from shared.contracts.ids import OrganisationId
from shared.contracts.services import Service

CCEM: Final = OrganisationId("ccem-fr")
ABRI: Final = OrganisationId("abri-be")
ACCUEIL: Final = OrganisationId("accueil-fr")

NODES: Final = (CCEM, ABRI)
MEMBERS: Final = (Member(CCEM), Member(ABRI), Member(ACCUEIL, has_node=False))
AGREEMENTS: Final[Sequence[Agreement]] = ((CCEM, ABRI), (CCEM, ACCUEIL))
PARTNER_USER: Final = user_name(ACCUEIL, BrokerRole.PARTNER)

SERVICES: Final = tuple(BrokerRole(service) for service in Service)
ENVIRONMENT_FILE: Final = "environment"
READY_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05
PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
"""Of our own environment, what a service may see."""


class Processes(StrEnum):
    """How many processes a node is."""

    THREE = "three"
    ONE = "one"


@dataclass(frozen=True)
class Node:
    """One organisation's node at work."""

    organisation: OrganisationId
    folder: Path
    database: NodeDatabase
    ports: Mapping[BrokerRole, int]
    tokens: Mapping[str, str] = field(repr=False)
    """By member of staff: casework, coordination, operations."""
    environment: Mapping[str, str] = field(repr=False)
    """What the node's services are told, all together."""
    running: Sequence[Kept] = ()

    def url(self, service: BrokerRole) -> str:
        """Return the address of one of the node's services."""
        return f"http://{LOOPBACK}:{self.ports[service]}"


@dataclass(frozen=True)
class Network:
    """Everything that runs."""

    folder: Path
    nodes: Mapping[OrganisationId, Node]
    partner_url: str = field(repr=False)
    """Where the partner system reaches the exchange."""
    mail: Mail
    traces_url: str


@dataclass(frozen=True)
class _Places:
    """Where the servers are: ``host:port``, or an address."""

    broker: str
    database: str
    mail: Mail
    traces_url: str


@dataclass(frozen=True)
class _Running:
    """How every node is run."""

    processes: Processes
    places: _Places
    more: Mapping[str, str]


@contextmanager
def network(
    folder: Path, *, processes: Processes, progress: Progress, more: Mapping[str, str] | None = None
) -> Iterator[Network]:
    """Bring two nodes up and give them when they are ready; take everything down afterwards.

    Args:
        folder: holds everything; there must be no organisation in it yet.
        processes: three for each node, or one.
        progress: told what is waited for.
        more: further settings for the services.

    Raises:
        LocalError: something that is needed is not there, or does not start; the sentence says what helps.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    at = Clock().now()
    partner_password = secrets.token_urlsafe(SECRET_BYTES)
    with ExitStack() as stack, ThreadPoolExecutor() as aside:
        making = {name: aside.submit(make_node, folder / name, name, at) for name in NODES}
        made = {name: making[name].result() for name in NODES}
        broker = aside.submit(lambda: stack.enter_context(_broker(folder, made, partner_password, progress)))
        server = stack.enter_context(postgres(folder / "postgres", progress=progress))
        let_agree(made[CCEM].identity, made[ABRI].identity, {name: folder / name for name in NODES}, at)
        introduce_partner(folder / ACCUEIL, ACCUEIL, folder / CCEM, made[CCEM].identity, at)
        databases = asyncio.run(_databases(server.admin_dsn, made))
        mail = stack.enter_context(mail_catcher(folder / "mail"))
        traces_url = stack.enter_context(_trace_page(folder))
        rabbit = broker.result()
        url = rabbit.url(EXCHANGE_HOST, PARTNER_USER, partner_password)
        places = _Places(_place(url), _place(server.admin_dsn), mail, traces_url)
        running = _Running(processes, places, dict(more or {}))
        nodes = {
            name: stack.enter_context(_node(folder / name, made[name], databases[name], running)) for name in NODES
        }
        with waiting("waiting for the services of both nodes", progress):
            await_ready(nodes.values())
        yield Network(folder, nodes, url, mail, traces_url)


def await_ready(nodes: Iterable[Node]) -> None:
    """Wait until every service of ``nodes`` says that it is ready.

    Raises:
        LocalError: ``server-died`` with the end of a service's log, or ``server-silent``.
    """
    waiting_for = [(node, service) for node in nodes for service in SERVICES]
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(trust_env=False, timeout=2.0) as client:
        while waiting_for:
            waiting_for = [(node, service) for node, service in waiting_for if not _is_ready(client, node, service)]
            if waiting_for and time.monotonic() > deadline:
                named = ", ".join(f"{service} of {node.organisation}" for node, service in waiting_for)
                raise LocalError(LocalCode.SERVER_SILENT, f"not ready after {READY_SECONDS:g} s: {named}")
            if waiting_for:
                time.sleep(LOOK_SECONDS)


def _is_ready(client: httpx.Client, node: Node, service: BrokerRole) -> bool:
    for kept in node.running:
        if not kept.is_running():
            raise kept.failure(LocalCode.SERVER_DIED, "ended")
    try:
        return client.get(f"{node.url(service)}/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _broker(
    folder: Path, made: Mapping[OrganisationId, Made], partner_password: str, progress: Progress
) -> AbstractContextManager[RabbitServer]:
    """Return a broker that has the topology of the agreements from its first moment."""
    passwords = {PARTNER_USER: partner_password} | {
        user_name(name, role): password for name, each in made.items() for role, password in each.broker.items()
    }
    hashes = {name: hash_password(word, secrets.token_bytes(SALT_BYTES)) for name, word in passwords.items()}
    return rabbitmq(folder / "rabbitmq", definitions=render(MEMBERS, AGREEMENTS, hashes), progress=progress)


async def _databases(admin_dsn: str, made: Mapping[OrganisationId, Made]) -> dict[OrganisationId, NodeDatabase]:
    databases = {}
    for name, each in made.items():
        databases[name] = await ensure_database(admin_dsn, name, each.databases)
        await migrate_node(databases[name])
    return databases


@contextmanager
def _trace_page(folder: Path) -> Iterator[str]:
    """Run the trace page for a while and give its address."""
    (port,) = free_ports(1)
    store = folder / "traces.db"
    kept = _keep("traces", folder, ["-m", "deploy.traces", "--port", str(port), "--store", str(store)], _passed_on())
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        kept.stop()


@contextmanager
def _node(folder: Path, made: Made, database: NodeDatabase, how: _Running) -> Iterator[Node]:
    """Run the services of one node for a while, each told what is its own."""
    organisation = made.identity.organisation
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    environment = dict(_settings(folder, made, ports, how.places)) | dict(how.more)
    write_environment(folder / ENVIRONMENT_FILE, environment)
    told: Mapping[str, Mapping[str, str]] = {"services": environment}
    if how.processes is Processes.THREE:
        told = {f"services.{service}": its_own(environment, service) for service in SERVICES}
    with ExitStack() as stack:
        running = []
        for module, its in told.items():
            name = module.rpartition(".")[2]
            running.append(_keep(name, folder, ["-m", module], {**_passed_on(), **its}))
            stack.callback(running[-1].stop)
        yield Node(organisation, folder, database, ports, made.tokens, environment, running)


def its_own(environment: Mapping[str, str], service: BrokerRole) -> dict[str, str]:
    """Return what of a node's ``environment`` a service may know: what is common to all, and its own."""
    others = tuple(f"RELAIS_{other.upper()}_" for other in SERVICES if other is not service)
    return {name: value for name, value in environment.items() if not name.startswith(others)}


def _settings(folder: Path, made: Made, ports: Mapping[BrokerRole, int], places: _Places) -> Iterator[tuple[str, str]]:
    organisation = made.identity.organisation
    yield "RELAIS_ORGANISATION", organisation
    yield "RELAIS_FOLDER", str(folder)
    yield "RELAIS_OTLP_ENDPOINT", places.traces_url
    yield "RELAIS_PUBLIC_URL", f"http://{LOOPBACK}:{ports[BrokerRole.REFERRAL]}/"
    yield "RELAIS_NOTIFY_SMTP", places.mail.url
    yield "RELAIS_NOTIFY_MAIL_FROM", f"relais@{organisation}.example"
    for service in SERVICES:
        yield f"RELAIS_{service.upper()}_PORT", str(ports[service])
        yield from settings(organisation, service, made, database_place=places.database, broker_place=places.broker)


def _keep(name: str, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Kept:
    command = [sys.executable, *arguments]
    return Kept(Program(name, command, dict(environment), folder / f"{name}.log"))


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
