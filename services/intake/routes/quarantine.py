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
LONGEST_SIZE: Final = 12
"""Digits."""


class KeptSaid(BaseModel):
    """One message that is kept back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    source: str
    """The queue that it came from, or ``http``."""
    reason: str
    title: str
    """The reason, in the reader's language."""
    attempts: int
    since: datetime
    size: int
    """In bytes, as it came; of what is larger than any envelope only the size and the digest are kept."""


class Quarantine(BaseModel):
    """What is kept back: how many in all, and the oldest of them."""

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
        messages=tuple(
            KeptSaid(
                id=each.id,
                source=each.source,
                reason=each.reason,
                title=say(each.reason),
                attempts=each.attempts,
                since=each.first_at,
                size=_size(each),
            )
            for each in oldest
        ),
    )


def _size(kept: Parked) -> int:
    """Return the size as it came. Of a body that is not kept the headers say it; a partner may have written them."""
    said = kept.headers.get("relais-size", "")
    return int(said) if not kept.size and said.isdecimal() and len(said) < LONGEST_SIZE else kept.size
