"""A partner's intake over HTTP: docs/protocol/http.md. The envelope says who speaks: nobody signs in."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx

from . import moments, receipts
from .envelope import CONTENT_TYPE, read
from .outcomes import Later, Outcome, Receipted, Rejected, Taken
from .store import Outgoing

TIMEOUT = 20.0
"""Seconds in which the intake must answer."""
PAUSE = 5.0
"""Seconds until the same bytes go again, where the answer does not say."""
LONGEST_PAUSE = 300.0
MEDIA_TYPE = {"Content-Type": CONTENT_TYPE}
STILL_WAITS = "message-not-taken"
"""It came before, and may have no receipt yet only because it waits: it is asked for again."""
NOT_RECOGNISED = "sender-not-recognised"
"""Our keys, or the agreement, may be new and not have reached the partner yet."""
NEWS_TAKES = timedelta(days=1)
"""How long after it was sealed an envelope goes again because of that: docs/protocol/http.md, section 2."""
NEWS_PAUSE = 60.0
AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class WebLink:
    """A way to one partner's intake."""

    client: httpx.AsyncClient
    clock: Callable[[], datetime] = moments.now

    async def send(self, made: Outgoing) -> Outcome:
        """Post an envelope, and say what the intake answers."""
        header = read(made.envelope).header
        headers = {**MEDIA_TYPE, **header.labels()}
        try:
            answer = await self.client.post("/events", content=made.envelope, headers=headers)
        except httpx.HTTPError:
            return Later("no-answer", PAUSE)
        if answer.status_code in (HTTPStatus.ACCEPTED, HTTPStatus.OK):
            taken = answer.headers.get("Content-Type", "").partition(";")[0].strip() == receipts.CONTENT_TYPE
            return Receipted(answer.text) if taken else Later("no-receipt", PAUSE)
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return Taken()
        code = _code(answer)
        if answer.status_code in AGAIN or answer.is_server_error or code == STILL_WAITS:
            return Later(code, _pause(answer))
        if code == NOT_RECOGNISED and self.clock() < header.time + NEWS_TAKES:
            return Later(code, NEWS_PAUSE)
        return Rejected(code)


@asynccontextmanager
async def reached(url: str) -> AsyncIterator[WebLink]:
    """Open a way to the intake at a URL."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, follow_redirects=False) as client:
        yield WebLink(client)


def _code(answer: httpx.Response) -> str:
    """Return the code of a problem (RFC 9457), and nothing else of the answer."""
    try:
        stated = answer.json()
    except ValueError:
        stated = None
    code = stated.get("code") if isinstance(stated, dict) else None
    known = isinstance(code, str) and code.replace("-", "").isalnum() and code.isascii()
    return str(code) if known else f"http-{answer.status_code}"


def _pause(answer: httpx.Response) -> float:
    seconds = answer.headers.get("Retry-After", "")
    return min(float(seconds), LONGEST_PAUSE) if seconds.isdecimal() else PAUSE
