"""Every statement of the service fits the migrated schema, and gives the columns that the code reads."""

from types import ModuleType

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole
from services.referral.domain.referral import Referral
from services.referral.store import cases, papers, proofs, referrals, reports
from services.referral.store.rows import ReferralRow
from services.referral.store.schema import SCHEMA
from shared.contracts.codes import Step
from shared.contracts.ids import ReferralId
from shared.storage.pool import ContendedError
from tests.support.desk import DeskAtWork
from tests.support.statements import given_columns

CASE = ["id", "opened_at", "opened_by", "opened_for"]
REPORT = ["id", "folder", "urgency", "verdict", "taken_at", "status", "case_id", "reoriented_to", "version"]
PAPER = ["id", "name", "side", "n", "at", "body"]
ROW = list(ReferralRow._fields)

GIVES: dict[ModuleType, dict[str, list[str]]] = {
    cases: {
        "LOCK": [*CASE, "epoch", "wrapped"],
        "FIND": [*CASE, "erased"],
        "PAGE": CASE,
        "RECORD": [],
        "GRANTS": ["id", "withdrawn_at", "body"],
    },
    papers: {"ABOUT": PAPER, "OF_SIDE": PAPER, "NEWEST": PAPER, "GONE": ["name"]},
    proofs: {
        "SAY": [],
        "FIND": ["message", "referral", "n", "digest", "emptied"],
        "PROVE": [],
        "OF_REFERRAL": ["message", "n", "said_at", "proved_at", "note"],
    },
    referrals: {
        "LOCK": [*ROW, "epoch", "wrapped"],
        "LOOK_AT": ROW,
        "CHANGE": [],
        "FIND": [*ROW, "erased"],
        "PAGE": ROW,
        "OF_CASES": ROW,
        "DUE": ["id"],
        "OF_PARTNER": ["id", "alias"],
        "OF_ALIAS": ["id"],
        "ALIAS_OF": ["alias"],
        "REPEATING_TO": ["partner"],
        "REPEATING": ["id"],
    },
    reports: {"LOCK": [*REPORT, "epoch", "wrapped"], "SAVE": [], "FIND": [*REPORT, "erased"], "PAGE": REPORT},
}


@pytest.mark.parametrize("module", GIVES, ids=lambda module: module.__name__.rpartition(".")[2])
async def test_every_statement_fits_the_schema(desk: DeskAtWork, module: ModuleType) -> None:
    connection = await asyncpg.connect(
        desk.database.dsn(DatabaseRole.REFERRAL), server_settings={"search_path": SCHEMA}
    )
    try:
        assert await given_columns(connection, module) == GIVES[module]
    finally:
        await connection.close()


async def test_the_row_is_the_table(desk: DeskAtWork) -> None:
    query = "SELECT * FROM referral LIMIT 0"
    async with desk.owner.acquire() as connection:
        prepared = await connection.prepare(query)
        assert [column.name for column in prepared.get_attributes()] == ROW, "see services/referral/store/rows.py"


async def test_nobody_writes_over_what_they_have_not_read(desk: DeskAtWork) -> None:
    id_ = ReferralId(await desk.offered())
    await desk.partner.told(id_, Step.OFFERED)
    office = desk.app.state.office
    async with desk.owner.acquire() as connection:
        found = await office.referrals.find(connection, id_)
        assert isinstance(found, Referral)
        await desk.do(id_, "withdraw", {"reason": "no_longer_needed"})
        with pytest.raises(ContendedError):
            await referrals.save(connection, [found])


async def test_the_service_may_take_nothing_away_but_documents(desk: DeskAtWork) -> None:
    connection = await asyncpg.connect(
        desk.database.dsn(DatabaseRole.REFERRAL), server_settings={"search_path": SCHEMA}
    )
    try:
        for table in ("referral", "case_file", "folder", "report", "consent", "said", "proof", "inbox", "audit_leaf"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from this test
        for table in ("said", "proof", "paper"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE {table} SET at = now()")  # noqa: S608 - names from this test
    finally:
        await connection.close()
