"""Cases: what is known of a person, what they have allowed, and referrals that start from it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Body, Query
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.referral.domain import grants, sending
from services.referral.domain.cases import Case, open_case
from services.referral.domain.grants import Grant
from services.referral.domain.parts import write_part
from services.referral.domain.reading import read_case
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling
from services.referral.hears import About
from services.referral.known import Known
from services.referral.routes.office import Asked, Caseworker, TheOffice
from services.referral.routes.shown import (
    CaseShown,
    GrantAsked,
    GrantShown,
    OfferAsked,
    PaperShown,
    ReferralShown,
)
from services.referral.store import cases, folders, papers, referrals
from shared.contracts.codes import Category
from shared.contracts.ids import CaseId, ConversationId, GrantId, ReferralId
from shared.messaging.decision import Decision
from shared.web.problem import NOT_FOUND, Problem

router = APIRouter(prefix="/cases", tags=["cases"])

LONGEST_PAGE = 200


@router.post("", status_code=201)
async def open_(office: TheOffice, asked: Asked) -> CaseShown:
    """Open a case for somebody who came without a report or a referral."""
    id_ = CaseId(uuid4())
    decision = await office.act(asked, id_, About.CASE, lambda _, act: open_case(Case(id_, act.at, act.by)), opens=True)
    return CaseShown.of(_of(decision.state))


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
async def read(office: TheOffice, asked: Asked, case: CaseId) -> list[PaperShown]:
    """Open what staff have written into a case. The reading is written down first."""
    await office.act(asked, case, About.CASE, lambda known, act: read_case(_case(known), act))
    async with office.pool.acquire() as connection:
        folder = (await folders.find(connection, [case], office.vault))[case]
        return [PaperShown.of(paper) for paper in await papers.about(connection, case, folder)]


@router.get("/{case}/referrals")
async def list_referrals(office: TheOffice, member: Caseworker, case: CaseId) -> list[ReferralShown]:  # noqa: ARG001
    """List a case's referrals, oldest first."""
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


@router.post("/{case}/grants", status_code=201)
async def record_grant(office: TheOffice, asked: Asked, case: CaseId, body: GrantAsked) -> GrantShown:
    """Record what the person has allowed."""
    recorded: list[Grant] = []

    def rule(known: Known, act: Act) -> Decision[Grant]:
        grant = Grant(
            id=GrantId(next(act.ids)),
            case=_case(known).id,
            recipient=body.recipient,
            categories=body.categories,
            purposes=body.purposes,
            begins=act.at,
            until=body.until,
            form=body.form,
            language=body.language,
            given_by=body.given_by,
            explained=body.explained,
            feedback=body.feedback,
            told_of_transfer=body.told_of_transfer,
            recorded_by=asked.by.id,
            recorded_at=act.at,
        )
        recorded[:] = [grant]
        return grants.record(grant)

    await office.act(asked, case, About.CASE, rule)
    if not recorded:  # the same request again
        raise Problem(409, "request-repeated")
    return GrantShown.of(recorded[0])


@router.get("/{case}/grants")
async def list_grants(office: TheOffice, member: Caseworker, case: CaseId) -> list[GrantShown]:  # noqa: ARG001
    """List what the person has allowed, and taken back."""
    async with office.pool.acquire() as connection:
        folder = (await folders.find(connection, [case], office.vault)).get(case)
        if folder is None:
            raise Problem(404, NOT_FOUND)
        return [GrantShown.of(grant) for grant in await cases.grants(connection, folder)]


@router.post("/{case}/grants/{grant}/withdraw", status_code=204)
async def take_back(office: TheOffice, asked: Asked, case: CaseId, grant: GrantId) -> None:
    """Mark that the person has taken a grant back; always possible."""

    def rule(known: Known, act: Act) -> Decision[Grant]:
        found = next((each for each in known.grants if each.id == grant), None)
        return grants.take_back(found, act) if found else Decision.refused(NOT_FOUND)

    await office.act(asked, case, About.CASE, rule, whole=True)


@router.post("/{case}/referrals", status_code=201)
async def offer(office: TheOffice, asked: Asked, case: CaseId, body: OfferAsked) -> ReferralShown:
    """Offer the person to another organisation: all that is asked for, or nothing where a grant does not cover it."""
    id_ = ReferralId(uuid4())
    conversation = body.conversation or ConversationId(uuid4())

    def rule(known: Known, act: Act) -> Ruling[Referral]:
        wanted = sending.Offer(
            kind=body.kind,
            urgency=body.urgency,
            packet=known.packet(body.categories),
            identity_reason=body.identity_reason,
        )
        leg = sending.Leg(id_, conversation, _case(known).id, office.us)
        grounds = office.grounds(known, body.to, body.purpose)
        return sending.offer(wanted, leg, act, by=asked.by.id, grounds=grounds, hours=office.desk.hours)

    decision = await office.act(asked, id_, About.REFERRAL, rule, case=case, whole=True)
    if decision.state is None or decision.state.referral is None:
        raise Problem(409, "request-repeated")
    return ReferralShown.of(decision.state.referral)


def _case(known: Known) -> Case:
    if known.case is None:
        raise Problem(404, NOT_FOUND)
    return known.case


def _of(known: Known | None) -> Case:
    if known is None:
        raise Problem(404, NOT_FOUND)
    return _case(known)
