"""``GET /quarantine``: what the door keeps back, for operators. Why, how large and since when; never what is in it."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from services.intake.routes.entrance import Entrance, entrance, words_for
from shared.messaging import held
from shared.staff import Role
from shared.web.access import having
from shared.web.documented import problems

OPERATORS: Final = having(Role.OPERATOR)

LARGEST_PAGE: Final = 100


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
    """In bytes."""


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
                size=each.size,
            )
            for each in oldest
        ),
    )
