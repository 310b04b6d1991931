"""Cases, and the consent that was given in each."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter

from services.referral.domain.cases import Case
from services.referral.domain.grants import Grant
from services.referral.known import Erased, Folder, Known
from services.referral.store.folders import known
from services.referral.store.unreadable import if_readable
from shared.contracts.ids import CaseId
from shared.storage.pool import Connection
from shared.storage.rows import insert
from shared.storage.vault import Vault

COLUMNS: Final = ("id", "opened_at", "opened_by", "opened_for")

LOCK: Final = """
SELECT case_file.id, opened_at, opened_by, opened_for, epoch, wrapped
FROM case_file LEFT JOIN folder USING (id)
WHERE case_file.id = ANY($1::uuid[] || ARRAY(SELECT case_id FROM referral WHERE referral.id = ANY($2::uuid[])))
ORDER BY case_file.id FOR UPDATE OF case_file
"""

FIND: Final = """
SELECT id, opened_at, opened_by, opened_for, wrapped IS NULL AS erased FROM case_file LEFT JOIN folder USING (id)
WHERE id = $1
"""

PAGE: Final = """
SELECT id, opened_at, opened_by, opened_for FROM case_file JOIN folder USING (id)
WHERE wrapped IS NOT NULL AND ($1::timestamptz IS NULL OR (opened_at, id) < ($1, $2::uuid))
ORDER BY opened_at DESC, id DESC LIMIT $3
"""

RECORD: Final = """
INSERT INTO consent (id, case_id, withdrawn_at, body)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[])
ON CONFLICT (id) DO UPDATE SET withdrawn_at = coalesce(consent.withdrawn_at, excluded.withdrawn_at)
"""

GRANTS: Final = "SELECT id, withdrawn_at, body FROM consent WHERE case_id = $1 ORDER BY id"

_GRANT: Final = TypeAdapter(Grant)


async def open_(connection: Connection, cases: Sequence[Case]) -> None:
    """Keep new cases."""
    if cases:
        rows = [(case.id, case.opened_at, case.opened_by, case.opened_for) for case in cases]
        await insert(connection, "case_file", COLUMNS, rows)


async def lock(
    connection: Connection, vault: Vault, ids: Collection[UUID], of: Collection[UUID] = ()
) -> dict[UUID, Known[Case] | Erased[Case]]:
    """Return those of ``ids`` that are there and the cases ``of`` these referrals, locked in the order of their ids."""
    if not ids and not of:
        return {}
    rows = await connection.fetch(LOCK, ids, of)
    return {row["id"]: known(vault, _case(row), row["id"], row["epoch"], row["wrapped"]) for row in rows}


async def find(connection: Connection, case: CaseId) -> Case | Erased[Case] | None:
    """Return a case, if it is there."""
    row = await connection.fetchrow(FIND, case)
    if row is None:
        return None
    return Erased(_case(row)) if row["erased"] else _case(row)


async def page(connection: Connection, after: tuple[datetime, UUID] | None, limit: int) -> list[Case]:
    """Return cases, newest first, from ``after`` on; those that were erased are left out."""
    at, id_ = after or (None, None)
    return [_case(row) for row in await connection.fetch(PAGE, at, id_, limit)]


async def record(connection: Connection, grants: Sequence[tuple[Grant, Folder]]) -> None:
    """Keep grants, or mark those that were taken back; what a grant says is encrypted, and when it ended is not."""
    if grants:
        await connection.execute(
            RECORD,
            [grant.id for grant, _ in grants],
            [grant.case for grant, _ in grants],
            [grant.withdrawn_at for grant, _ in grants],
            [folder.cipher.seal(written(grant), _label(grant.id)) for grant, folder in grants],
        )


async def grants(connection: Connection, folder: Folder) -> tuple[Grant, ...]:
    """Return every grant of a case, those that were taken back too; one that cannot be opened allows nothing."""
    rows = await connection.fetch(GRANTS, folder.id)
    found = (
        if_readable(row["id"], partial(_grant, row["id"], row["withdrawn_at"], row["body"], folder)) for row in rows
    )
    return tuple(grant for grant in found if grant is not None)


def written(grant: Grant) -> bytes:
    """Return ``grant`` as it is kept: without what it leaves at its default, which an older version need not know."""
    return _GRANT.dump_json(grant, exclude_defaults=True)


def read_grant(text: bytes | str) -> Grant:
    """Return the grant that was written as ``text``.

    Raises:
        ValueError: it says something that this version does not know, and which may narrow it.
    """
    return _GRANT.validate_json(text, extra="forbid")


def _grant(id_: UUID, withdrawn_at: datetime | None, body: bytes, folder: Folder) -> Grant:
    return replace(read_grant(folder.cipher.open(body, _label(id_))), withdrawn_at=withdrawn_at)


def _label(grant: UUID) -> bytes:
    return b"consent\0" + grant.bytes


def _case(row: Any) -> Case:  # noqa: ANN401 - an asyncpg record
    return Case(CaseId(row["id"]), row["opened_at"], row["opened_by"], row["opened_for"])
