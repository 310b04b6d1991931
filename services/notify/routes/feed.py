"""``GET /api/feed``: what the reader is told, as it happens, as server-sent events (the HTML standard, section 9.2).

A reader that comes back with ``Last-Event-ID`` gets everything that it missed, each once and in order. A reader that is
too slow to take what it is sent is let go, and catches up when it comes back; nothing is kept for it in the meantime.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Send

from services.notify.bell import TooManyStreamsError
from services.notify.reading import LARGEST_PLACE, Reading
from services.notify.shown import NotificationShown
from services.notify.store.notifications import Place
from shared.telemetry.logs import get_logger
from shared.web.access import SignedIn
from shared.web.documented import problems
from shared.web.problem import Problem

EVENT: Final = "notification"
COME_BACK_MILLISECONDS: Final = 3000
SLOWEST_SECONDS: Final = 10.0
"""How long a reader may take to accept one event."""

BEGINNING: Final = format_sse_event(retry=COME_BACK_MILLISECONDS)

router = APIRouter(tags=["feed"])
log = get_logger(__name__)


class Feed(StreamingResponse):
    """A stream of events that does not wait for ever for its reader."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], language: str, slowest: float = SLOWEST_SECONDS) -> None:
        """Take the ``events``, and how many seconds a reader may take for one."""
        # Proxies (nginx) hold a stream back unless told not to.
        super().__init__(events, headers={"Content-Language": language, "X-Accel-Buffering": "no"})
        self._events = events
        self._slowest = slowest

    async def stream_response(self, send: Send) -> None:
        """Send events until they end or the reader is too slow."""
        async with aclosing(self._events) as events:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async for event in events:
                    await self._accepted(send, event, more=True)
                await self._accepted(send, b"", more=False)
            except TimeoutError:
                log.info("feed.let-go")

    async def _accepted(self, send: Send, body: bytes, *, more: bool) -> None:
        """Send ``body``; also the end, for which a stop waits.

        Raises:
            TimeoutError: the reader is too slow.
        """
        async with asyncio.timeout(self._slowest):
            await send({"type": "http.response.body", "body": body, "more_body": more})


@router.get(
    "/feed",
    response_class=Feed,
    status_code=200,
    summary="Follow what you are told",
    responses=problems(401, 422, 429, 503),
)
async def feed(
    request: Request,
    member: SignedIn,
    last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST_PLACE)] = None,
    after: Annotated[int | None, Query(ge=0, le=LARGEST_PLACE)] = None,
) -> Feed:
    """Follow what the reader is told. Each event is a ``notification``; a comment comes when nothing else does.

    Begins after ``Last-Event-ID``, or after ``after`` for a reader that has none; with neither, with what is unread.
    """
    reading: Reading = request.app.state.reading
    seen = after if last_event_id is None else last_event_id
    following = reading.follow(member, await reading.start(member, None if seen is None else Place(seen)))
    try:
        await anext(following)
    except TooManyStreamsError as refused:
        raise Problem(429, refused.code) from None
    return Feed(_encoded(following), reading.language(member))


async def _encoded(following: AsyncGenerator[NotificationShown | None]) -> AsyncGenerator[bytes]:
    async with aclosing(following):
        yield BEGINNING
        async for each in following:
            yield KEEPALIVE_COMMENT if each is None else _encode(each)


def _encode(shown: NotificationShown) -> bytes:
    return format_sse_event(data_str=shown.model_dump_json(), event=EVENT, id=str(shown.id))
