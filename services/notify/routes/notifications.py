"""``GET /api/notifications`` and ``POST /api/notifications/{notification}/read``: each member's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from services.notify.reading import LARGEST_PLACE, Reading
from services.notify.shown import Page
from services.notify.store.notifications import Place
from shared.web.access import SignedIn
from shared.web.documented import problems
from shared.web.problem import NOT_FOUND, Problem

router = APIRouter(tags=["notifications"])

PlaceParameter = Annotated[int, Path(ge=1, le=LARGEST_PLACE)]


@router.get("/notifications", summary="List what you were told", responses=problems(401, 422, 503))
async def notifications(
    request: Request,
    response: Response,
    member: SignedIn,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_PLACE)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    *,
    unread: bool = False,
) -> Page:
    """List what the reader was told, newest first; with ``unread`` only what they have not read."""
    reading: Reading = request.app.state.reading
    response.headers["Content-Language"] = reading.language(member)
    return await reading.page(member, None if before is None else Place(before), limit, unread_only=unread)


@router.post(
    "/notifications/{notification}/read",
    status_code=204,
    summary="Mark one as read",
    responses=problems(401, 404, 422, 503),
)
async def read(request: Request, member: SignedIn, notification: PlaceParameter) -> None:
    """Mark one as read. It is not mailed any more, if it was going to be."""
    reading: Reading = request.app.state.reading
    if not await reading.mark_read(member, Place(notification)):
        raise Problem(404, NOT_FOUND)
