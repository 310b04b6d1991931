"""Every index is walked by a statement of the store, in the order that it asks for: no write pays for another one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole
from services.referral.store import cases, papers, proofs, referrals, reports
from services.referral.store.schema import SCHEMA
from shared.messaging import held, outbox
from tests.support.desk import bring_up_to_date
from tests.support.servers import FreshDatabase

FILL = """
INSERT INTO folder SELECT gen_random_uuid(), 1, 'x' FROM generate_series(1, 20000);
INSERT INTO referral (
    id, conversation, case_id, side, partner, kind, urgency, status, responsible, overdue, due_at, offered_at, course,
    version, repeat_at
) SELECT
    gen_random_uuid(), gen_random_uuid(), id, 'sender', 'abri-be', 'transfer', 'urgent',
    (ARRAY['offered', 'opened', 'arrived', 'closed'])[1 + n % 4], 'ccem-fr', false,
    CASE WHEN n % 10 = 0 THEN now() + n * interval '1 minute' END, now() - n * interval '1 minute', '{}', 1,
    CASE WHEN n % 10 = 0 THEN now() + n * interval '1 minute' END
FROM (SELECT id, row_number() OVER () AS n FROM folder) AS numbered;
INSERT INTO report (id, folder, urgency, verdict, taken_at, status, version) SELECT
    gen_random_uuid(), id, 'urgent', 'in_scope', now() - n * interval '1 minute',
    CASE WHEN n % 100 = 0 THEN 'taken' ELSE 'linked' END, 1
FROM (SELECT id, row_number() OVER () AS n FROM folder) AS numbered;
INSERT INTO paper (id, folder, about, name, side, n, at, body)
SELECT gen_random_uuid(), case_id, id, 'summary', 'sender', n, now(), 'x' FROM referral, generate_series(1, 3) AS n;
INSERT INTO consent (id, case_id, body) SELECT gen_random_uuid(), case_id, 'x' FROM referral;
INSERT INTO said (message, referral, n, recipient, digest, at)
SELECT gen_random_uuid(), id, 1, 'abri-be', 'x', now() FROM referral;
INSERT INTO outbox (id, due_at, broker, exchange, routing_key, headers, content_type, body)
SELECT gen_random_uuid(), now() + n * interval '1 s', 'node', 'x', 'x', '{}', 'x', 'x'
FROM generate_series(1, 20000) AS n;
INSERT INTO held (id, consumer, source, reason, attempts, first_at, due_at, subject, turn, admitted, headers, body)
SELECT gen_random_uuid(), 'referral', 'referral.in', 'early', 1, now(), now() + n * interval '1 s', gen_random_uuid(),
    2, false, '{}', 'x'
FROM generate_series(1, 20000) AS n;
INSERT INTO held (id, consumer, source, origin, reason, attempts, first_at, admitted, bounded, headers, body) SELECT
    gen_random_uuid(), 'referral', 'referral.in', 'from.' || n % 50, 'lane-forked', 1, now(), false, true, '{}', 'x'
FROM generate_series(1, 1000) AS n;
"""

NOW, ID, IDS = datetime.now(UTC), uuid4(), [uuid4()]
WALKS: tuple[tuple[str, str, tuple[object, ...]], ...] = (
    ("consent_case", cases.GRANTS, (ID,)),
    ("held_bounded", held.FULLEST, ("referral",)),
    ("held_bounded", held.TAKEN, ("referral", ["from.1"])),
    ("held_due", held.DUE, ("referral", NOW, 100)),
    ("held_parked", held.COUNT_PARKED, ()),
    ("held_parked", held.PARKED, (None, None, 50)),
    ("held_reason", held.WAKE_FOR, ("referral", ["agreement-none"], NOW, True)),
    ("held_reason", held.WAKE_FOR, ("referral", ["key-unknown"], NOW, False)),
    ("held_turn", held.WAKE, (IDS, [1], NOW)),
    ("outbox_due", outbox.CLAIM, (NOW, 100, outbox.PAUSES, "node")),
    ("paper_place", papers.ABOUT, (ID, ID)),
    ("referral_case", referrals.OF_CASES, (IDS,)),
    ("referral_due", referrals.DUE, (NOW, IDS, 100)),
    ("referral_newest", referrals.PAGE, (None, NOW, ID, 50)),
    ("referral_newest_of_status", referrals.PAGE, ("opened", NOW, ID, 50)),
    ("referral_repeat", referrals.REPEATING_TO, (NOW,)),
    ("report_status", reports.PAGE, ("taken", None, None, 50)),
    ("said_referral", proofs.OF_REFERRAL, (ID,)),
)
"""Each index, and the statements that walk it, with what they are asked."""


@pytest.fixture(scope="module")
async def filled(fresh_database: FreshDatabase) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection to a store in which there is much."""
    database = await fresh_database("abri-be")
    await bring_up_to_date(database)
    connection = await asyncpg.connect(database.dsn(DatabaseRole.OWNER), server_settings={"search_path": SCHEMA})
    await connection.execute(FILL)
    await connection.execute("ANALYZE")
    yield connection
    await connection.close()


async def test_every_index_has_its_statement(filled: asyncpg.Connection) -> None:
    found = await filled.fetch(
        """
        SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = current_schema()::regnamespace AND NOT indisunique
        """
    )
    assert {row["relname"] for row in found} == {index for index, _, _ in WALKS}


@pytest.mark.parametrize(("index", "statement", "asked"), WALKS)
async def test_a_statement_walks_its_index(
    filled: asyncpg.Connection, index: str, statement: str, asked: tuple[object, ...]
) -> None:
    plan = "\n".join(row[0] for row in await filled.fetch(f"EXPLAIN {statement}", *asked))
    assert f" {index} " in plan, plan
    assert "Seq Scan on held" not in plan, plan
