"""Cases: what is known of a person, what they have allowed, and referrals that start from it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.referral.domain import grants, sending
from services.referral.domain.cases import Case, open_case
from services.referral.domain.grants import Grant
from services.referral.domain.parts import cut, write_part
from services.referral.domain.reading import read_case
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Act, Ruling
from services.referral.known import About, Folder, Known
from services.referral.routes.office import REFUSALS, Asked, Caseworker, Office, Reader, TheOffice
from services.referral.routes.shown import (
    CaseShown,
    GrantAsked,
    GrantShown,
    OfferAsked,
    PaperShown,
    ReferralShown,
    Shown,
)
from services.referral.store import cases, folders, papers, referrals
from shared.contracts.codes import Category
from shared.contracts.ids import CaseId, ConversationId, GrantId, ReferralId
from shared.messaging.decision import Decision
from shared.uuids import random_uuid
from shared.web.problem import NOT_FOUND, Problem

router = APIRouter(prefix="/cases", tags=["cases"], responses=REFUSALS)

LONGEST_PAGE = 200
REPEATED = 200
"""The same request has been here before: what it made is shown again."""
NO_CASE = UUID(int=0)


def again(model: type[Shown]) -> dict[int | str, dict[str, Any]]:
    """Describe what a repeated request is answered with."""
    return {REPEATED: {"model": model, "description": "The same request has been here before: what it made."}}


@router.post("", status_code=201, responses=again(CaseShown))
async def open_(office: TheOffice, asked: Asked, response: Response) -> CaseShown:
    """Open a case for somebody who came without a report or a referral."""
    id_ = CaseId(asked.fresh(NO_CASE))
    decision = await office.act(asked, id_, About.CASE, lambda _, act: open_case(Case(id_, act.at, act.by)), opens=True)
    if decision.state is None:
        response.status_code = REPEATED
    return CaseShown.of(await office.read(lambda connection: cases.find(connection, id_)))


@router.get("")
async def list_cases(
    office: TheOffice,
    member: Caseworker,  # noqa: ARG001 - who may
    before: datetime | None = None,
    before_id: CaseId | None = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> list[CaseShown]:
    """List cases, newest first; ``before`` and ``before_id`` of the last one lead to the next page."""
    after = (before, before_id) if before and before_id else None
    async with office.pool.acquire() as connection:
        return [CaseShown.of(case) for case in await cases.page(connection, after, limit)]


@router.get("/{case}")
async def show(office: TheOffice, member: Caseworker, case: CaseId) -> CaseShown:  # noqa: ARG001
    """Say when and by whom a case was opened."""
    return CaseShown.of(await office.read(lambda connection: cases.find(connection, case)))


@router.get("/{case}/papers")
async def read(office: TheOffice, reader: Reader, case: CaseId) -> list[PaperShown]:
    """Open what staff have written into a case. The reading is written down first."""
    await office.act(reader, case, About.CASE, lambda known, act: read_case(_case(known), act))
    folder = await _folder(office, case)
    async with office.pool.acquire() as connection:
        return [PaperShown.of(paper) for paper in await papers.about(connection, case, folder)]


@router.get("/{case}/referrals")
async def list_referrals(office: TheOffice, member: Caseworker, case: CaseId) -> list[ReferralShown]:  # noqa: ARG001
    """List a case's referrals, oldest first."""
    await office.read(lambda connection: cases.find(connection, case))
    async with office.pool.acquire() as connection:
        return [ReferralShown.of(referral) for referral in await referrals.of_case(connection, case, office.us)]


@router.put("/{case}/parts/{category}", status_code=204)
async def write(
    office: TheOffice, asked: Asked, case: CaseId, category: Category, body: Annotated[dict[str, Any], Body()]
) -> None:
    """Write one category of a case; the versions before it are kept."""
    try:
        content = papers.MODELS[category].model_validate(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False, include_url=False)) from None
    await office.act(asked, case, About.CASE, lambda known, act: write_part(_case(known), category, content, act))


@router.post("/{case}/grants", status_code=201, responses=again(GrantShown))
async def record_grant(
    office: TheOffice, asked: Asked, case: CaseId, body: GrantAsked, response: Response
) -> GrantShown:
    """Record what the person has allowed."""
    id_ = GrantId(asked.fresh(case))

    def rule(known: Known, act: Act) -> Decision[Grant]:
        return grants.record(body.grant(id_, _case(known).id, by=asked.by.id, at=act.at))

    decision = await office.act(asked, case, About.CASE, rule)
    if decision.state is None:
        response.status_code = REPEATED
    return GrantShown.of(next(grant for grant in await _grants(office, case) if grant.id == id_))


@router.get("/{case}/grants")
async def list_grants(office: TheOffice, member: Caseworker, case: CaseId) -> list[GrantShown]:  # noqa: ARG001
    """List what the person has allowed, and taken back."""
    return [GrantShown.of(grant) for grant in await _grants(office, case)]


@router.post("/{case}/grants/{grant}/withdraw", status_code=204)
async def take_back(office: TheOffice, asked: Asked, case: CaseId, grant: GrantId) -> None:
    """Mark that the person has taken a grant back, and tell its recipient; always possible."""

    def rule(known: Known, act: Act) -> Decision[Grant]:
        found = next((each for each in known.grants if each.id == grant), None)
        return sending.take_back(found, known.legs, act) if found else Decision.refused(NOT_FOUND)

    await office.act(asked, case, About.CASE, rule, whole=True)


@router.post("/{case}/referrals", status_code=201, responses=again(ReferralShown))
async def offer(office: TheOffice, asked: Asked, case: CaseId, body: OfferAsked, response: Response) -> ReferralShown:
    """Offer the person to another organisation: all that is asked for, or nothing where a grant does not cover it."""
    id_ = ReferralId(asked.fresh(case))
    leg = sending.Leg(id_, body.conversation or ConversationId(random_uuid()), case, office.us)

    def rule(known: Known, act: Act) -> Ruling[Referral]:
        if body.conversation and not sending.joins(body.conversation, known.legs):
            return Ruling.refused(Refused.OTHER_CONVERSATION)
        packet = cut(known.parts, body.categories)
        if isinstance(packet, Ruling):
            return packet
        wanted = sending.Offer(
            kind=body.kind, urgency=body.urgency, packet=packet, identity_reason=body.identity_reason
        )
        grounds = office.grounds(known, body.to, body.purpose)
        return sending.offer(wanted, leg, act, by=asked.by.id, grounds=grounds, hours=office.desk.hours)

    decision = await office.act(asked, id_, About.REFERRAL, rule, case=case, whole=True)
    if decision.state is None:
        response.status_code = REPEATED
    found, _ = await office.read(lambda connection: referrals.find(connection, id_, office.us, office.vault))
    return ReferralShown.of(found)


async def _folder(office: Office, case: CaseId) -> Folder:
    found = await office.read(lambda connection: folders.find(connection, [case], office.vault))
    if case not in found:
        raise Problem(404, NOT_FOUND)
    return found[case]


async def _grants(office: Office, case: CaseId) -> tuple[Grant, ...]:
    await office.read(lambda connection: cases.find(connection, case))
    folder = await _folder(office, case)
    return await office.read(lambda connection: cases.grants(connection, folder))


def _case(known: Known) -> Case:
    if known.case is None:
        raise Problem(404, NOT_FOUND)
    return known.case
