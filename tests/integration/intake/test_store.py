"""Every statement of the service fits the migrated schema, and the service has no more rights than it needs."""

from datetime import UTC, datetime
from types import ModuleType
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole
from services.intake.domain.admission import Numbered, Speaker
from services.intake.store import arrivals, receipts, reports
from services.intake.store.schema import SCHEMA
from shared.contracts.ids import OrganisationId
from tests.integration.intake.conftest import AtWork
from tests.support.statements import given_columns

GIVES: dict[ModuleType, dict[str, list[str]]] = {
    arrivals: {
        "NOTE": [],
        "OPEN": [],
        "CLAIM": ["id", "sender", "voice", "reached"],
        "NOTED": ["id", "sequence", "message", "at"],
        "REACH": [],
        "FORGET": [],
    },
    receipts: {"FIND": ["message", "event", "at", "note"], "KEEP": [], "FORGET": []},
    reports: {"FIND": ["key", "report"], "KEEP": [], "FORGET": []},
}


@pytest.mark.parametrize("module", GIVES, ids=lambda module: module.__name__.rpartition(".")[2])
async def test_every_statement_fits_the_schema(door: AtWork, module: ModuleType) -> None:
    connection = await asyncpg.connect(door.database.dsn(DatabaseRole.INTAKE), server_settings={"search_path": SCHEMA})
    try:
        assert await given_columns(connection, module) == GIVES[module]
    finally:
        await connection.close()


async def test_a_busy_partner_hides_no_numbers_of_another(door: AtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_AT_ONCE", 2)
    senders = [OrganisationId(name) for name in ("affaire-fr", "calme-fr")]
    numbered = [
        Numbered(sender, Speaker.REFERRAL, first + n, uuid4(), datetime.now(UTC))
        for sender, first in zip(senders, (1, 100), strict=True)
        for n in range(3)
    ]
    connection = await asyncpg.connect(door.database.dsn(DatabaseRole.INTAKE), server_settings={"search_path": SCHEMA})
    transaction = connection.transaction()
    await transaction.start()
    try:
        await arrivals.note(connection, numbered)
        came = {stream.sender: noted for stream, noted in (await arrivals.claim(connection)).items()}
    finally:
        await transaction.rollback()
        await connection.close()
    assert [[each.sequence for each in came[sender]] for sender in senders] == [[1, 2], [100, 101]]


@pytest.mark.parametrize(
    ("table", "never"),
    [
        ("receipt", "UPDATE, TRUNCATE"),
        ("report", "UPDATE, TRUNCATE"),
        ("inbox", "UPDATE, DELETE, TRUNCATE"),
        ("audit_leaf", "UPDATE, DELETE, TRUNCATE"),
    ],
)
async def test_the_service_may_take_nothing_back(door: AtWork, table: str, never: str) -> None:
    connection = await asyncpg.connect(door.database.dsn(DatabaseRole.INTAKE), server_settings={"search_path": SCHEMA})
    try:
        assert await connection.fetchval("SELECT has_table_privilege($1, 'INSERT')", table)
        assert not await connection.fetchval("SELECT has_table_privilege($1, $2)", table, never)
    finally:
        await connection.close()
