"""A desk at work: the referral service with its own database and broker users, and partners whose part a test plays."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import httpx
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from fastapi import FastAPI
from pydantic import BaseModel, SecretStr

from deploy.broker.topology import BrokerRole
from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from services.referral.app import create_app
from services.referral.settings import ReferralSettings
from services.referral.store.schema import MIGRATIONS, SCHEMA
from shared.contracts.codes import Category, Purpose, RecipientKind, ReferralKind, Status, Step, Urgency
from shared.contracts.event import Event, EventId
from shared.contracts.event_data import EventData, Meeting, OfferedData, Terms
from shared.contracts.exchange import EVENTS, ReferralEvent, ReferralOffered
from shared.contracts.exchange import decode as decode_event
from shared.contracts.facts import Fact
from shared.contracts.ids import ConversationId, MessageId, OrganisationId, ReferralId, StaffId
from shared.contracts.packet import Packet
from shared.contracts.receipt import ReceiptGiven, ReceiptGivenData
from shared.contracts.services import API
from shared.messaging import places
from shared.messaging.fact_letters import lines_of
from shared.messaging.places import VERDICT, VERIFIED
from shared.messaging.schema import sources
from shared.sealing.envelope import Envelope, open_body, parse
from shared.sealing.keyring import Holder, Keyring
from shared.sealing.keys import KeyPurpose
from shared.sealing.receipts import Receipt, make_receipt
from shared.staff import Role, StaffBook, StaffMember, new_token, token_digest
from shared.storage.migrate import migrate
from tests.support.partners import PASSPHRASE, Organisation, Sealed, Sender
from tests.support.referrals import CANARY, packet, summary
from tests.support.servers import BrokerPair, FreshDatabase
from tests.support.wait import until

STAFF: Mapping[str, Role] = {
    "noor": Role.CASEWORKER,
    "coralie": Role.COORDINATOR,
    "vic": Role.VOLUNTEER,
    "otto": Role.OPERATOR,
    "dana": Role.DATA_PROTECTION_OFFICER,
}


def meeting() -> Meeting:
    """Return a meeting of tomorrow; what may be secret is a canary."""
    return Meeting(when=datetime.now(UTC) + timedelta(days=1), where=CANARY, who=CANARY)


@dataclass
class Partner:
    """An organisation whose part the test plays: it seals with real keys, and opens what is sealed for it."""

    organisation: Organisation
    voice: Sender
    """Its referral service, speaking to the desk under test."""
    door: Sender
    """Its intake."""
    keyring: Keyring
    came: list[AbstractIncomingMessage] = field(default_factory=list)
    """Everything that has come to it on the exchange …"""
    opened: list[tuple[Envelope, Event]] = field(default_factory=list)
    """… and what of it was opened: each once, or a long session would do nothing else."""

    @classmethod
    def of(cls, organisation: Organisation, us: Organisation) -> "Partner":
        """Let ``organisation`` speak to ``us``."""
        voice = Sender.of(organisation, us)
        door = Sender.of(organisation, us, KeyPurpose.RECEIPT)
        return cls(organisation, voice, door, organisation.keyring(Holder.REFERRAL))

    @property
    def id(self) -> OrganisationId:
        """Who it is."""
        return self.organisation.id

    def heard(self, referral: UUID | None = None) -> list[tuple[Envelope, ReferralEvent]]:
        """Return what it was told, opened: all of it, or what is about one referral."""
        for message in self.came[len(self.opened) :]:
            envelope = parse(message.body)
            body = open_body(envelope, self.keyring.inbox_key(envelope.header.inbox_keys, envelope.suite))
            self.opened.append((envelope, decode_event(body)))
        return [
            (envelope, event)
            for envelope, event in self.opened
            if isinstance(event, ReferralEvent) and referral in (None, event.referral)
        ]

    async def told(self, referral: UUID, step: Step) -> tuple[Envelope, ReferralEvent]:
        """Wait until it is told ``step`` of a referral."""

        def look() -> list[tuple[Envelope, ReferralEvent]]:
            return [each for each in self.heard(referral) if each[1].step is step]

        return (await until(look, seconds=10, what=f"{step} of a referral at its partner"))[-1]


@dataclass
class DeskAtWork:
    """The service, and what it says to everybody."""

    app: FastAPI
    client: httpx.AsyncClient
    database: NodeDatabase
    owner: "asyncpg.Pool[asyncpg.Record]"
    intake: AbstractConnection
    us: Organisation
    partner: Partner
    other: Partner
    tokens: Mapping[str, str]
    clock_file: Path
    settings: ReferralSettings
    facts: list[Fact] = field(default_factory=list)
    raw_facts: list[AbstractIncomingMessage] = field(default_factory=list)

    def take_fact(self, message: AbstractIncomingMessage) -> None:
        """Take what notify is told."""
        self.raw_facts.append(message)
        self.facts += map(Fact.model_validate_json, lines_of(message.body))

    async def bring(self, *sealed: Sealed, verdict: str | None = VERIFIED) -> None:
        """Hand envelopes on as our intake does, in order, confirmed."""
        channel = await self.intake.channel()
        exchange = await channel.get_exchange(places.node_exchange(places.INTAKE), ensure=False)
        for each in sealed:
            message = aio_pika.Message(
                each.envelope,
                message_id=str(each.id),
                headers={VERDICT: verdict} if verdict else {},
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, places.REFERRAL)
        await channel.close()

    async def hear(self, event: Event, by: Sender | None = None) -> Sealed:
        """Let the partner (or the hand ``by``) say ``event``."""
        sealed = (by or self.partner.voice).seal(event.model_dump_json(exclude_none=True).encode())
        await self.bring(sealed)
        return sealed

    async def take_receipt(self, envelope: Envelope) -> None:
        """Let the partner's intake give a receipt for an envelope that has come to it."""
        sealed = sha256(raw_of(self.partner, envelope)).digest()
        await self.hear(given(self.partner, receipt(self.partner, self, envelope.header.id, sealed)), self.partner.door)

    async def parked(self, sealed: Sealed) -> str:
        """Wait until an envelope is kept back, and return why."""
        query = "SELECT reason FROM held WHERE body = $1 AND due_at IS NULL"

        async def look() -> str:
            return str(await self.owner.fetchval(query, sealed.envelope) or "")

        return await until(look, seconds=10, what="the envelope parked")

    async def waits(self, sealed: Sealed) -> str:
        """Wait until an envelope is held for later, and return why."""
        query = "SELECT reason FROM held WHERE body = $1 AND due_at IS NOT NULL"

        async def look() -> str:
            return str(await self.owner.fetchval(query, sealed.envelope) or "")

        return await until(look, seconds=10, what="the envelope held")

    async def addressed(self, path: str) -> str:
        """Return a path that names a referral by its exchange id, as partners do, with the alias that the API takes."""
        named = re.match("/referrals/([0-9a-f-]{36})", path)
        alias = await self.alias_of(UUID(named[1])) if named else None
        return path if named is None or alias is None else path.replace(named[1], str(alias))

    async def alias_of(self, referral: UUID) -> UUID | None:
        """Return what the desk's own people call a referral that is there."""
        alias: UUID | None = await self.owner.fetchval("SELECT alias FROM referral WHERE id = $1", referral)
        return alias

    async def get(self, path: str, by: str = "noor") -> httpx.Response:
        """Ask for something."""
        return await self.client.get(await self.addressed(path), headers=self.signed_in(by))

    async def post(self, path: str, body: object = None, by: str = "noor", **headers: str) -> httpx.Response:
        """Ask that something be done."""
        content = body.model_dump(mode="json", exclude_none=True) if isinstance(body, BaseModel) else body
        return await self.client.post(
            await self.addressed(path), json=content, headers={**self.signed_in(by), **headers}
        )

    def signed_in(self, by: str) -> dict[str, str]:
        """Return the header with which a member of staff is known."""
        return {"Authorization": f"Bearer {self.tokens[by]}"}

    async def do(self, referral: UUID, step: str, body: object = None) -> dict[str, Any]:
        """Do ``step`` about a referral, and return what is shown then."""
        answer = await self.post(f"/referrals/{referral}/{step}", body)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def status(self, referral: UUID) -> Status | None:
        """Return where a referral stands."""
        answer = await self.get(f"/referrals/{referral}")
        return Status(answer.json()["status"]) if answer.status_code == 200 else None

    async def stands(self, referral: UUID, status: Status) -> None:
        """Wait until a referral stands at ``status``."""

        async def look() -> bool:
            return await self.status(referral) is status

        await until(look, seconds=10, what=f"a referral that is {status}")

    async def new_case(self, *categories: Category) -> UUID:
        """Open a case that holds these categories, or all of them."""
        opened = await self.post("/cases")
        assert opened.status_code == 201, opened.text
        case = UUID(opened.json()["id"])
        for category, part in packet().parts().items():
            if category in (categories or Category):
                written = await self.client.put(
                    f"/cases/{case}/parts/{category}",
                    json=part.model_dump(mode="json", exclude_none=True),
                    headers=self.signed_in("noor"),
                )
                assert written.status_code == 204, written.text
        return case

    async def grant(self, case: UUID, to: Partner | None = None, **changes: object) -> UUID:
        """Record that the person allows everything, but for ``changes``, to a partner."""
        asked = {
            "recipient": (to or self.partner).id,
            "categories": [category.value for category in Category],
            "form": "written",
            "language": "tgl",
            "given_by": "person",
            "explained": True,
            "feedback": True,
        }
        recorded = await self.post(f"/cases/{case}/grants", {**asked, **changes})
        assert recorded.status_code == 201, recorded.text
        return UUID(recorded.json()["id"])

    async def offer(self, case: UUID, to: Partner | None = None, **changes: object) -> httpx.Response:
        """Offer the person of ``case`` to a partner."""
        asked = {"to": (to or self.partner).id, "kind": "transfer", "urgency": "urgent"}
        return await self.post(f"/cases/{case}/referrals", {**asked, **changes})

    async def offered(self, **changes: object) -> UUID:
        """Offer somebody to the partner, and return the referral."""
        case = await self.new_case()
        await self.grant(case)
        answer = await self.offer(case, None, **changes)
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["exchange_id"])

    async def was_offered(self, **changes: object) -> ReferralOffered:
        """Let the partner offer somebody to us, and wait until the desk has it."""
        event = an_offer(**changes)
        await self.hear(event)
        await self.stands(event.referral, Status.RECEIVED)
        return event

    async def said_all(self, referral: UUID) -> bool:
        """Whether all that was decided about a referral has left once, at least."""
        query = """
        SELECT count(*) FROM referral, jsonb_array_elements(course::jsonb -> 'repeats') AS repeat
        WHERE id = $1 AND repeat ->> 1 = '0'
        """
        return not await self.owner.fetchval(query, referral)

    async def told_staff(self, subject: UUID, code: str) -> Fact:
        """Wait until staff are told ``code`` about ``subject``, by its exchange id where it is a referral."""

        async def look() -> Fact | None:
            return next((fact for fact in await self.facts_about(subject) if fact.code.value == code), None)

        return await until(look, seconds=10, what=f"the fact {code}")

    async def facts_about(self, subject: UUID) -> list[Fact]:
        """Return what staff were told about ``subject``, by its exchange id where it is a referral."""
        alias = await self.alias_of(subject)
        return [fact for fact in self.facts if fact.subject == (alias or subject)]

    async def knows(self, partner: Partner, serial: int) -> None:
        """Wait until the desk has a partner's key document of this serial."""
        directory = self.app.state.office.directory
        await until(lambda: directory.book.document(partner.id).serial == serial, seconds=10, what="the new document")

    def move_clock(self, offset: timedelta) -> None:
        """Put the service's clock forward from what it is here."""
        self.clock_file.write_text(str(offset.total_seconds()))


NewDesk: TypeAlias = Callable[..., AbstractAsyncContextManager[DeskAtWork]]
"""Runs a service of its own, with partners of the ``RecipientKind`` that it is given, or ``SUPPORT``."""


def an_offer(**changes: object) -> ReferralOffered:
    """Return an offer of somebody by the partner."""
    said: dict[str, Any] = {
        "kind": ReferralKind.TRANSFER,
        "urgency": Urgency.URGENT,
        "packet": Packet(summary=summary()),
        "terms": Terms(purposes=frozenset({Purpose.SUPPORT}), feedback=True),
    }
    return ReferralOffered(
        id=EventId(uuid4()),
        at=datetime.now(UTC),
        conversation=ConversationId(uuid4()),
        referral=ReferralId(uuid4()),
        n=1,
        seen=0,
        data=OfferedData.model_validate({**said, **changes}),
    )


def further(first: ReferralEvent, data: EventData, n: int, seen: int, **changes: object) -> ReferralEvent:
    """Return the ``n``-th event of a lane of the referral that ``first`` is about, whatever the rules say of it."""
    model = next(model for model in EVENTS.values() if model.model_fields["data"].annotation is type(data))
    said: dict[str, Any] = {
        "id": EventId(uuid4()),
        "at": datetime.now(UTC),
        "conversation": first.conversation,
        "referral": first.referral,
        "n": n,
        "seen": seen,
        "data": data,
    }
    return model.model_validate({**said, **changes})


def raw_of(partner: Partner, envelope: Envelope) -> bytes:
    """Return the bytes of an envelope that has come to ``partner``."""
    return next(message.body for message in partner.came if envelope.ciphertext in message.body)


def receipt(partner: Partner, desk: DeskAtWork, message: MessageId, sealed: bytes) -> Receipt:
    """Return what ``partner`` proves: that it holds a message of ours whose SHA-256 is ``sealed``."""
    return Receipt(desk.us.id, partner.id, message, sealed, datetime.now(UTC).replace(microsecond=0), bytes(32))


def given(partner: Partner, said: Receipt) -> ReceiptGiven:
    """Return a receipt as ``partner`` signs and sends it."""
    note = make_receipt(said, partner.organisation.key(KeyPurpose.RECEIPT))
    return ReceiptGiven(
        id=EventId(uuid4()), at=datetime.now(UTC), data=ReceiptGivenData(message=said.message, note=note)
    )


@asynccontextmanager
async def desk_at_work(
    pair: BrokerPair, fresh_database: FreshDatabase, folder: Path, kind: RecipientKind = RecipientKind.SUPPORT
) -> AsyncIterator[DeskAtWork]:
    """Run the service of the pair's first organisation; it agrees with the two others, each of which is a ``kind``."""
    us, abri, accueil = (Organisation.make(folder, each) for each in (pair.ccem, pair.abri, pair.accueil))
    for partner in (abri, accueil):
        us.agree_with(partner, kind=kind)
    pair.agree((us.id, abri.id), (us.id, accueil.id))
    database = await fresh_database("ccem-fr")
    await bring_up_to_date(database)
    tokens = write_staff(us.folder)
    settings = settings_of(pair, us, database, folder / "clock")
    async with AsyncExitStack() as stack:
        app = await run(settings, stack)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://desk{API}", timeout=30)
        )
        owner = await asyncpg.create_pool(
            database.dsn(DatabaseRole.OWNER), min_size=1, max_size=4, server_settings={"search_path": SCHEMA}
        )
        stack.push_async_callback(owner.close)
        intake = await aio_pika.connect(pair.url(us.id, BrokerRole.INTAKE))
        stack.push_async_callback(intake.close)
        partners = [Partner.of(each, us) for each in (abri, accueil)]
        desk = DeskAtWork(
            app, client, database, owner, intake, us, partners[0], partners[1], tokens, folder / "clock", settings
        )
        for each in partners:
            url = pair.exchange_url(each.id, BrokerRole.INTAKE if each.id == abri.id else BrokerRole.PARTNER)
            await collect(url, places.to_queue(each.id, us.id), each.came.append, stack)
        await collect(pair.url(us.id, BrokerRole.NOTIFY), places.node_queue(places.NOTIFY), desk.take_fact, stack)
        yield desk


async def run(settings: ReferralSettings, stack: AsyncExitStack) -> FastAPI:
    """Run a service until ``stack`` is closed."""
    app = create_app(settings)
    await stack.enter_async_context(app.router.lifespan_context(app))
    return app


async def bring_up_to_date(database: NodeDatabase) -> None:
    """Apply every migration of the service."""
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    role = role_name(database.organisation, DatabaseRole.REFERRAL)
    await migrate(owner, schema=SCHEMA, role=role, sources=sources(MIGRATIONS))
    await owner.close()


def settings_of(pair: BrokerPair, us: Organisation, database: NodeDatabase, clock_file: Path) -> ReferralSettings:
    """Return what the service is told."""
    return ReferralSettings(
        organisation=us.id,
        folder=us.folder,
        env="test",
        clock_file=clock_file,
        referral_database=SecretStr(database.dsn(DatabaseRole.REFERRAL)),
        referral_node_broker=SecretStr(pair.url(us.id, BrokerRole.REFERRAL)),
        referral_exchange_broker=SecretStr(pair.exchange_url(us.id, BrokerRole.REFERRAL)),
        referral_passphrase=SecretStr(PASSPHRASE),
    )


def write_staff(folder: Path) -> dict[str, str]:
    """Write ``staff.json``, one member for each role, and return their tokens."""
    tokens = {name: new_token() for name in STAFF}
    members = [
        StaffMember(id=StaffId(name), roles=frozenset({role}), token_sha256=token_digest(tokens[name]))
        for name, role in STAFF.items()
    ]
    StaffBook(members).save(folder / "staff.json")
    return tokens


async def collect(
    url: str, queue_name: str, into: Callable[[AbstractIncomingMessage], None], stack: AsyncExitStack
) -> None:
    """Take everything that comes to a queue."""
    connection = await aio_pika.connect(url)
    stack.push_async_callback(connection.close)
    channel = await connection.channel()
    queue = await channel.get_queue(queue_name, ensure=False)

    async def take(message: AbstractIncomingMessage) -> None:
        into(message)
        await message.ack()

    await queue.consume(take)
