"""The life of a referral, as staff live it: one route for each step that their side can say."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from services.referral.domain import receiving, sending
from services.referral.domain.parts import cut
from services.referral.domain.reading import read_packet
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling
from services.referral.known import About, Known
from services.referral.routes.office import REFUSALS, Asked, Caller, Caseworker, Office, Reader, TheOffice
from services.referral.routes.shown import (
    AcceptAsked,
    AnswerAsked,
    DiscloseAsked,
    PaperShown,
    ReceiptShown,
    ReferralShown,
    WithdrawAsked,
)
from services.referral.store import papers, proofs, referrals
from shared.contracts.codes import Status
from shared.contracts.exchange import (
    AnsweredData,
    AskedData,
    ClosedData,
    DeclinedData,
    MissedData,
    ProgressedData,
    RedirectedData,
)
from shared.contracts.ids import ReferralId
from shared.messaging.decision import Decision
from shared.web.problem import NOT_FOUND, Problem

router = APIRouter(prefix="/referrals", tags=["referrals"], responses=REFUSALS)

LONGEST_PAGE = 200


@router.get("")
async def list_referrals(
    office: TheOffice,
    member: Caseworker,  # noqa: ARG001 - who may
    *,
    status: Status | None = None,
    before: datetime | None = None,
    before_id: ReferralId | None = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> list[ReferralShown]:
    """List referrals, newest first; ``before`` and ``before_id`` of the last one lead to the next page."""
    after = referrals.Place(before, before_id) if before and before_id else None
    async with office.pool.acquire() as connection:
        found = await referrals.page(connection, office.us, status, after, limit)
    return [ReferralShown.of(referral) for referral in found]


@router.get("/{referral}")
async def show(office: TheOffice, member: Caseworker, referral: ReferralId) -> ReferralShown:  # noqa: ARG001
    """Say where a referral stands."""
    found, _ = await office.read(lambda connection: referrals.find(connection, referral, office.us, office.vault))
    return ReferralShown.of(found)


@router.get("/{referral}/papers")
async def read(office: TheOffice, reader: Reader, referral: ReferralId) -> list[PaperShown]:
    """Open what was disclosed and said about a referral. The reading is written down first."""
    await office.act(reader, referral, About.REFERRAL, lambda known, act: read_packet(_of(known), act))
    _, folder = await office.read(lambda connection: referrals.find(connection, referral, office.us, office.vault))
    async with office.pool.acquire() as connection:
        kept = await papers.about(connection, referral, folder)
    return [PaperShown.of(paper) for paper in kept]


@router.get("/{referral}/receipts")
async def receipts(office: TheOffice, member: Caseworker, referral: ReferralId) -> list[ReceiptShown]:  # noqa: ARG001
    """List our messages about a referral, with the partner's signed receipts."""
    await office.read(lambda connection: referrals.find(connection, referral, office.us, office.vault))
    async with office.pool.acquire() as connection:
        found = await proofs.of_referral(connection, referral)
    return [ReceiptShown.of(proof) for proof in found]


@router.post("/{referral}/open")
async def open_(office: TheOffice, asked: Asked, referral: ReferralId) -> ReferralShown:
    """Note that a human reads the offer for the first time."""
    return await _say(office, asked, referral, lambda known, act: receiving.read_first(known, act, asked.by.id))


@router.post("/{referral}/ask")
async def ask(office: TheOffice, asked: Asked, referral: ReferralId, body: AskedData) -> ReferralShown:
    """Ask the sender what must be known to decide."""
    return await _say(office, asked, referral, lambda known, act: receiving.ask(known, act, body))


@router.post("/{referral}/answer")
async def answer(office: TheOffice, asked: Asked, referral: ReferralId, body: AnswerAsked) -> ReferralShown:
    """Answer the receiver's question, with the categories that the answer needs."""

    def rule(known: Known, act: Act) -> Ruling[Referral]:
        packet = cut(known.parts, body.categories) if body.categories else None
        if isinstance(packet, Ruling):
            return packet
        said = AnsweredData(answer=body.answer, packet=packet, identity_reason=body.identity_reason)
        found = _of(known)
        return sending.answer(found, act, said, office.grounds(known, found.partner, body.purpose))

    return await _shown(office, referral, await office.act(asked, referral, About.REFERRAL, rule, whole=True))


@router.post("/{referral}/accept")
async def accept(office: TheOffice, asked: Asked, referral: ReferralId, body: AcceptAsked) -> ReferralShown:
    """Take the person in, and say when, where and by whom they are met."""
    return await _say(
        office, asked, referral, lambda known, act: receiving.accept(known, act, body.meeting, body.expected)
    )


@router.post("/{referral}/disclose")
async def disclose(office: TheOffice, asked: Asked, referral: ReferralId, body: DiscloseAsked) -> ReferralShown:
    """Give the receiver, who has accepted, what it needs to receive the person."""

    def rule(known: Known, act: Act) -> Ruling[Referral]:
        packet = cut(known.parts, body.categories)
        if isinstance(packet, Ruling):
            return packet
        found = _of(known)
        return sending.disclose(found, act, packet, office.grounds(known, found.partner, body.purpose), known.legs)

    return await _shown(office, referral, await office.act(asked, referral, About.REFERRAL, rule, whole=True))


@router.post("/{referral}/decline")
async def decline(office: TheOffice, asked: Asked, referral: ReferralId, body: DeclinedData) -> ReferralShown:
    """Do not take the person in."""
    return await _say(office, asked, referral, lambda known, act: receiving.decline(known, act, body))


@router.post("/{referral}/redirect")
async def redirect(office: TheOffice, asked: Asked, referral: ReferralId, body: RedirectedData) -> ReferralShown:
    """Propose another organisation."""
    return await _say(office, asked, referral, lambda known, act: receiving.redirect(known, act, body))


@router.post("/{referral}/arrive")
async def arrive(office: TheOffice, asked: Asked, referral: ReferralId) -> ReferralShown:
    """Confirm that the person is there."""
    return await _say(office, asked, referral, receiving.arrive)


@router.post("/{referral}/miss")
async def miss(office: TheOffice, asked: Asked, referral: ReferralId, body: MissedData) -> ReferralShown:
    """Report that the person did not come."""
    return await _say(office, asked, referral, lambda known, act: receiving.miss(known, act, body))


@router.post("/{referral}/reschedule")
async def reschedule(office: TheOffice, asked: Asked, referral: ReferralId, body: AcceptAsked) -> ReferralShown:
    """Agree a new meeting after the person did not come."""
    return await _say(
        office, asked, referral, lambda known, act: sending.reschedule(known, act, body.meeting, body.expected)
    )


@router.post("/{referral}/progress")
async def progress(office: TheOffice, asked: Asked, referral: ReferralId, body: ProgressedData) -> ReferralShown:
    """Tell the sender how the person is doing, where the person lets that flow back."""
    return await _say(office, asked, referral, lambda known, act: receiving.progress(known, act, body))


@router.post("/{referral}/close")
async def close(office: TheOffice, asked: Asked, referral: ReferralId, body: ClosedData) -> ReferralShown:
    """Say how it ended."""
    return await _say(office, asked, referral, lambda known, act: receiving.close(known, act, body))


@router.post("/{referral}/withdraw")
async def withdraw(office: TheOffice, asked: Asked, referral: ReferralId, body: WithdrawAsked) -> ReferralShown:
    """Take the referral back."""
    return await _say(office, asked, referral, lambda known, act: sending.withdraw(known, act, body.reason))


@router.post("/{referral}/withdraw-consent")
async def withdraw_consent(office: TheOffice, asked: Asked, referral: ReferralId) -> ReferralShown:
    """Pass on that the person takes consent back."""
    return await _say(office, asked, referral, sending.withdraw_consent)


async def _say(
    office: Office, asked: Caller, referral: ReferralId, rule: Callable[[Referral, Act], Ruling[Referral]]
) -> ReferralShown:
    """Apply a rule that looks at the referral alone, and show where it stands then."""
    decision = await office.act(asked, referral, About.REFERRAL, lambda known, act: rule(_of(known), act))
    return await _shown(office, referral, decision)


async def _shown(office: Office, referral: ReferralId, decision: Decision[Known]) -> ReferralShown:
    """Show where the referral stands after a decision, which may have changed nothing: the request was repeated."""
    if decision.state is not None:
        return ReferralShown.of(_of(decision.state))
    found, _ = await office.read(lambda connection: referrals.find(connection, referral, office.us, office.vault))
    return ReferralShown.of(found)


def _of(known: Known) -> Referral:
    if known.referral is None:
        raise Problem(404, NOT_FOUND)
    return known.referral
