"""``POST /events``: a sealed envelope from a partner who has no AMQP. The same bytes, the same rules, one answer.

The body is the envelope, the ``ce-`` headers repeat its visible part (CloudEvents, HTTP binding, binary mode). Who may
speak is told by the signature, so that there is nothing to sign in with. The answer is the signed receipt.

Over AMQP what nobody has signed is counted by who brought it: only partners can put something on the queue. Here
anybody can, so that what nobody has signed, or is addressed to somebody else, is refused on the spot and not even
counted: it would wear out our operators.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from services.intake.domain.admission import Arrival, Given, GiveReceipt, Speaker
from services.intake.hears import HTTP, UNRECOGNISED
from services.intake.routes.entrance import PATIENCE_SECONDS, Entrance, check_media_type, entrance
from services.intake.store import receipts
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery, Heard
from shared.messaging.desk import REUSED
from shared.messaging.holding import FAILED
from shared.messaging.shell import BUSY
from shared.sealing.codes import DirectoryCode, EnvelopeCode, KeyringCode
from shared.sealing.envelope import SIZES
from shared.sealing.header import CONTENT_TYPE, TYPE
from shared.web.body import read_body
from shared.web.documented import problems
from shared.web.problem import KEY_RETRY_SECONDS, Problem, try_again

RECEIPT_TYPE: Final = "application/vnd.relais.receipt"
"""A C2SP signed note: see docs/protocol/receipts.md."""

NOT_TAKEN: Final = "message-not-taken"
"""It was here before and was refused, or waits for something: it has no receipt."""

NOT_RECOGNISED: Final = "sender-not-recognised"
"""Nobody whom we know has signed this. To say more would tell anybody who asks with whom we work."""

STATUSES: Final[dict[str, int]] = {
    EnvelopeCode.OVERSIZED: 413,
    EnvelopeCode.POSTDATED: 503,
    DirectoryCode.KEY_EXPIRED: 403,
    DirectoryCode.KEY_WRONG_PURPOSE: 403,
    DirectoryCode.AGREEMENT_NONE: 403,
    DirectoryCode.AGREEMENT_EXPIRED: 403,
    KeyringCode.KEY_MISSING: 503,
    REUSED: 409,
}
"""The HTTP status of each refusal; every other one is 400, and our own fault 500."""

COME_AGAIN_SECONDS: Final[dict[str, int]] = {
    EnvelopeCode.POSTDATED: 600,
    KeyringCode.KEY_MISSING: KEY_RETRY_SECONDS,
}

CE_HEADERS: Final = (
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "recipient",
    "expires",
    "keyid",
    "inboxkeys",
    "sequence",
)

DESCRIBED: Final[dict[str, Any]] = {
    "parameters": [
        {"name": f"ce-{name}", "in": "header", "required": True, "schema": {"type": "string"}} for name in CE_HEADERS
    ],
    "requestBody": {
        "required": True,
        "description": f"The sealed envelope, of one of four sizes: {', '.join(map(str, SIZES))} bytes.",
        "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary", "maxLength": SIZES[-1]}}},
    },
}
"""What FastAPI cannot see, because the body is read by the route itself."""

router = APIRouter(tags=["events"])


@router.post(
    "/events",
    status_code=202,
    summary=f"Bring a sealed envelope ({TYPE})",
    response_class=Response,
    responses={
        202: {"description": "Taken; the receipt.", "content": {RECEIPT_TYPE: {"schema": {"type": "string"}}}},
        200: {"description": "Taken before; the same receipt.", "content": {RECEIPT_TYPE: {}}},
        204: {"description": "Taken; a receipt gets no receipt."},
        **problems(400, 403, 408, 409, 413, 415, 429, 503),
    },
    openapi_extra=DESCRIBED,
)
async def bring(request: Request, here: Annotated[Entrance, Depends(entrance)]) -> Response:
    """Take an envelope, and answer with the receipt."""
    check_media_type(request, CONTENT_TYPE)
    here.paces.count_event(request, here.clock)
    (read,) = here.events.read([Delivery(await read_body(request, SIZES[-1]), _beside(request), HTTP)])
    heard = read.heard
    if not isinstance(heard, Heard):
        raise _unread(heard.code)
    here.paces.check_partner(heard.what.sender, here.clock)
    read = replace(read, delivery=read.delivery.brought_by(heard.what.sender))
    async with asyncio.timeout(PATIENCE_SECONDS):
        (decision,) = await here.events.take([read])
        if decision.says or decision.refusal:
            here.paces.count_partner(heard.what.sender, here.clock)
        if decision.refusal is not None:
            raise _refused(decision.refusal.code)
        async with here.pool.acquire() as connection:
            given = (await receipts.find(connection, [heard.key])).get(heard.key)
    return _answer(heard, decision, given, here.clock.now())


def _beside(request: Request) -> dict[str, str]:
    """Return the headers that belong to the message: the others say who the caller is, and are not kept."""
    return {name: value for name, value in request.headers.items() if name.startswith("ce-")}


def _answer(heard: Heard[Arrival], decision: Decision[Given], given: Given | None, at: datetime) -> Response:
    if given is None:
        if heard.what.speaker is Speaker.INTAKE:
            return Response(status_code=204)
        if at >= heard.what.expires:
            raise _refused(EnvelopeCode.EXPIRED)
        raise Problem(409, NOT_TAKEN)
    fresh = any(isinstance(each, GiveReceipt) for each in decision.says)
    return Response(given.note, 202 if fresh else 200, media_type=RECEIPT_TYPE)


def _unread(code: str) -> Problem:
    """Return the answer to somebody whose signature does not hold: the same, whether we know whom it names or not."""
    return Problem(403, NOT_RECOGNISED) if code in UNRECOGNISED else _refused(code)


def _refused(code: str) -> Problem:
    if code == BUSY:
        return try_again()
    seconds = COME_AGAIN_SECONDS.get(code)
    status = STATUSES.get(code, 500 if code == FAILED else 400)
    return Problem(status, code, headers={"Retry-After": str(seconds)} if seconds else {})
