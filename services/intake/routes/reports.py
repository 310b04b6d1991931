"""``POST /reports``: somebody tells of a person, and learns at once where to turn if it is not for us.

Anybody may report, without a name and without signing in. The report is checked, screened, sealed for our referral
service and forgotten here: nothing of it is stored or logged, and no answer repeats a word of it.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from services.intake.domain.screening import Screened, ScreeningReason, screen
from services.intake.domain.taking import TakeReport
from services.intake.domain.turning import Elsewhere
from services.intake.routes.entrance import PATIENCE_SECONDS, Entrance, check_media_type, entrance, words_for
from shared.contracts.codes import Reorientation, Verdict
from shared.contracts.event import EventId
from shared.contracts.ids import ReportId
from shared.contracts.problem import ProblemCode
from shared.contracts.report import Report
from shared.contracts.services import Service
from shared.messaging.delivery import Heard
from shared.telemetry import metrics, traces
from shared.uuids import random_uuid
from shared.web.body import read_body
from shared.web.documented import SCHEMAS, problems
from shared.web.idempotency import fingerprint, request_id
from shared.web.problem import Problem, invalid

LARGEST_BYTES: Final = 65_536
JSON_TYPE: Final = "application/json"

IDEMPOTENCY: Final = "Idempotency-Key"
"""draft-ietf-httpapi-idempotency-key-header: the caller's own random word for this report."""


class Answered(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LineSaid(Answered):
    """A service that answers."""

    name: str
    number: str


class ElsewhereSaid(Answered):
    """A kind of help."""

    to: Reorientation
    title: str
    """What it is, in the reader's language."""
    lines: tuple[LineSaid, ...]


class ReportSaid(Answered):
    """The report is taken, and this is what it looks like at first sight."""

    report: ReportId
    """Its number, to be named when calling back."""
    verdict: Verdict
    title: str
    """What happens now, in the reader's language."""
    reasons: tuple[ScreeningReason, ...]
    criteria_met: int
    """Of CCEM's seven."""
    indicators_met: int
    """Of the ILO's eleven."""
    turn_to: tuple[ElsewhereSaid, ...]
    """Where there is help, the most pressing first."""


DESCRIBED: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"$ref": SCHEMAS.format(model=Report.__name__)}}},
    },
}

router = APIRouter(tags=["reports"])


@router.post(
    "/reports",
    status_code=201,
    summary="Report a person who may be exploited",
    responses=problems(400, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=DESCRIBED,
)
async def report(
    request: Request,
    here: Annotated[Entrance, Depends(entrance)],
    idempotency_key: Annotated[str | None, Header(min_length=8, max_length=200, pattern=r"^[\x21-\x7e]+$")] = None,
) -> ReportSaid:
    """Take a report: it is screened, sealed for the organisation's own staff, and given a number."""
    check_media_type(request, JSON_TYPE)
    here.paces.count_report(request, here.clock)
    body = await read_body(request, LARGEST_BYTES)
    told = _read(body)
    found = screen(told, here.remit)
    command = TakeReport(ReportId(random_uuid()), EventId(random_uuid()), told, found)
    number = await _take(here, command, body, idempotency_key)
    if number == command.id:
        metrics.REPORTS.add(service=Service.INTAKE, verdict=found.verdict)
    return _answer(words_for(request), number, found)


def _read(body: bytes) -> Report:
    try:
        return Report.model_validate_json(body)
    except ValidationError as refused:
        raise invalid(refused.errors(include_url=False, include_input=False)) from None


async def _take(here: Entrance, command: TakeReport, body: bytes, word: str | None) -> ReportId:
    """Make it true, and return the report's number: the first one, where the same report came under this word."""
    known_by = request_id("report", word) if word else None
    heard = Heard(
        known_by,
        fingerprint(word, body) if word else b"",
        known_by or command.id,
        command,
        traces.current_traceparent(),
        attributes={"report_id": command.id},
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        decision = await here.reports.act(heard)
    if decision.refusal is not None:
        raise Problem(409, ProblemCode.KEY_REUSED)
    return decision.state or command.id


def _answer(say: Callable[[str], str], number: ReportId, found: Screened) -> ReportSaid:
    return ReportSaid(
        report=number,
        verdict=found.verdict,
        title=say(f"verdict-{found.verdict}"),
        reasons=found.reasons,
        criteria_met=len(found.signs.criteria),
        indicators_met=len(found.signs.indicators),
        turn_to=tuple(_elsewhere(say, each) for each in found.turn_to),
    )


def _elsewhere(say: Callable[[str], str], elsewhere: Elsewhere) -> ElsewhereSaid:
    lines = tuple(LineSaid(name=line.name, number=line.number) for line in elsewhere.lines)
    return ElsewhereSaid(to=elsewhere.to, title=say(f"turn-to-{elsewhere.to}"), lines=lines)
