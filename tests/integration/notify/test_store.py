"""The store: statements that fit the schema, counts in the order of the commits, and no more rights than needed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole, NodeDatabase
from services.notify.domain.notice import Matter
from services.notify.domain.retention import KEEP_READ
from services.notify.domain.telling import Telling
from services.notify.store import listening, mails, notifications
from services.notify.store.mails import MailState, NewMail
from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience
from shared.contracts.ids import FactId, StaffId
from shared.messaging import held
from shared.messaging.delivery import Delivery
from shared.messaging.held import Hold
from shared.storage.pool import Pool, open_pool
from tests.integration.notify.conftest import make_database
from tests.support.servers import FreshDatabase
from tests.support.statements import given_columns

AT = datetime(2026, 11, 24, 8, 12, tzinfo=UTC)
ANA = StaffId("ana")
NOW = timedelta()
"""No wait, and a clock that is not moved."""
LEASE = timedelta(minutes=5)


@pytest.fixture(scope="module")
async def database(fresh_database: FreshDatabase) -> NodeDatabase:
    """Give a database for the tests of this module."""
    return await make_database(fresh_database)


@pytest.fixture
async def pool(database: NodeDatabase) -> AsyncIterator[Pool]:
    """Give a pool with the service's own rights, and empty tables."""
    owner = await asyncpg.connect(database.dsn(DatabaseRole.OWNER))
    await owner.execute("TRUNCATE notify.reader, notify.notification, notify.mail, notify.held")
    await owner.close()
    pool = await open_pool(database.dsn(DatabaseRole.NOTIFY), schema="notify", application="notify test")
    yield pool
    await pool.close()


def telling(staff: StaffId = ANA, fact: FactId | None = None) -> Telling:
    return Telling(staff, fact or FactId(uuid4()), uuid4(), Urgency.URGENT, Matter.REFERRAL, AT, Audience.ASSIGNEE, NOW)


def new_mail(place: int) -> NewMail:
    return NewMail(ANA, place, Urgency.URGENT, Audience.ASSIGNEE, timedelta(milliseconds=place), None)


def a_hold(mail: UUID) -> Hold:
    return Hold(mail, Delivery(b"", {}, "mail"), "mail-refused", 1, AT, None, None, admitted=True)


async def test_every_statement_fits_the_schema(pool: Pool) -> None:
    async with pool.acquire() as connection:
        gives = {store: await given_columns(connection, store) for store in (notifications, mails, listening)}
    assert sum(map(len, gives.values())) == 20
    assert gives[mails]["CLAIM"] == [field.name for field in fields(mails.Mail)]
    assert gives[notifications]["AFTER"] == [field.name for field in fields(notifications.Notification)]


async def test_places_are_counted_in_the_order_of_the_commits(pool: Pool) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(25):
            async with pool.acquire() as connection, connection.transaction():
                await notifications.keep(connection, [telling(), telling(StaffId("bruno")), telling()], AT)

    async def read() -> None:
        place = notifications.Place(0)
        while not done.is_set() or len(seen) < 200:
            async with pool.acquire() as connection:
                fresh = await notifications.after(connection, ANA, place, 50, unread_only=False)
            seen.extend(each.place for each in fresh)
            place = fresh[-1].place if fresh else place

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        async with asyncio.TaskGroup() as writers:
            for _ in range(4):
                writers.create_task(write())
        done.set()
        await asyncio.wait_for(reader, 10)
    assert seen == list(range(1, 201)), "who has seen a number has seen all before it"


async def test_nobody_is_told_twice_of_the_same(pool: Pool) -> None:
    fact = FactId(uuid4())
    async with pool.acquire() as connection:
        first = await notifications.keep(connection, [telling(fact=fact), telling(StaffId("bruno"), fact)], AT)
        again = await notifications.keep(connection, [telling(fact=fact), telling(), telling(fact=fact)], AT)
    assert [(kept.staff, kept.place) for kept in first] == [("ana", 1), ("bruno", 1)]
    assert [(kept.staff, kept.place) for kept in again] == [("ana", 2)]


async def test_one_mail_has_one_sender_and_one_end(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        kept = await notifications.keep(one, [telling(), telling()], AT)
        await mails.keep(one, [new_mail(each.place) for each in kept], -LEASE)
        async with one.transaction():
            first = await mails.claim(one, LEASE, NOW)
            second = await mails.claim(other, LEASE, NOW)
            assert await mails.claim(other, LEASE, NOW) is None
        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert await mails.settle(one, first.id, MailState.SENT, NOW)
        assert not await mails.settle(other, first.id, MailState.PARKED, NOW)
        await mails.put_off(one, second.id, LEASE, NOW)
        assert not await mails.any_due(one, NOW)
        assert await mails.any_due(one, LEASE)


async def test_what_was_read_long_ago_goes_with_its_mail_and_its_numbers_never_come_again(pool: Pool) -> None:
    long_ago, lately = KEEP_READ + timedelta(minutes=1), KEEP_READ - timedelta(minutes=1)
    async with pool.acquire() as connection:
        kept = await notifications.keep(connection, [telling() for _ in range(5)], datetime.min.replace(tzinfo=UTC))
        old, recent, unread, parked, waits = (each.place for each in kept)
        await mails.keep(connection, [new_mail(each) for each in (old, recent, parked, waits)], -LEASE)
        for state in (MailState.SENT, MailState.SENT, MailState.PARKED):
            claimed = await mails.claim(connection, LEASE, NOW)
            assert claimed is not None
            await mails.settle(connection, claimed.id, state, NOW)
            if state is MailState.PARKED:
                await held.keep(connection, "mail", [a_hold(claimed.id)])
        for place, ago in ((old, long_ago), (recent, lately), (waits, long_ago), (parked, long_ago)):
            await connection.execute(
                "UPDATE notification SET read_at = now() - $2::interval WHERE place = $1", place, ago
            )

        async def left() -> list[int]:
            return [row["place"] for row in await connection.fetch("SELECT place FROM notification ORDER BY place")]

        assert await notifications.forget(connection, KEEP_READ, [ANA]) == 1
        assert await left() == [recent, unread, parked, waits]
        assert await connection.fetchval("SELECT count(*) FROM mail") == 3
        [lot] = await held.parked(connection)
        assert await held.drop(connection, lot.id)
        assert await notifications.forget(connection, KEEP_READ, [ANA]) == 1
        assert await left() == [recent, unread, waits]
        assert [each.place for each in await notifications.keep(connection, [telling()], AT)] == [6]


async def test_what_somebody_has_left_unread_is_handed_on_once_and_then_goes(pool: Pool) -> None:
    bruno, shared = StaffId("bruno"), FactId(uuid4())
    mailed = telling()
    async with pool.acquire() as connection:
        told = [mailed, telling(fact=shared), telling(), telling(), telling(bruno, shared), telling(bruno)]
        first, _shared, read, waits, *_brunos = (kept.place for kept in await notifications.keep(connection, told, AT))
        await mails.keep(connection, [new_mail(first), new_mail(waits)], -LEASE)
        claimed = await mails.claim(connection, LEASE, NOW)
        assert claimed is not None
        await mails.settle(connection, claimed.id, MailState.SENT, NOW)
        await notifications.read(connection, ANA, read)
        assert await notifications.hand_on(connection, [ANA, bruno], 9) == []
        found = {each.fact: (each.mailed, each.known) for each in await notifications.hand_on(connection, [bruno], 9)}
        assert found == {mailed.fact: (True, False), shared: (False, True)}
        assert await notifications.hand_on(connection, [bruno], 9) == []
        await connection.execute("UPDATE notification SET handed_on_at = handed_on_at - interval '31 days'")
        assert await notifications.forget(connection, KEEP_READ, [ANA, bruno]) == 0, "whoever is there may read it yet"
        assert await notifications.forget(connection, KEEP_READ, [bruno]) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE notification SET subject = gen_random_uuid()",
        "UPDATE notification SET staff = 'bruno'",
        "DELETE FROM reader",
        "DELETE FROM audit_leaf",
        "UPDATE inbox SET digest = ''",
        "CREATE TABLE more (id uuid)",
        "TRUNCATE mail",
    ],
)
async def test_the_service_may_do_its_work_and_nothing_else(pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)


@pytest.mark.parametrize(
    ("column", "value"), [("urgency", "'Aïcha'"), ("matter", "'Aïcha'"), ("staff", "'Aïcha Canari'"), ("place", "0")]
)
async def test_no_column_has_room_for_a_word(pool: Pool, column: str, value: str) -> None:
    async with pool.acquire() as connection:
        await notifications.keep(connection, [telling()], AT)
    row = {
        "staff": "'ana'",
        "place": "7",
        "fact": "gen_random_uuid()",
        "subject": "gen_random_uuid()",
        "urgency": "'urgent'",
        "matter": "'referral'",
        "at": "now()",
        "made_at": "now()",
    } | {column: value}
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.ForeignKeyViolationError)):
        await pool.execute(f"INSERT INTO notification ({', '.join(row)}) VALUES ({', '.join(row.values())})")  # noqa: S608 - the table is this test's
