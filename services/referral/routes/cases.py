"""Cases: what is known of a person, what they have allowed, and referrals that start from it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.referral.commands import Command, Looks, NewCase
from services.referral.domain import casework, sending
from services.referral.domain.grants import Grant
from services.referral.domain.reading import read_case, read_grants
from services.referral.domain.sending import OfferAsked
from services.referral.routes.asked import GrantAsked
from services.referral.routes.office import (
    CASEWORKERS,
    REFUSALS,
    REPEATED,
    Asked,
    Caller,
    Office,
    Reader,
    TheOffice,
    ThePage,
    TheWords,
    made,
    readable,
)
from services.referral.routes.shown import CaseShown, GrantShown, NewerShown, PaperShown, ReferralShown, Shown
from services.referral.store import cases, papers
from shared.contracts.codes import Category
from shared.contracts.ids import CaseId, GrantId, ReferralId

router = APIRouter(prefix="/cases", tags=["cases"], responses=REFUSALS, dependencies=[Depends(CASEWORKERS)])

NO_CASE = UUID(int=0)


def again(model: type[Shown]) -> dict[int | str, dict[str, Any]]:
    """Describe what a repeated request is answered with."""
    return {REPEATED: {"model": model, "description": "The same request has been here before: what it made."}}


@router.post("", status_code=201, responses=again(CaseShown))
async def open_(office: TheOffice, asked: Asked, response: Response) -> CaseShown:
    """Open a case for somebody who came without a report or a referral."""
    id_ = CaseId(asked.fresh(NO_CASE))
    made(await office.act(asked, id_, NewCase(asked.by.id, id_)), response)
    return CaseShown.of(await office.read(lambda connection: cases.find(connection, id_)))


@router.get("")
async def list_cases(
    office: TheOffice,
    page: ThePage,
) -> list[CaseShown]:
    """List cases, newest first; ``before`` and ``before_id`` of the last one, together, lead to the next page."""
    async with office.pool.acquire() as connection:
        return [CaseShown.of(case) for case in await cases.page(connection, page.after, page.limit)]


@router.get("/{case}")
async def show(office: TheOffice, case: CaseId) -> CaseShown:
    """Say when and by whom a case was opened."""
    return CaseShown.of(await office.read(lambda connection: cases.find(connection, case)))


@router.get("/{case}/papers")
async def read(office: TheOffice, reader: Reader, case: CaseId) -> list[PaperShown]:
    """Open what staff have written into a case. The reading is written down first."""
    command = Command.about_case(reader.by.id, lambda known, act: read_case(known.thing, act))
    return [PaperShown.of(paper) for paper in await office.open_papers(reader, case, command)]


@router.get("/{case}/referrals")
async def list_referrals(office: TheOffice, case: CaseId, say: TheWords) -> list[ReferralShown | NewerShown]:
    """List a case's referrals, oldest first."""
    await office.read(lambda connection: cases.find(connection, case))
    async with office.pool.acquire() as connection:
        found = await office.referrals.of_cases(connection, [case])
    return await office.listed(found, say)


@router.put("/{case}/parts/{category}", status_code=204)
async def write(
    office: TheOffice, asked: Asked, case: CaseId, category: Category, body: Annotated[dict[str, Any], Body()]
) -> None:
    """Write one category of a case; the versions before it are kept."""
    try:
        content = papers.MODELS[category].model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False, include_url=False)) from None
    command = Command.about_case(
        asked.by.id, lambda known, act: casework.write_part(known.thing, act, category, content)
    )
    await office.act(asked, case, command)


@router.post("/{case}/grants", status_code=201, responses=again(GrantShown))
async def record_grant(
    office: TheOffice, asked: Asked, case: CaseId, body: GrantAsked, response: Response
) -> GrantShown:
    """Record what the person has allowed."""
    id_ = GrantId(asked.fresh(case))
    command = Command.about_case(
        asked.by.id, lambda _, act: casework.record(body.grant(id_, case, by=asked.by.id, at=act.at))
    )
    kept = await office.act(asked, case, command)
    made(kept, response)
    grants = await _grants(office, asked.reading(), case) if kept.repeated else [each.grant for each in kept.rulings]
    return next(GrantShown.of(grant) for grant in grants if grant is not None and grant.id == id_)


@router.get("/{case}/grants")
async def list_grants(office: TheOffice, reader: Reader, case: CaseId) -> list[GrantShown]:
    """List what the person has allowed, and taken back. The reading is written down first."""
    return [GrantShown.of(grant) for grant in await _grants(office, reader, case)]


@router.post("/{case}/grants/{grant}/withdraw", status_code=204)
async def take_back(office: TheOffice, asked: Asked, case: CaseId, grant: GrantId) -> None:
    """Mark that the person has taken a grant back, and tell its recipient; always possible."""
    command = Command.about_case(
        asked.by.id, lambda known, act: casework.take_back(known.file, act, grant), looks=Looks.AT_CONSENT
    )
    await office.act(asked, case, command)


@router.post("/{case}/referrals", status_code=201, responses=again(ReferralShown))
async def offer(office: TheOffice, asked: Asked, case: CaseId, body: OfferAsked, response: Response) -> ReferralShown:
    """Offer the person to another organisation: all that is asked for, or nothing where a grant does not cover it."""
    leg = sending.Leg(ReferralId(asked.fresh(case)), case, office.us, asked.by.id)
    command = Command.offering(
        asked.by.id,
        leg.referral,
        lambda known, act: sending.offer(leg, act, body, known.file, office.recipients.of(body.to, act.at)),
    )
    made(await office.act(asked, case, command), response)
    return await office.standing(leg.referral)


async def _grants(office: Office, reader: Caller, case: CaseId) -> tuple[Grant, ...]:
    command = Command.about_case(reader.by.id, lambda known, act: read_grants(known.thing, act))
    kept = await office.act(reader, case, command)
    return await office.read(lambda connection: cases.grants(connection, readable(kept)))
