"""How the desk looks things up: each table once for a batch, each message led to its referral, a case in one line."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from asyncpg.connection import LoggedQuery

from deploy.local.databases import DatabaseRole
from services.referral.known import Files
from services.referral.loading import What
from services.referral.store import proofs, referrals
from services.referral.store.rows import ReferralRow
from services.referral.store.schema import SCHEMA
from shared.contracts.codes import Category, MissReason, Status, Step
from shared.contracts.event import Event
from shared.contracts.event_data import AcceptedData, ArrivedData, MissedData, WithdrawnData
from shared.contracts.ids import ReferralId, ReportId
from shared.contracts.receipt import ReceiptGiven
from shared.messaging import shell
from shared.messaging.delivery import Delivery
from shared.messaging.places import VERDICT, VERIFIED
from shared.messaging.shell import Shell
from shared.sealing.keys import KeyPurpose
from tests.integration.referral.test_hearing import taken
from tests.support.desk import DeskAtWork, an_offer, further, given, meeting, raw_of, receipt
from tests.support.partners import Sender
from tests.support.wait import until


@dataclass
class Counting:
    """A shell of the desk's own, whose statements are counted."""

    shell: Shell[What, Files]
    statements: Counter[str] = field(default_factory=Counter)

    async def take(self, *said: tuple[Event, Sender]) -> list[str]:
        """Hear events as one batch, and return the code of each refusal."""
        sealed = [by.seal(event.model_dump_json(exclude_none=True).encode()) for event, by in said]
        reads = self.shell.read([Delivery(each.envelope, {VERDICT: VERIFIED}, "test") for each in sealed])
        self.statements.clear()
        decisions = await self.shell.take(reads)
        return [each.refusal.code if each.refusal else "" for each in decisions]


@asynccontextmanager
async def counting(desk: DeskAtWork) -> AsyncIterator[Counting]:
    """Give a shell round the desk, on a pool of its own."""
    office = desk.app.state.office
    statements = Counter[str]()

    def note(query: LoggedQuery) -> None:
        statements[query.query] += 1

    async def watch(connection: Any) -> None:  # noqa: ANN401 - asyncpg does not say what it hands in
        connection.add_query_logger(note)

    async with asyncpg.create_pool(
        desk.database.dsn(DatabaseRole.REFERRAL),
        min_size=1,
        max_size=1,
        setup=watch,
        server_settings={"search_path": SCHEMA},
    ) as pool:
        post = office.shell._post  # noqa: SLF001 - the one that the desk has
        clock = desk.settings.clock()
        yield Counting(Shell(office.shell.desk, pool=pool, post=post, clock=clock, service="referral"), statements)


async def the_receipt(desk: DeskAtWork, referral: ReferralId) -> ReceiptGiven:
    """Return what the partner's intake gives for the offer of ``referral``."""
    envelope, _ = await desk.partner.told(referral, Step.OFFERED)
    digest = sha256(raw_of(desk.partner, envelope)).digest()
    return given(desk.partner, receipt(desk.partner, desk, envelope.header.id, digest))


async def test_a_batch_asks_each_table_once(desk: DeskAtWork) -> None:
    heard = await desk.was_offered()
    offered = [ReferralId(await desk.offered()) for _ in range(2)]
    receipts = [await the_receipt(desk, each) for each in offered]
    voice, door = desk.partner.voice, desk.partner.door
    async with counting(desk) as batch:
        refused = await batch.take(
            (an_offer(), voice),
            (further(heard, WithdrawnData(reason="no_longer_needed"), 2, 0), voice),
            *((each, door) for each in receipts),
        )
        assert refused == ["", "", "", ""]
        assert batch.statements[proofs.FIND] == 1
        assert batch.statements[referrals.LOCK] == 1
        await batch.take((an_offer(), voice))
        assert batch.statements[proofs.FIND] == 0


async def test_only_a_receipt_is_led_to_the_referral_that_its_message_is_of(desk: DeskAtWork) -> None:
    referral = ReferralId(await desk.offered())
    proof = await the_receipt(desk, referral)
    offer = an_offer().model_copy(update={"referral": ReferralId(proof.data.message)})
    async with counting(desk) as batch:
        assert await batch.take((offer, desk.partner.voice), (proof, desk.partner.door)) == ["", ""]
    assert await desk.status(offer.referral) is Status.RECEIVED
    assert await desk.status(referral) is Status.RECEIVED


async def test_commands_about_one_case_wait_in_one_line(desk: DeskAtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is rolled back: without a second try, a command that had been would be answered with 503."""
    monkeypatch.setattr(shell, "CONTENTIONS", 1)
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await desk.owner.fetchval(deadlocks)
    for _ in range(3):
        case, legs = await the_accepted(desk)
        grants = [await desk.grant(case, desk.other) for _ in range(2)]
        disclosed = {"categories": [Category.SUMMARY.value]}
        answers = await asyncio.gather(
            *(desk.post(f"/referrals/{leg}/disclose", disclosed) for leg in legs),
            *(desk.offer(case, desk.other) for _ in legs),
            *(desk.post(f"/cases/{case}/grants/{grant}/withdraw") for grant in grants),
        )
        assert {each.status_code for each in answers} <= {200, 201, 204, 409}
    assert await desk.owner.fetchval(deadlocks) == before


async def test_an_arrival_and_what_is_said_elsewhere_in_the_case_may_come_at_once(
    desk: DeskAtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both change the other hand-over: the batch is halved at once, and each sees what the other did."""
    case = await desk.new_case()
    legs = []
    for partner in (desk.partner, desk.other):
        await desk.grant(case, partner)
        referral = UUID((await desk.offer(case, partner)).json()["exchange_id"])
        _, offer = await partner.told(referral, Step.OFFERED)
        await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1), partner.voice)
        await desk.stands(referral, Status.ACCEPTED)
        knowing = {"categories": [Category.SUMMARY.value], "although_expected": True}
        await desk.do(referral, "disclose", knowing)
        legs.append(offer)
        if partner is desk.partner:
            await desk.do(referral, "withdraw", {"reason": "unsafe"})
    first, second = legs
    pauses = list[int]()

    def pause(attempt: int, **_: float) -> float:
        pauses.append(attempt)
        return 0.0

    monkeypatch.setattr(shell, "pause", pause)
    async with counting(desk) as batch:
        refused = await batch.take(
            (further(first, ArrivedData(), 2, 2), desk.partner.voice),
            (further(second, MissedData(reason=MissReason.DID_NOT_COME), 2, 2), desk.other.voice),
        )
    assert (refused, pauses) == (["", ""], [])
    assert await desk.status(first.referral) is Status.ARRIVED
    assert await desk.status(second.referral) is Status.WITHDRAWN
    _, withdrawn = await desk.other.told(second.referral, Step.WITHDRAWN)
    assert withdrawn.n == 3


async def the_accepted(desk: DeskAtWork) -> tuple[UUID, list[UUID]]:
    """Return a case, and services to its person that the other partner has accepted: all may be disclosed to."""
    case = await desk.new_case()
    await desk.grant(case, desk.other)
    legs = [UUID((await desk.offer(case, desk.other, kind="service")).json()["exchange_id"]) for _ in range(4)]
    for leg in legs:
        _, offer = await desk.other.told(leg, Step.OFFERED)
        await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1), desk.other.voice)
        await desk.stands(leg, Status.ACCEPTED)
    return case, legs


async def test_new_referrals_are_written_in_the_order_of_their_ids(desk: DeskAtWork) -> None:
    """Another worker hears of the same two: it has written the first, and can write the second while we wait."""
    heard, voice = await desk.was_offered(), desk.partner.voice
    first, second = sorted((an_offer(), an_offer()), key=lambda offer: offer.referral)
    others = ", ".join(field for field in ReferralRow._fields if field not in ("id", "alias"))
    write = f"INSERT INTO referral (id, {others}) SELECT $2::uuid, {others} FROM referral WHERE id = $1"  # noqa: S608 - our columns
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND $1 = ANY(pg_blocking_pids(pid))"
    async with counting(desk) as batch, desk.owner.acquire() as other:
        writing = other.transaction()
        await writing.start()
        await other.execute("SET LOCAL lock_timeout = '500ms'")
        await other.execute(write, heard.referral, first.referral)
        taking = asyncio.create_task(batch.take((second, voice), (first, voice)))
        writer = other.get_server_pid()
        await until(lambda: desk.owner.fetchval(waiting, writer), what="the batch waiting for the first")
        await other.execute(write, heard.referral, second.referral)
        await writing.rollback()
        assert await taking == ["", ""]


async def test_what_shares_its_id_with_what_changes_is_not_written(desk: DeskAtWork) -> None:
    """A partner may call its referral what a report is called here."""
    offer, intake = an_offer(), Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT)
    report = taken(desk.us).model_copy(update={"report": ReportId(offer.referral)})
    withdrawn = further(offer, WithdrawnData(reason="no_longer_needed"), 2, 0)
    async with counting(desk) as shell:
        assert await shell.take((offer, desk.partner.voice), (report, intake)) == ["", ""]
        assert await shell.take((withdrawn, desk.partner.voice), (report, intake)) == ["", ""]
    assert await desk.owner.fetchval("SELECT version FROM referral WHERE id = $1", offer.referral) == 2
    assert await desk.owner.fetchval("SELECT version FROM report WHERE id = $1", offer.referral) == 1
