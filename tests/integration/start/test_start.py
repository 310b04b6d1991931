"""Real processes that cannot begin, each with one clear line and an exit code; and real ones that can.

Each fault is tried with the three services in processes of their own and with all three in one.
"""

import asyncio
import os
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.broker.management import Management
from deploy.broker.topology import BrokerRole, node_host
from deploy.local.databases import DatabaseRole, NodeDatabase
from deploy.local.ports import free_ports
from deploy.nodes import make_node, migrate_node
from shared.clock import Clock
from shared.sealing.keyring import Holder
from tests.architecture.test_watching import alerts
from tests.support.servers import BrokerPair, FreshDatabase, Rabbit, make_broker_pair
from tests.support.wait import until

REPOSITORY = Path(__file__).parents[3]
SERVICES = ("intake", "referral", "notify")
PROCESSES = (*SERVICES, "services")
SECRET = "Canary-" + secrets.token_hex(4)


@dataclass(frozen=True)
class Ended:
    """A process that has ended by itself."""

    code: int
    lines: list[str]

    @property
    def last(self) -> str:
        """Its last word, without the log before it."""
        return self.lines[-1]


@dataclass
class Told:
    """What the services of a node are told, when everything is as it must be."""

    environment: Mapping[str, str]
    pair: BrokerPair
    running: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def begin(self, process: str, **changes: str | None) -> asyncio.subprocess.Process:
        """Start a process; a change to ``None`` takes a variable away."""
        environment = {"PATH": os.environ["PATH"], **self.environment} | changes
        begun = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            process if process == "services" else f"services.{process}",
            cwd=REPOSITORY,
            env={name: value for name, value in environment.items() if value is not None},
            stderr=asyncio.subprocess.PIPE,
        )
        self.running.append(begun)
        return begun

    async def end(self, process: str, **changes: str | None) -> Ended:
        """Start a process and wait until it has ended by itself."""
        begun = await self.begin(process, **changes)
        _, said = await asyncio.wait_for(begun.communicate(), 40)
        text = said.decode()
        assert SECRET not in text
        assert "Traceback" not in text
        return Ended(begun.returncode or 0, text.splitlines())

    async def all_end(self, **changes: str | None) -> dict[str, Ended]:
        """Do so with each process."""
        ended = await asyncio.gather(*(self.end(process, **changes) for process in PROCESSES))
        return dict(zip(PROCESSES, ended, strict=True))


def told_of(pair: BrokerPair, database: NodeDatabase, folder: Path) -> dict[str, str]:
    """Make a node and return what its services are told."""
    made = make_node(folder, pair.ccem, Clock().now())
    told = {
        "RELAIS_ORGANISATION": pair.ccem,
        "RELAIS_FOLDER": str(folder),
        "RELAIS_NOTIFY_SMTP": "smtp://127.0.0.1:9",
        "RELAIS_NOTIFY_MAIL_FROM": "relais@ccem.example",
    }
    for service in SERVICES:
        prefix = f"RELAIS_{service.upper()}"
        role = BrokerRole(service)
        told |= {
            f"{prefix}_DATABASE": database.dsn(DatabaseRole(service)),
            f"{prefix}_NODE_BROKER": pair.url(pair.ccem, role),
            f"{prefix}_PASSPHRASE": made.passphrases[Holder(service)],
            f"{prefix}_PORT": "0",
        }
        if service != "notify":
            told[f"{prefix}_EXCHANGE_BROKER"] = pair.exchange_url(pair.ccem, role)
    return told


def for_each(name: str, value: str | None) -> dict[str, str | None]:
    """Return the change of one setting of each service."""
    return {f"RELAIS_{service.upper()}_{name}": value for service in SERVICES}


@pytest.fixture(scope="module")
async def told(
    rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Told]:
    """Give what the services of a node are told."""
    pair = make_broker_pair(rabbitmq)
    database = await fresh_database("ccem-fr")
    await migrate_node(database)
    told = Told(told_of(pair, database, tmp_path_factory.mktemp("node")), pair)
    yield told
    for process in told.running:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    pair.remove()


SELECTOR = re.compile(r"\b(relais_\w+)(?:\{([^}]*)\})?")


def watched() -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Return each series that an alarm asks for: its name, and the labels that it names."""
    labels = re.compile(r'(\w+)="([^"]*)"')
    return {
        (name, frozenset(labels.findall(said)))
        for rule in alerts()
        for name, said in SELECTOR.findall(str(rule["expr"]))
    }


def absent(exported: str) -> set[str]:
    """Return the series that an alarm asks for, and that are not among what is ``exported``."""
    samples = [each for family in text_string_to_metric_families(exported) for each in family.samples]
    return {
        name
        for name, labels in watched()
        if not any(each.name == name and labels <= each.labels.items() for each in samples)
    }


async def test_what_is_not_set_is_named_in_one_line(told: Told) -> None:
    ended = await told.all_end(**for_each("DATABASE", None))
    for process in SERVICES:
        [line] = ended[process].lines
        assert line.startswith(f"setting-missing: RELAIS_{process.upper()}_DATABASE is not set")
    assert len(ended["services"].lines) == 3
    assert {each.code for each in ended.values()} == {2}


async def test_nothing_set_at_all_is_one_line_too(told: Told) -> None:
    ended = await told.end("notify", **dict.fromkeys(told.environment))
    [line] = ended.lines
    assert "RELAIS_ORGANISATION, RELAIS_FOLDER, RELAIS_NOTIFY_DATABASE" in line
    assert "are not set" in line


@pytest.mark.parametrize(
    ("process", "changes", "code"),
    [
        ("intake", {"RELAIS_INTAKE_PORT": SECRET}, "wrong-form"),
        ("intake", {"RELAIS_INTAKE_FORMS": SECRET}, "not JSON"),
        ("referral", {"RELAIS_REFERRAL_TIME_ZONE": SECRET}, "time-zone-unknown"),
        ("referral", {"RELAIS_CLOCK_FILE": SECRET}, "clock-file-in-tests-only"),
        ("notify", {"RELAIS_NOTIFY_MAIL_FROM": SECRET}, "wrong-form"),
        ("services", {"RELAIS_ORGANISATION": SECRET}, "wrong-form"),
    ],
)
async def test_what_is_set_wrongly_is_named_and_not_repeated(
    told: Told, process: str, changes: dict[str, str], code: str
) -> None:
    ended = await told.end(process, **changes)
    assert ended.code == 2
    named = {line.split(":")[1].split()[0] for line in ended.lines}
    assert named <= {"RELAIS_CLOCK_FILE", "RELAIS_ENV", *changes}
    assert all(line.startswith("setting-wrong: ") and code in line for line in ended.lines)


async def test_a_wrong_passphrase_is_said(told: Told) -> None:
    for process, ended in (await told.all_end(**for_each("PASSPHRASE", SECRET))).items():
        assert ended.code == 1, process
        assert ended.last.startswith("keyring-wrong-passphrase: ")
        assert "_PASSPHRASE does not open the keyring" in ended.last


async def test_a_login_that_the_broker_refuses_is_said(told: Told) -> None:
    url = httpx.URL(told.environment["RELAIS_NOTIFY_NODE_BROKER"]).copy_with(password=SECRET)
    for process, ended in (await told.all_end(**for_each("NODE_BROKER", str(url)))).items():
        assert ended.code == 1, process
        assert ended.last.startswith("broker-refused-login: ")
        assert "_NODE_BROKER" in ended.last


async def test_a_login_that_the_database_refuses_is_said(told: Told) -> None:
    url = httpx.URL(told.environment["RELAIS_NOTIFY_DATABASE"]).copy_with(password=SECRET)
    for process, ended in (await told.all_end(**for_each("DATABASE", str(url)))).items():
        assert ended.code == 1, process
        assert ended.last.startswith("database-refused-login: ")


async def test_what_is_no_address_of_a_database_is_said_and_not_repeated(told: Told) -> None:
    for process, ended in (await told.all_end(**for_each("DATABASE", f"postgresql://u:{SECRET}/@127.0.0.1/n"))).items():
        assert ended.code == 1, process
        assert ended.last.startswith("database-address-malformed: ")


async def test_a_port_that_is_taken_is_said_before_anything_starts(told: Told) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        changes = for_each("PORT", str(other.getsockname()[1]))
        for process, ended in (await told.all_end(**changes)).items():
            assert ended.code == 1, process
            [line] = ended.lines
            assert line.startswith("port-taken: ")
            assert "_PORT" in line


async def test_a_schema_that_is_not_up_to_date_is_said(
    told: Told, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    empty = Told(told_of(told.pair, await fresh_database("ccem-fr"), tmp_path / "node"), told.pair)
    for process, ended in (await empty.all_end()).items():
        assert ended.code == 1, process
        assert ended.last.startswith("migration-missing: ")


async def test_a_topology_that_is_missing_is_said(told: Told, rabbitmq: Rabbit) -> None:
    bare = make_broker_pair(rabbitmq)
    roles = {service: BrokerRole(service) for service in SERVICES}
    brokers = {f"RELAIS_{service.upper()}_NODE_BROKER": bare.url(bare.ccem, role) for service, role in roles.items()}
    with Management(rabbitmq.admin_url) as broker:
        broker.delete("exchanges", node_host(bare.ccem), "from.referral")
        broker.delete("exchanges", node_host(bare.ccem), "from.intake")
        broker.delete("queues", node_host(bare.ccem), "notify.in")
    for process, ended in (await told.all_end(**brokers)).items():
        assert ended.code == 1, process
        assert ended.last.startswith("broker-topology-missing: ")
    bare.remove()


@pytest.mark.parametrize("process", PROCESSES)
async def test_with_everything_in_place_it_begins_and_ends_when_told(told: Told, process: str) -> None:
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    begun = await told.begin(process, **{f"RELAIS_{name.upper()}_PORT": str(port) for name, port in ports.items()})
    expected = SERVICES if process == "services" else (process,)
    async with httpx.AsyncClient(trust_env=False) as client:

        async def are_ready() -> bool:
            try:
                answers = [await client.get(f"http://127.0.0.1:{ports[name]}/health/ready") for name in expected]
            except httpx.TransportError:
                return False
            return all(answer.status_code == httpx.codes.OK for answer in answers)

        await until(are_ready, seconds=30, what=f"{process} is ready")
    begun.terminate()
    _, said = await asyncio.wait_for(begun.communicate(), 20)
    assert begun.returncode == 0
    assert said.decode().count('"event": "service.stopped"') == len(expected)


async def test_each_series_that_an_alarm_asks_for_is_there_from_the_start(told: Told) -> None:
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    await told.begin("services", **{f"RELAIS_{name.upper()}_PORT": str(port) for name, port in ports.items()})
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:

        async def exported() -> str:
            return (await client.get(f"http://127.0.0.1:{ports['notify']}/metrics")).text

        async def all_there() -> bool:
            try:
                return not absent(await exported())
            except httpx.TransportError:
                return False

        await until(all_there, seconds=30, what="every series is there")
        families = text_string_to_metric_families(await exported())
    counted = [each for family in families if family.type == "counter" for each in family.samples]
    begun = {name for name, _ in watched()} & {each.name for each in counted}
    assert begun == {
        "relais_messages_handled_total",
        "relais_receipts_total",
        "relais_rounds_failed_total",
        "relais_sequence_gaps_total",
        "relais_telemetry_dropped_total",
        "relais_unreadable_documents_total",
    }
    assert {(each.name, each.value) for each in counted if each.name in begun} == {(name, 0) for name in begun}
