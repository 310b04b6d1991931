"""Referrals: one row each, read and written a batch at a time.

One that a newer version of Relais has written cannot be read after a step back to this one. It holds up no other, and
nothing is decided about it until the newer version is back (docs/decisions/0017).

What must never happen: it is written over, or taken as not there.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import UniqueViolationError

from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.known import Erased, Known, Newer
from services.referral.once import Once
from services.referral.store import folders
from services.referral.store.rows import UNKNOWN, ReferralRow, from_row, to_row
from shared.contracts.codes import Status
from shared.contracts.ids import Alias, CaseId, OrganisationId, ReferralId
from shared.messaging import places
from shared.messaging.delivery import Later
from shared.storage.pool import Connection, ContendedError
from shared.storage.rows import insert
from shared.storage.vault import Vault
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.uuids import in_order

log = get_logger(__name__)

COLUMNS: Final = ", ".join(f"referral.{name}" for name in ReferralRow._fields)

LOCK: Final = f"""
SELECT {COLUMNS}, folder.epoch, folder.wrapped
FROM referral LEFT JOIN folder ON folder.id = referral.case_id
WHERE referral.id = ANY($1::uuid[] || ARRAY(SELECT id FROM referral WHERE case_id = ANY($2::uuid[])))
ORDER BY referral.id FOR UPDATE OF referral
"""

LOOK_AT: Final = f"SELECT {COLUMNS} FROM referral WHERE id = $1"

CHANGE: Final = """
UPDATE referral SET
    status = new.status, responsible = new.responsible, assignee = new.assignee, overdue = new.overdue,
    due_at = new.due_at, ended_at = new.ended_at, receipt_at = new.receipt_at, course = new.course,
    repeat_at = new.repeat_at, version = new.version + 1
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::text[], $10::timestamptz[], $11::integer[]
) AS new (id, status, responsible, assignee, overdue, due_at, ended_at, receipt_at, course, repeat_at, version)
WHERE referral.id = new.id AND referral.version = new.version
"""
"""What the life of a referral changes in its row, on top of the version that was read."""

FIND: Final = f"""
SELECT {COLUMNS}, folder.wrapped IS NULL AS erased
FROM referral LEFT JOIN folder ON folder.id = referral.case_id WHERE referral.id = $1
"""

HAS_KEY: Final = "EXISTS (SELECT FROM folder WHERE folder.id = referral.case_id AND folder.wrapped IS NOT NULL)"

PAGE: Final = f"""
SELECT {COLUMNS} FROM referral
WHERE {HAS_KEY}
    AND ($1::text IS NULL OR status = $1)
    AND ($2::timestamptz IS NULL OR (offered_at, id) < ($2, (SELECT id FROM referral WHERE alias = $3)))
ORDER BY offered_at DESC, id DESC LIMIT $4
"""

OF_CASES: Final = f"SELECT {COLUMNS} FROM referral WHERE case_id = ANY($1::uuid[]) ORDER BY offered_at, id"

DUE: Final = f"""
SELECT id FROM referral WHERE due_at <= $1 AND id <> ALL($2::uuid[]) AND {HAS_KEY} ORDER BY due_at LIMIT $3
"""
"""A clock rings for nobody whose case was erased."""

OF_PARTNER: Final = "SELECT id, alias FROM referral WHERE partner = $1 ORDER BY id"

OF_ALIAS: Final = "SELECT id FROM referral WHERE alias = $1"

ALIAS_OF: Final = "SELECT alias FROM referral WHERE id = $1"

REPEATING_TO: Final = "SELECT DISTINCT partner FROM referral WHERE repeat_at <= $1"

REPEATING: Final = """
SELECT id FROM referral WHERE repeat_at <= $1 AND partner = ANY($2::text[]) AND id <> ALL($3::uuid[])
    AND NOT EXISTS (SELECT FROM said JOIN outbox ON outbox.id = said.message WHERE said.referral = referral.id)
ORDER BY repeat_at LIMIT $4
"""
"""What has yet to leave is not said again: while the broker is away, nothing piles up."""


async def save(connection: Connection, referrals: Sequence[Referral]) -> None:
    """Write ``referrals``, each on top of the version that was read, in the order of their ids.

    So two batches that hear of the same new ones wait for one another and never for ever.

    Raises:
        ContendedError: somebody has written one of them since.
    """
    rows = sorted((to_row(referral) for referral in referrals), key=lambda row: in_order(row.id))
    new = [row._replace(version=1) for row in rows if row.version == 0]
    changed = [_changing(row) for row in rows if row.version > 0]
    if new:
        try:
            await insert(connection, "referral", ReferralRow._fields, new)
        except UniqueViolationError:
            raise ContendedError from None
    if changed:
        done = await connection.execute(CHANGE, *map(list, zip(*changed, strict=True)))
        if done != f"UPDATE {len(changed)}":
            raise ContendedError


async def due(connection: Connection, at: datetime, but: Collection[UUID], limit: int) -> list[ReferralId]:
    """Return the referrals whose clocks must be looked at by ``at``, but for those of ``but``, longest due first."""
    return [ReferralId(row["id"]) for row in await connection.fetch(DUE, at, list(but), limit)]


async def of_partner(connection: Connection, partner: OrganisationId) -> dict[ReferralId, Alias]:
    """Return the referrals with ``partner``, each with its alias."""
    return {ReferralId(row["id"]): Alias(row["alias"]) for row in await connection.fetch(OF_PARTNER, partner)}


async def of_alias(connection: Connection, alias: Alias) -> ReferralId | None:
    """Return which referral ``alias`` names, also where its case was erased."""
    found: ReferralId | None = await connection.fetchval(OF_ALIAS, alias)
    return found


async def alias_of(connection: Connection, referral: ReferralId) -> Alias | None:
    """Return by what our people call a referral that is there, also where its case was erased."""
    found: Alias | None = await connection.fetchval(ALIAS_OF, referral)
    return found


async def repeating_to(connection: Connection, at: datetime) -> list[OrganisationId]:
    """Return the partners to which something is to be said again by ``at``."""
    return [OrganisationId(row["partner"]) for row in await connection.fetch(REPEATING_TO, at)]


async def repeating(
    connection: Connection, at: datetime, to: Collection[OrganisationId], but: Collection[UUID], limit: int
) -> list[ReferralId]:
    """Return the referrals of which something is to be said again to one of ``to`` by ``at``, longest due first.

    Those of ``but`` are left out, and those of which something has yet to leave.
    """
    return [ReferralId(row["id"]) for row in await connection.fetch(REPEATING, at, list(to), list(but), limit)]


def _changing(row: ReferralRow) -> tuple[object, ...]:
    """Return what :data:`CHANGE` takes of ``row``."""
    now = (row.status, row.responsible, row.assignee, row.overdue, row.due_at, row.ended_at, row.receipt_at)
    return row.id, *now, row.course, row.repeat_at, row.version


class Referrals:
    """Referrals as ``us`` reads them."""

    def __init__(self, us: OrganisationId, vault: Vault) -> None:
        """Take whose copies they are, and what opens the keys of their cases."""
        self._us = us
        self._vault = vault
        self._told = Once()

    async def lock(
        self, connection: Connection, ids: Collection[UUID], of: Collection[UUID] = ()
    ) -> dict[UUID, Known[Referral] | Erased[Referral]]:
        """Return those of ``ids`` that are there and the referrals ``of`` these cases, each with its case's key.

        They are locked in the order of their ids.

        Raises:
            Later: ``newer-version-needed``: this version cannot read one of them; ``keyring-key-missing``.
        """
        if not ids and not of:
            return {}
        return {row["id"]: self._known(*row.values()) for row in await connection.fetch(LOCK, ids, of)}

    async def look_at(self, connection: Connection, referral: ReferralId) -> Referral:
        """Return one referral that is there, without a lock and without its case's key.

        Raises:
            Later: ``newer-version-needed``.
        """
        (row,) = await connection.fetch(LOOK_AT, referral)
        return self._readable(row.values())

    async def opened(self, connection: Connection, referral: Referral) -> Known[Referral] | Erased[Referral]:
        """Return ``referral`` with its case's key.

        Raises:
            Later: ``keyring-key-missing``.
        """
        epoch, wrapped = await folders.find(connection, referral.case)
        return folders.known(self._vault, referral, referral.case, epoch, wrapped)

    async def find(self, connection: Connection, referral: ReferralId) -> Referral | Erased[Referral] | Newer | None:
        """Return one referral, if it is there."""
        row = await connection.fetchrow(FIND, referral)
        if row is None:
            return None
        *columns, erased = row.values()
        found = self._read(columns)
        return Erased(found) if erased and isinstance(found, Referral) else found

    async def page(
        self, connection: Connection, status: Status | None, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[Referral | Newer]:
        """Return referrals, newest first, from ``after`` on; those whose case was erased are left out."""
        at, id_ = after or (None, None)
        return [self._read(row.values()) for row in await connection.fetch(PAGE, status, at, id_, limit)]

    async def of_cases(self, connection: Connection, cases: Collection[UUID]) -> list[Referral | Newer]:
        """Return the referrals of these cases, oldest first."""
        return [self._read(row.values()) for row in await connection.fetch(OF_CASES, cases)]

    def _known(self, *row: Any) -> Known[Referral] | Erased[Referral]:  # noqa: ANN401 - what asyncpg gives
        *columns, epoch, wrapped = row
        referral = self._readable(columns)
        return folders.known(self._vault, referral, referral.case, epoch, wrapped)

    def _readable(self, columns: Iterable[Any]) -> Referral:
        referral = self._read(columns)
        if isinstance(referral, Newer):
            raise Later(Refused.NEWER, ours=True)
        return referral

    def _read(self, columns: Iterable[Any]) -> Referral | Newer:
        row = ReferralRow(*columns)
        try:
            return from_row(row, self._us)
        except UNKNOWN as error:
            self._tell(row.id, error)
            return Newer(ReferralId(row.id), Alias(row.alias), CaseId(row.case_id), row.offered_at)

    def _tell(self, referral: UUID, why: Exception) -> None:
        """Tell whoever runs the node, once, that this version cannot read a referral."""
        if self._told.first(referral):
            log.error("referral.unreadable", referral_id=referral, code=Refused.NEWER, error=type(why).__name__)
            metrics.UNREADABLE.add(service=places.REFERRAL)
