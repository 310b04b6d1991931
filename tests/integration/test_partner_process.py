"""The example partner system as a process, on a real broker: killed in the middle, and everybody arrives."""

import asyncio
import json
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage, FieldValue
from yarl import URL

from deploy.broker.topology import BrokerRole
from examples.partner_system.envelope import read
from examples.partner_system.keys import Kind
from examples.partner_system.store import Outgoing, Referral
from shared.contracts.packet import NOTHING_DISCLOSED
from shared.messaging import places
from shared.sealing.suites import KeyKind
from tests.support.day_centre import EXAMPLES, Acquainted, House, Parcel, acquaint, said
from tests.support.servers import BrokerPair, Rabbit, make_broker_pair

REPOSITORY = Path(__file__).parents[2]
ACCEPTED: dict[str, object] = {"meeting": {"withheld": ["when", "where", "who"]}}
ANSWERS: dict[str, list[tuple[str, dict[str, object]]]] = {
    "referral.offered.v1": [("opened", {}), ("asked", {"question": "Where is the person now?"})],
    "referral.answered.v1": [("accepted", ACCEPTED)],
    "referral.disclosed.v1": [("arrived", {})],
}
"""What the house says to each thing that the centre says."""


@pytest.fixture
def broker_pair(rabbitmq: Rabbit) -> Iterator[BrokerPair]:
    """Give each test a pair of its own, in which the centre has an agreement with ccem."""
    pair = make_broker_pair(rabbitmq)
    pair.agree((pair.ccem, pair.accueil))
    yield pair
    pair.remove()


@pytest.fixture
def two(broker_pair: BrokerPair, tmp_path: Path) -> Acquainted:
    """Let the two become partners on paper."""
    both = acquaint(tmp_path, Kind.X25519, KeyKind.X25519, broker_pair.accueil, broker_pair.ccem)
    both.centre.store.close()
    return both


@dataclass
class Staffed:
    """A house whose staff answers everything at once, and gives receipts; it keeps each message that it got."""

    house: House
    exchange: AbstractExchange
    to: str
    got: dict[str, Any] = field(default_factory=dict)
    lanes: dict[str, int] = field(default_factory=dict)
    events: set[UUID] = field(default_factory=set)

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Read what came, give a receipt, and say what follows."""
        header = read(message.body).header
        made = Outgoing(header.id, header.recipient, "", header.sequence, message.body, header.expires, None, "")
        event, fresh = self.house.open(made), header.id not in self.got
        self.got[header.id] = event
        if event.type != "receipt.given.v1":
            await self.send(self.house.receipt(made))
        if fresh and event.type in ANSWERS:
            referral = Referral(str(event.referral), str(event.conversation), "", "")
            for step, data in ANSWERS[event.type]:
                self.lanes[referral.id] = number = self.lanes.get(referral.id, 0) + 1
                parcel = self.house.seal(said(referral, step, number, event.n, data))
                await self.send(parcel)
                await self.send(parcel)  # delivery is at least once
                self.events.add(UUID(parcel.labels["ce-id"]))
        await message.ack()

    async def send(self, parcel: Parcel) -> None:
        """Publish an envelope to the centre."""
        headers: dict[str, FieldValue] = dict(parcel.labels)
        message = aio_pika.Message(parcel.raw, headers=headers, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.exchange.publish(message, self.to, mandatory=True)


@asynccontextmanager
async def staffed(pair: BrokerPair, house: House) -> AsyncIterator[Staffed]:
    """Open the house."""
    async with (
        await aio_pika.connect(pair.exchange_url(pair.ccem, BrokerRole.INTAKE)) as hearing,
        await aio_pika.connect(pair.exchange_url(pair.ccem, BrokerRole.REFERRAL)) as speaking,
    ):
        exchange = await (await speaking.channel()).get_exchange(places.from_exchange(pair.ccem), ensure=False)
        at_work = Staffed(house, exchange, pair.accueil)
        queue = await (await hearing.channel()).get_queue(places.to_queue(pair.ccem, pair.accueil), ensure=False)
        tag = await queue.consume(at_work.take)
        yield at_work
        await queue.cancel(tag)


async def start(pair: BrokerPair, two: Acquainted, files: list[Path], *more: str) -> Process:
    """Start the program on some referrals."""
    arguments = [
        *("refer", "--folder", str(two.centre.folder.path), "--partner-keys", str(two.house_keys), "--to", pair.ccem),
        *("--broker", pair.exchange_url(pair.accueil, BrokerRole.PARTNER), "--timeout", "40", *more, "--referral"),
    ]
    command = (sys.executable, "-m", "examples.partner_system", *arguments, *map(str, files))
    return await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdout=PIPE, stderr=PIPE)


async def until_said(process: Process, event: str) -> list[dict[str, Any]]:
    """Read the program's lines up to the first of an event."""
    lines: list[dict[str, Any]] = []
    assert process.stdout
    while not lines or lines[-1]["event"] != event:
        line = await process.stdout.readline()
        assert line, "the program ended before"
        lines.append(json.loads(line))
    return lines


async def ended(process: Process) -> tuple[int, list[dict[str, Any]], bytes]:
    """Wait for the end; return the exit code, the lines, and what went wrong."""
    out, errors = await process.communicate()
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], errors


async def test_everybody_arrives_though_the_program_is_killed(broker_pair: BrokerPair, two: Acquainted) -> None:
    files = EXAMPLES[:5]
    async with staffed(broker_pair, two.house) as house:
        first = await start(broker_pair, two, files)
        before = await until_said(first, "referral.answered.v1")
        first.kill()
        await first.wait()
        code, after, errors = await ended(await start(broker_pair, two, files))
    assert (code, errors) == (0, b"")
    assert after[-1] | {"elapsed_ms": 0} == {"event": "done", "arrived": 5, "of": 5, "elapsed_ms": 0}
    offered = [line["referral"] for line in before if line["event"] == "referral.offered.v1"]
    assert sorted(line["referral"] for line in after if line["event"] == "resumed") == sorted(offered)
    heard = [event for event in house.got.values() if event.type != "receipt.given.v1"]
    numbers = sorted((str(event.referral), event.n) for event in heard if str(event.referral) in offered)
    assert numbers == [(referral, n) for referral in sorted(offered) for n in (1, 2, 3)]
    everything = json.dumps([*before, *after], ensure_ascii=False)
    for path in files:
        identity = json.loads(path.read_text())["disclosure"]["packet"]["identity"]
        assert identity["given_names"] not in everything


@asynccontextmanager
async def wire(to: URL) -> AsyncIterator[tuple[URL, list[StreamWriter]]]:
    """Lead to a broker through a wire of our own; give its address, and what must be closed to cut it."""
    ends: list[StreamWriter] = []

    async def connect(reader: StreamReader, writer: StreamWriter) -> None:
        assert to.host
        onward, back = await asyncio.open_connection(to.host, to.port)
        ends.extend((writer, back))
        await asyncio.gather(carry(reader, back), carry(onward, writer))

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while octets := await reader.read(65536):
                writer.write(octets)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield to.with_port(server.sockets[0].getsockname()[1]), ends


async def test_a_broker_that_is_lost_is_found_again(broker_pair: BrokerPair, two: Acquainted) -> None:
    url = URL(broker_pair.exchange_url(broker_pair.accueil, BrokerRole.PARTNER))
    async with wire(url) as (led, ends), staffed(broker_pair, two.house):
        process = await start(broker_pair, two, EXAMPLES[8:10], "--broker", str(led))
        before = await until_said(process, "referral.opened.v1")
        for end in ends:
            end.close()
        code, after, errors = await ended(process)
    assert (code, errors) == (0, b"")
    events = [line["event"] for line in (*before, *after)]
    assert "broker-away" in events
    assert events.count("referral.arrived.v1") == 2


async def test_everybody_gets_a_receipt_for_what_they_said(broker_pair: BrokerPair, two: Acquainted) -> None:
    async with staffed(broker_pair, two.house) as house:
        code, lines, _ = await ended(await start(broker_pair, two, EXAMPLES[5:6]))
    assert code == 0
    given = {event.data.message for event in house.got.values() if event.type == "receipt.given.v1"}
    assert len(house.events & given) == 4  # opened, asked, accepted, arrived
    receipts = [line["of"] for line in lines if line["event"] == "receipt.given.v1"]
    assert sorted(receipts) == ["referral.answered.v1", "referral.disclosed.v1", "referral.offered.v1"]


async def test_nobody_answers(broker_pair: BrokerPair, two: Acquainted) -> None:
    process = await start(broker_pair, two, EXAMPLES[6:7], "--timeout", "1", "--withdraw")
    lines = await until_said(process, "referral.withdrawn.v1")
    assert "time-out" in [line["event"] for line in lines]
    async with staffed(broker_pair, two.house) as house:
        code, rest, _ = await ended(process)
        said = [event for event in house.got.values() if event.type != "receipt.given.v1"]
    assert code == 1
    assert {event.type for event in said} == {"referral.offered.v1", "referral.withdrawn.v1"}
    *_, last = (event for event in said if event.type == "referral.offered.v1")
    assert last.data.packet == NOTHING_DISCLOSED, "what was on the wire already cannot be called back"
    assert rest[-1]["arrived"] == 0


async def test_a_broker_that_is_away_is_waited_for(two: Acquainted, broker_pair: BrokerPair) -> None:
    url = "amqp://accueil:a-password@127.0.0.1:1/exchange"
    process = await start(broker_pair, two, EXAMPLES[7:8], "--broker", url, "--timeout", "1")
    code, lines, errors = await ended(process)
    assert (code, errors) == (1, b"")
    assert [line["event"] for line in lines] == ["referral.offered.v1", "broker-away", "time-out", "done"]


async def test_a_wrong_command_is_one_code(two: Acquainted, broker_pair: BrokerPair, tmp_path: Path) -> None:
    malformed = tmp_path / "a.json"
    malformed.write_text('{"reference": "Canary Name"}')
    code, lines, errors = await ended(await start(broker_pair, two, [malformed]))
    assert (code, errors) == (2, b"")
    assert lines[0]["code"] == "referral-file-malformed"
