"""Personal documents, each encrypted under the key of its folder and bound to its own id and name.

A newer document stands beside the older one: no version is ever written over. Which is the newer one, the order of
writing says (`place`), and no clock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.referral.domain.life import Side
from services.referral.domain.moves import KEPT_WHOLE
from services.referral.domain.retelling import Papers, Unreadable
from services.referral.domain.ruling import Note, Paper, PaperName
from services.referral.known import Folder
from services.referral.store.unreadable import if_readable
from shared.contracts.codes import Category
from shared.contracts.event_data import Meeting
from shared.contracts.packet import (
    Administrative,
    Documents,
    ExploitationRecord,
    Family,
    Health,
    Identity,
    Legal,
    Narrative,
    Risk,
    SafeContact,
    Summary,
)
from shared.contracts.personal import Personal
from shared.contracts.report import ReportTakenData
from shared.storage.pool import Connection
from shared.storage.rows import insert
from shared.uuids import random_uuid
from shared.values import dataclass

COLUMNS: Final = ("id", "folder", "about", "name", "side", "n", "at", "body")

ABOUT: Final = "SELECT id, name, side, n, at, body FROM paper WHERE about = $1 AND folder = $2 ORDER BY place"

OF_SIDE: Final = """
SELECT id, name, side, n, at, body FROM paper
WHERE about = $1 AND folder = $2 AND side = $3 AND n = ANY($4::integer[]) ORDER BY place
"""

NEWEST: Final = """
SELECT DISTINCT ON (name) id, name, side, n, at, body
FROM paper WHERE folder = $1 AND about = $1 AND name = ANY($2::text[]) ORDER BY name, place DESC
"""

GONE: Final = """
SELECT DISTINCT name FROM paper WHERE about = $1 AND folder = $2 AND side = 'sender' AND name = ANY($3::text[])
"""

MODELS: Final[Mapping[str, type[Personal]]] = MappingProxyType(
    {
        Category.SUMMARY: Summary,
        Category.IDENTITY: Identity,
        Category.SAFE_CONTACT: SafeContact,
        Category.NARRATIVE: Narrative,
        Category.FAMILY: Family,
        Category.HEALTH: Health,
        Category.LEGAL: Legal,
        Category.ADMINISTRATIVE: Administrative,
        Category.EXPLOITATION: ExploitationRecord,
        Category.RISK: Risk,
        Category.DOCUMENTS: Documents,
        PaperName.IDENTITY_REASON: Note,
        PaperName.ANSWER: Note,
        PaperName.MEETING: Meeting,
        PaperName.REPORT: ReportTakenData,
        **{name: model for model, name in KEPT_WHOLE.items()},
    },
)
"""What a paper of each name holds."""

_CATEGORIES: Final = [category.value for category in Category]


@dataclass(frozen=True, slots=True)
class KeptPaper:
    """A document, opened."""

    name: str
    side: Side | None
    n: int
    at: datetime
    content: Personal = field(repr=False)


async def keep(connection: Connection, papers: Sequence[tuple[Paper, Folder]], at: datetime) -> None:
    """Keep ``papers``, each encrypted under the key of its folder."""
    if papers:
        await insert(connection, "paper", COLUMNS, [_row(paper, folder, at) for paper, folder in papers])


async def about(connection: Connection, about: UUID, folder: Folder) -> list[KeptPaper]:
    """Return every document about a referral, a report or a case, oldest first.

    A partner chooses the ids of its referrals, and may have chosen that of something else: only what lies in ``folder``
    is about what was asked for.
    """
    return [_kept(tuple(row.values()), folder) for row in await connection.fetch(ABOUT, about, folder.id)]


async def of_side(
    connection: Connection, referral: UUID, side: Side, folder: Folder, numbers: Collection[int]
) -> dict[int, Papers]:
    """Return the documents that the events of these ``numbers`` of one side have brought, by number and name.

    ``Unreadable`` stands for one that cannot be opened.
    """
    found: dict[int, dict[str, Personal]] = {}
    for row in await connection.fetch(OF_SIDE, referral, folder.id, side, list(numbers)):
        kept = _if_readable(tuple(row.values()), folder)
        found.setdefault(row["n"], {})[row["name"]] = kept.content if kept is not None else Unreadable()
    return dict(found)


async def newest_parts(
    connection: Connection, folder: Folder, of: Iterable[Category] = Category
) -> Mapping[Category, Personal]:
    """Return the newest document ``of`` each category that staff have written into a case, not what partners sent.

    One that cannot be opened is left out, as if it had yet to be written; no older one takes its place.
    """
    rows = await connection.fetch(NEWEST, folder.id, [category.value for category in of])
    kept = (_if_readable(tuple(row.values()), folder) for row in rows)
    return {Category(each.name): each.content for each in kept if each is not None}


async def gone(connection: Connection, referral: UUID, folder: Folder) -> frozenset[Category]:
    """Return the categories that the sender of a referral has disclosed with it; of anything else, none."""
    return frozenset(Category(row["name"]) for row in await connection.fetch(GONE, referral, folder.id, _CATEGORIES))


def _row(paper: Paper, folder: Folder, at: datetime) -> tuple[object, ...]:
    id_ = random_uuid()
    body = folder.cipher.seal(_encoded(paper.content), _label(id_, paper.name))
    return id_, paper.case, paper.about, paper.name, paper.side, paper.n, at, body


def _kept(row: tuple[UUID, str, str | None, int, datetime, bytes], folder: Folder) -> KeptPaper:
    id_, name, side, n, at, body = row
    content = MODELS[name].model_validate_json(folder.cipher.open(body, _label(id_, name)))
    return KeptPaper(name, Side(side) if side else None, n, at, content)


def _if_readable(row: tuple[UUID, str, str | None, int, datetime, bytes], folder: Folder) -> KeptPaper | None:
    return if_readable(row[0], partial(_kept, row, folder))


def _encoded(content: Personal) -> bytes:
    return content.__pydantic_serializer__.to_json(content, exclude_none=True)


def _label(paper: UUID, name: str) -> bytes:
    return b"paper\0" + paper.bytes + name.encode()
