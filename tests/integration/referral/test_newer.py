"""A row that a newer version has written, after a step back: it holds up no other, and nothing of it is lost."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest

from services.referral.routes.office import LONGEST_PAGE
from shared.contracts.codes import Status, Step
from shared.contracts.event_data import AcceptedData, ArrivedData, WithdrawnData
from shared.messaging import places
from shared.sealing.keyring import Holder
from shared.sealing.keys import KeyPurpose
from shared.storage.vault import Vault, WrappedKey
from shared.telemetry import metrics
from tests.integration.referral.test_hearing import taken, the_report
from tests.integration.referral.test_leaving import brokers_away
from tests.support.desk import DeskAtWork, NewDesk, an_offer, further, meeting
from tests.support.partners import Sender
from tests.support.wait import until

NEEDED = "newer-version-needed"
A_STEP_OF_TOMORROW = """
UPDATE referral SET status = 'tomorrow',
    course = jsonb_set(course::jsonb, '{sender,0,0}', '"of-tomorrow"')::text
WHERE id = $1
"""
WITHDRAWN = WithdrawnData(reason="no_longer_needed")


@asynccontextmanager
async def newer(desk: DeskAtWork, referral: UUID) -> AsyncIterator[None]:
    """Let a newer version have written a referral, and bring that version back afterwards: it reads its own row."""
    before = await desk.owner.fetchrow("SELECT status, course FROM referral WHERE id = $1", referral)
    await desk.owner.execute(A_STEP_OF_TOMORROW, referral)
    try:
        yield
    finally:
        back = "UPDATE referral SET status = $2, course = $3 WHERE id = $1"
        await desk.owner.execute(back, referral, *(before or ()))


async def row(desk: DeskAtWork, referral: UUID) -> tuple[Any, ...]:
    """Return all that is written of a referral."""
    return tuple(await desk.owner.fetchrow("SELECT * FROM referral WHERE id = $1", referral) or ())


async def case_of(desk: DeskAtWork, referral: UUID) -> UUID:
    """Return the case of a referral."""
    return UUID(str(await desk.owner.fetchval("SELECT case_id FROM referral WHERE id = $1", referral)))


async def came(desk: DeskAtWork, referral: UUID, times: int) -> None:
    """Wait until the partner has heard so much of a referral."""
    await until(lambda: len(desk.partner.heard(referral)) >= times, seconds=10, what=f"a referral {times} times")


def alarms() -> float:
    return metrics.REGISTRY.get_sample_value("relais_unreadable_documents_total", {"service": places.REFERRAL}) or 0


@pytest.mark.parametrize(("language", "words"), [("fr", "version plus récente"), ("en", "newer version")])
async def test_a_list_shows_what_can_be_read_and_says_what_a_newer_version_is_needed_for(
    desk: DeskAtWork, language: str, words: str
) -> None:
    first, second = await desk.offered(), await desk.offered()
    case = await case_of(desk, first)
    headers = {**desk.signed_in("noor"), "Accept-Language": language}
    async with newer(desk, first):
        page = (await desk.client.get("/referrals", params={"limit": LONGEST_PAGE}, headers=headers)).json()
        in_case = (await desk.client.get(f"/cases/{case}/referrals", headers=headers)).json()
    found = {UUID(each["exchange_id"]): each for each in page}
    assert list(found)[:2] == [second, first]
    assert found[second]["status"] == Status.OFFERED
    assert found[first]["code"] == NEEDED
    assert words in found[first]["title"]
    assert in_case == [found[first]]
    assert UUID(found[first]["id"]) == await desk.alias_of(first)
    assert found[first].keys() == {"id", "number", "exchange_id", "case", "offered_at", "code", "title"}


async def test_nothing_is_decided_about_it_or_from_it_and_all_else_goes_on(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    given = await desk.grant(case)
    await desk.grant(case, desk.other)
    referral = UUID((await desk.offer(case)).json()["exchange_id"])
    beside = UUID((await desk.offer(case, desk.other)).json()["exchange_id"])
    elsewhere = await desk.offered()
    async with newer(desk, referral):
        before = await row(desk, referral)
        for answer in (
            await desk.get(f"/referrals/{referral}"),
            await desk.get(f"/referrals/{referral}/papers"),
            await desk.post(f"/referrals/{referral}/withdraw", {"reason": "unsafe"}),
            await desk.post(f"/referrals/{beside}/disclose", {"categories": ["summary"]}),
            await desk.offer(case, desk.other),
            await desk.post(f"/cases/{case}/grants/{given}/withdraw"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, NEEDED)
            assert "Retry-After" in answer.headers
        assert await row(desk, referral) == before
        assert await desk.owner.fetchval("SELECT withdrawn_at FROM consent WHERE id = $1", given) is None
        again = (await desk.post("/referrals/repeat", {"partner": desk.partner.id})).json()
        assert again["left"] == [{"referral": str(await desk.alias_of(referral)), "code": NEEDED}]
        assert (await desk.do(beside, "withdraw-consent"))["status"] == Status.WITHDRAWN
        assert (await desk.do(elsewhere, "withdraw", {"reason": "unsafe"}))["status"] == Status.WITHDRAWN
    assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    assert await desk.status(referral) is Status.WITHDRAWN


async def test_a_grant_that_says_more_than_this_version_knows_allows_nothing_and_stays_as_it_is(
    desk: DeskAtWork,
) -> None:
    case = await desk.new_case()
    given = await desk.grant(case)
    folder = await desk.owner.fetchrow("SELECT epoch, wrapped FROM folder WHERE id = $1", case)
    vault, label = Vault(desk.us.keyring(Holder.REFERRAL).storage_keys()), b"consent\0" + given.bytes
    cipher = vault.case(case, WrappedKey(*(folder or ())))
    body = await desk.owner.fetchval("SELECT body FROM consent WHERE id = $1", given)
    narrower = cipher.seal(json.dumps({**json.loads(cipher.open(body, label)), "only_at_night": True}).encode(), label)
    await desk.owner.execute("UPDATE consent SET body = $2 WHERE id = $1", given, narrower)
    answer = await desk.offer(case)
    assert (answer.status_code, answer.json()["detail"]) == (409, {"summary": "no-grant"})
    assert (await desk.get(f"/cases/{case}/grants")).json() == []
    assert await desk.owner.fetchval("SELECT body FROM consent WHERE id = $1", given) == narrower
    await desk.grant(case)
    assert (await desk.offer(case)).status_code == 201


async def test_what_a_partner_says_about_it_waits_whole_and_counts_when_the_newer_version_is_back(
    desk: DeskAtWork,
) -> None:
    offer, other = await desk.was_offered(), an_offer()
    async with newer(desk, offer.referral):
        first, second = (
            desk.partner.voice.seal(event.model_dump_json(exclude_none=True).encode())
            for event in (further(offer, WITHDRAWN, 2, 0), other)
        )
        await desk.bring(first, second)
        assert await desk.waits(first) == NEEDED
        await desk.stands(other.referral, Status.RECEIVED)
    await desk.stands(offer.referral, Status.WITHDRAWN)
    assert not await desk.owner.fetchval("SELECT count(*) FROM held WHERE body = $1", first.envelope)


async def test_an_arrival_elsewhere_in_its_case_waits_because_it_may_end_the_one_that_nobody_can_read(
    desk: DeskAtWork,
) -> None:
    case = await desk.new_case()
    for partner in (desk.partner, desk.other):
        await desk.grant(case, partner)
    beside = UUID((await desk.offer(case, desk.other)).json()["exchange_id"])
    voice, (_, offer) = desk.other.voice, await desk.other.told(beside, Step.OFFERED)
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 1, 1), voice)
    await desk.stands(beside, Status.ACCEPTED)
    await desk.do(beside, "disclose", {"categories": ["summary"]})
    referral = UUID((await desk.offer(case, kind="service")).json()["exchange_id"])
    async with newer(desk, referral):
        arrived = await desk.hear(further(offer, ArrivedData(), 2, 2), voice)
        assert await desk.waits(arrived) == NEEDED
        assert await desk.status(beside) is Status.DISCLOSED
    await desk.stands(beside, Status.ARRIVED)


@pytest.mark.usefixtures("own_clock")
async def test_a_letter_about_it_stays_and_the_others_leave(desk: DeskAtWork) -> None:
    with brokers_away():
        referral, other = await desk.offered(), await desk.offered()
    left = "SELECT attempts FROM outbox JOIN said ON said.message = outbox.id WHERE said.referral = $1"
    async with newer(desk, referral):
        desk.move_clock(timedelta(minutes=1))
        await desk.partner.told(other, Step.OFFERED)
        await until(lambda: desk.owner.fetchval(left, referral), seconds=10, what="a try of the letter")
        assert desk.partner.heard(referral) == []
    desk.move_clock(timedelta(minutes=2))
    await desk.partner.told(referral, Step.OFFERED)


async def test_clocks_and_what_is_said_again_pass_it_by_and_it_is_told_of_once(
    new_desk: NewDesk, lines: StringIO
) -> None:
    async with new_desk() as desk:
        referral, other = await desk.offered(), await desk.offered()
        await desk.partner.told(referral, Step.OFFERED)
        await desk.partner.told(other, Step.OFFERED)
        before = alarms()
        async with newer(desk, referral):
            written = await row(desk, referral)
            for times, minutes in ((2, 10), (3, 20), (4, 40)):
                desk.move_clock(timedelta(minutes=minutes))
                await came(desk, other, times)
            await desk.told_staff(other, "receipt.missing")
            assert await row(desk, referral) == written
            assert len(desk.partner.heard(referral)) == 1
        said = [json.loads(line) for line in lines.getvalue().splitlines()]
        named = [line for line in said if line.get("referral_id") == str(referral)]
        assert [(line["event"], line.get("code")) for line in named] == [("referral.unreadable", NEEDED)]
        assert alarms() == before + 1
        desk.move_clock(timedelta(minutes=45))
        await came(desk, referral, 2)


@asynccontextmanager
async def newer_report(desk: DeskAtWork, report: UUID, column: str) -> AsyncIterator[None]:
    """Let a newer version have written a report, and bring that version back afterwards."""
    before = await desk.owner.fetchval(f"SELECT {column} FROM report WHERE id = $1", report)  # noqa: S608 - of the test
    write = f"UPDATE report SET {column} = $2 WHERE id = $1"  # noqa: S608 - of the test
    await desk.owner.execute(write, report, "of-tomorrow")
    try:
        yield
    finally:
        await desk.owner.execute(write, report, before)


@pytest.mark.parametrize("column", ["status", "verdict", "urgency", "reoriented_to"])
async def test_a_report_that_a_newer_version_has_written_is_listed_and_left_as_it_is(
    desk: DeskAtWork, column: str, lines: StringIO
) -> None:
    intake, (event, other) = Sender.of(desk.us, desk.us, KeyPurpose.RECEIPT), (taken(desk.us), taken(desk.us))
    for each in (event, other):
        await desk.hear(each, intake)
        await the_report(desk, each.report)
    case, before = await desk.new_case(), alarms()
    async with newer_report(desk, event.report, column):
        written = tuple(await desk.owner.fetchrow("SELECT * FROM report WHERE id = $1", event.report) or ())
        headers = {**desk.signed_in("noor"), "Accept-Language": "en"}
        page = (await desk.client.get("/reports", params={"limit": LONGEST_PAGE}, headers=headers)).json()
        found = {UUID(each["id"]): each for each in page}
        assert found[other.report]["status"] == "waiting"
        assert found[event.report].keys() == {"id", "taken_at", "code", "title"}
        assert found[event.report]["code"] == NEEDED
        assert "newer version" in found[event.report]["title"]
        for answer in (
            await desk.get(f"/reports/{event.report}/papers"),
            await desk.post(f"/reports/{event.report}/open-case"),
            await desk.post(f"/reports/{event.report}/link", {"case": str(case)}),
            await desk.post(f"/reports/{event.report}/reorient", {"to": "labour_inspectorate"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, NEEDED)
        again = await desk.hear(event, intake)
        assert await desk.waits(again) == NEEDED
        assert tuple(await desk.owner.fetchrow("SELECT * FROM report WHERE id = $1", event.report) or ()) == written
        assert (await desk.post(f"/reports/{other.report}/open-case")).status_code == 200
    said = [json.loads(line) for line in lines.getvalue().splitlines() if "report.unreadable" in line]
    assert [(line["report_id"], line["code"]) for line in said] == [(str(event.report), NEEDED)]
    assert alarms() == before + 1
    assert (await desk.post(f"/reports/{event.report}/open-case")).status_code == 200
