"""The life of a referral, as staff live it: one route for each step that their side can say."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from fastapi import APIRouter, Depends

from services.referral.commands import Command, Looks
from services.referral.domain import receiving, sending
from services.referral.domain.casefile import CaseFile
from services.referral.domain.policy import Recipient
from services.referral.domain.reading import read_packet
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import repeat_lane
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.sending import AnswerAsked, DiscloseAsked, RescheduleAsked
from services.referral.routes.asked import AcceptAsked, FindAsked, RepeatAsked, WithdrawAsked
from services.referral.routes.office import (
    CASEWORKERS,
    REFUSALS,
    Asked,
    Caller,
    Office,
    Reader,
    TheOffice,
    ThePage,
    TheReferral,
    TheWords,
)
from services.referral.routes.shown import FoundShown, NewerShown, PaperShown, ReceiptShown, ReferralShown, RepeatShown
from services.referral.store import proofs
from services.referral.store.referrals import alias_of, of_partner
from shared.contracts.codes import Status
from shared.contracts.event_data import AskedData, ClosedData, DeclinedData, MissedData, ProgressedData, RedirectedData
from shared.contracts.ids import ReferralId

router = APIRouter(prefix="/referrals", tags=["referrals"], responses=REFUSALS, dependencies=[Depends(CASEWORKERS)])

P = ParamSpec("P")
Body = TypeVar("Body")


@router.get("")
async def list_referrals(
    office: TheOffice,
    *,
    status: Status | None = None,
    page: ThePage,
    say: TheWords,
) -> list[ReferralShown | NewerShown]:
    """List referrals, newest first; ``before`` and ``before_id`` of the last one, together, lead to the next page."""
    async with office.pool.acquire() as connection:
        found = await office.referrals.page(connection, status, page.after, page.limit)
    return await office.listed(found, say)


@router.post("/find")
async def find(office: TheOffice, body: FindAsked) -> FoundShown:
    """Say by which alias we call a referral that a partner, the audit log or a trace names by its exchange id."""
    return FoundShown.of(await office.read(lambda connection: alias_of(connection, body.exchange_id)))


@router.post("/repeat")
async def repeat_all(office: TheOffice, asked: Asked, body: RepeatAsked) -> RepeatShown:
    """Say again all that we have ever said to a partner, which has lost it, and name what cannot be said again now."""
    command = Command.about_referral(asked.by.id, lambda known, act: repeat_lane(known.thing, act))
    async with office.pool.acquire() as connection:
        found = await of_partner(connection, body.partner)
    return RepeatShown.of(found, await office.act_on_each(asked, list(found), command))


@router.get("/{referral}")
async def show(office: TheOffice, referral: TheReferral) -> ReferralShown:
    """Say where a referral stands."""
    return await office.standing(referral)


@router.get("/{referral}/papers")
async def read(office: TheOffice, reader: Reader, referral: TheReferral) -> list[PaperShown]:
    """Open what was disclosed and said about a referral. The reading is written down first."""
    command = Command.about_referral(reader.by.id, lambda known, act: read_packet(known.thing, act))
    return [PaperShown.of(paper) for paper in await office.open_papers(reader, referral, command)]


@router.get("/{referral}/receipts")
async def receipts(office: TheOffice, referral: TheReferral) -> list[ReceiptShown]:
    """List our messages about a referral, with the partner's signed receipts."""
    await office.referral(referral)
    async with office.pool.acquire() as connection:
        found = await proofs.of_referral(connection, referral)
    return [ReceiptShown.of(proof) for proof in found]


@router.post("/{referral}/open")
async def open_(office: TheOffice, asked: Asked, referral: TheReferral) -> ReferralShown:
    """Note that a human reads the offer for the first time."""
    return await _say(office, asked, referral, receiving.read_first, asked.by.id)


@router.post("/{referral}/ask")
async def ask(office: TheOffice, asked: Asked, referral: TheReferral, body: AskedData) -> ReferralShown:
    """Ask the sender what must be known to decide."""
    return await _say(office, asked, referral, receiving.ask, body)


@router.post("/{referral}/answer")
async def answer(office: TheOffice, asked: Asked, referral: TheReferral, body: AnswerAsked) -> ReferralShown:
    """Answer the receiver's question, with the categories that the answer needs."""
    return await _disclose(office, asked, referral, sending.answer, body)


@router.post("/{referral}/accept")
async def accept(office: TheOffice, asked: Asked, referral: TheReferral, body: AcceptAsked) -> ReferralShown:
    """Take the person in, and say when, where and by whom they are met."""
    return await _say(office, asked, referral, receiving.accept, body.meeting, body.expected)


@router.post("/{referral}/disclose")
async def disclose(office: TheOffice, asked: Asked, referral: TheReferral, body: DiscloseAsked) -> ReferralShown:
    """Give the receiver, who has accepted, what it needs to receive the person."""
    return await _disclose(office, asked, referral, sending.disclose, body)


@router.post("/{referral}/decline")
async def decline(office: TheOffice, asked: Asked, referral: TheReferral, body: DeclinedData) -> ReferralShown:
    """Do not take the person in."""
    return await _say(office, asked, referral, receiving.decline, body)


@router.post("/{referral}/redirect")
async def redirect(office: TheOffice, asked: Asked, referral: TheReferral, body: RedirectedData) -> ReferralShown:
    """Propose another organisation."""
    return await _say(office, asked, referral, receiving.redirect, body)


@router.post("/{referral}/arrive")
async def arrive(office: TheOffice, asked: Asked, referral: TheReferral) -> ReferralShown:
    """Confirm that the person is there."""
    return await _say(office, asked, referral, receiving.arrive)


@router.post("/{referral}/miss")
async def miss(office: TheOffice, asked: Asked, referral: TheReferral, body: MissedData) -> ReferralShown:
    """Report that the person did not come."""
    return await _say(office, asked, referral, receiving.miss, body)


@router.post("/{referral}/reschedule")
async def reschedule(office: TheOffice, asked: Asked, referral: TheReferral, body: RescheduleAsked) -> ReferralShown:
    """Agree a new meeting after the person did not come; in words only what a grant covers, as in an answer."""
    return await _disclose(office, asked, referral, sending.reschedule, body)


@router.post("/{referral}/progress")
async def progress(office: TheOffice, asked: Asked, referral: TheReferral, body: ProgressedData) -> ReferralShown:
    """Tell the sender how the person is doing, where the person lets that flow back."""
    return await _say(office, asked, referral, receiving.progress, body)


@router.post("/{referral}/close")
async def close(office: TheOffice, asked: Asked, referral: TheReferral, body: ClosedData) -> ReferralShown:
    """Say how it ended."""
    return await _say(office, asked, referral, receiving.close, body)


@router.post("/{referral}/withdraw")
async def withdraw(office: TheOffice, asked: Asked, referral: TheReferral, body: WithdrawAsked) -> ReferralShown:
    """Take the referral back."""
    return await _say(office, asked, referral, sending.withdraw, body.reason)


@router.post("/{referral}/withdraw-consent")
async def withdraw_consent(office: TheOffice, asked: Asked, referral: TheReferral) -> ReferralShown:
    """Pass on that the person takes consent back."""
    return await _say(office, asked, referral, sending.withdraw_consent)


@router.post("/{referral}/repeat")
async def repeat(office: TheOffice, asked: Asked, referral: TheReferral) -> ReferralShown:
    """Say again all that we have ever said about a referral: the partner has lost it."""
    return await _say(office, asked, referral, repeat_lane)


async def _say(
    office: Office,
    asked: Caller,
    referral: ReferralId,
    rule: Callable[Concatenate[Referral, Act, P], Ruling[Referral]],
    *said: P.args,
    **more: P.kwargs,
) -> ReferralShown:
    """Apply a rule that looks at the referral alone, and show where it stands then."""
    command = Command.about_referral(asked.by.id, lambda known, act: rule(known.thing, act, *said, **more))
    await office.act(asked, referral, command)
    return await office.moved(referral)


async def _disclose(
    office: Office,
    asked: Caller,
    referral: ReferralId,
    rule: Callable[[Referral, Act, Body, CaseFile, Recipient], Ruling[Referral]],
    body: Body,
) -> ReferralShown:
    """Apply a rule that discloses something of the case, and show where the referral stands then."""
    command = Command.about_referral(
        asked.by.id,
        lambda known, act: rule(known.thing, act, body, known.file, office.recipients.of(known.thing.partner, act.at)),
        looks=Looks.AT_THE_CASE,
    )
    await office.act(asked, referral, command)
    return await office.standing(referral)
