"""``GET /api/quarantine``: what the door keeps back, for operators. Why, how large, since when; never what is in it."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from services.intake.routes.entrance import Entrance, entrance, words_for
from shared.messaging import held
from shared.messaging.held import Parked
from shared.staff import Role
from shared.web.access import having
from shared.web.documented import problems

OPERATORS: Final = having(Role.OPERATOR)

LARGEST_PAGE: Final = 100


class KeptSaid(BaseModel):
    """One message that is kept back, or all that came from one origin for one reason and is only counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    source: str
    """The queue that it came from, or ``http``."""
    origin: str
    """Who brought it: the exchange that they may write to, or the partner that signed it."""
    reason: str
    title: str
    """The reason, in the reader's language."""
    attempts: int
    since: datetime
    last: datetime
    """When the last of them came."""
    count: int
    """How many came: more than one only where they are counted."""
    size: int
    """Of the last one, in bytes, as it came."""
    sha256: str | None
    """Of the last one, in hexadecimal, where it is not kept whole; then it cannot be replayed."""
    headers: tuple[str, ...]
    """The names of its headers, where these are all that is kept of them."""


class Quarantine(BaseModel):
    """What is kept back: how many entries in all, and the oldest of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    messages: tuple[KeptSaid, ...]


router = APIRouter(tags=["quarantine"], dependencies=[Depends(OPERATORS)])


@router.get("/quarantine", summary="List what is kept back", responses=problems(401, 404, 503))
async def list_quarantine(request: Request, here: Annotated[Entrance, Depends(entrance)]) -> Quarantine:
    """List the oldest messages that are kept back; as each is replayed or dropped, the next ones show."""
    async with here.pool.acquire() as connection:
        count = await held.count_parked(connection)
        oldest = await held.parked(connection, limit=LARGEST_PAGE)
    say = words_for(request)
    return Quarantine(
        count=count,
        messages=tuple(_said(each, say(each.reason)) for each in oldest),
    )


def _said(kept: Parked, title: str) -> KeptSaid:
    return KeptSaid(
        id=kept.id,
        source=kept.source,
        origin=kept.origin,
        reason=kept.reason,
        title=title,
        attempts=kept.attempts,
        since=kept.first_at,
        last=kept.last_at,
        count=kept.count,
        size=kept.size,
        sha256=kept.digest.hex() if kept.digest else None,
        headers=tuple(sorted(kept.headers)) if kept.digest else (),
    )
