"""Mail: whatever the mail server does, every mail comes, comes once where that can be, and stops no other."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from services.notify import app
from services.notify.mail.server import Answer, Limits, MailServer, MailServerAwayError
from shared.clock import Clock
from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, Fact, FactCode
from shared.messaging import held
from shared.messaging.loops import come_round
from shared.telemetry import logs, metrics
from tests.integration.notify.conftest import SENDER, SITE, Node, Running, a_fact
from tests.integration.notify.test_telling import audit_codes, parked, replay
from tests.support.mailbox import OK, CutError, Mailbox
from tests.support.wait import until

DAY = 24 * 3600


async def held_off(node: Node, attempts: int) -> None:
    """Wait until the one mail there is has been put off after so many tries."""

    async def look() -> bool:
        rows = await node.fetch("SELECT state, attempts, leased_until FROM mail")
        return [(row["state"], row["attempts"], row["leased_until"]) for row in rows] == [("waiting", attempts, None)]

    await until(look, seconds=10, what=f"a mail put off after {attempts} tries")


def a_parked_fact() -> Fact:
    """Return what another service says when it has parked a message."""
    return a_fact(FactCode.MESSAGE_PARKED, Urgency.STANDARD, Audience.OPERATOR)


async def cut() -> str:
    """Go away instead of answering."""
    raise CutError


async def test_a_mail_server_that_is_away_at_the_start_is_waited_for(node: Node) -> None:
    await node.mailbox.stop()
    await node.start()
    await node.tell(*(a_fact(assignee="ana") for _ in range(3)))
    rows = await node.mails("waiting", 3)
    await node.mailbox.start()
    await node.mails("sent", 3)
    assert len(node.mailbox.received) == 3
    assert {row["attempts"] for row in rows} == {0}, "a server that is away is no mail's fault"


@pytest.mark.usefixtures("service")
async def test_a_mail_server_that_goes_away_in_the_middle_is_waited_for(node: Node) -> None:
    await node.tell(a_fact(assignee="ana"))
    await node.mails("sent", 1)
    await node.mailbox.stop()
    await node.tell(*(a_fact(assignee="ana") for _ in range(3)))
    await node.told(4)
    await node.mailbox.start()
    await node.mails("sent", 4)
    assert len({mail.message_id for mail in node.mailbox.received}) == len(node.mailbox.received) == 4


@pytest.mark.usefixtures("service")
async def test_what_the_server_will_not_take_yet_is_tried_later_and_stops_no_other(node: Node) -> None:
    node.mailbox.recipients = ["451 later"]
    await node.tell(a_fact(assignee="ana"))
    await held_off(node, 1)
    await node.tell(a_fact(assignee="bruno"))
    await node.mails("sent", 1)
    assert [mail.recipient for mail in node.mailbox.received] == ["bruno@ccem.example.org"]
    node.pass_time(120)
    await node.mails("sent", 2)
    assert len(node.mailbox.to("ana@ccem.example.org")) == 1


async def tried_to_its_end(node: Node) -> bool:
    """Tell whether no mail is being tried: whatever the clock does next, it is not held back from a later time."""
    return not await node.fetch("SELECT id FROM mail WHERE leased_until IS NOT NULL")


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("senders", "550 this account is blocked"),
        ("senders", "530 sign in first"),
        ("senders", "552 over quota"),
        ("senders", "421 too many"),
        ("senders", "451 later"),
        ("recipients", "530 sign in first"),
        ("recipients", "554 5.7.1 <ana@ccem.example.org>: Relay access denied"),
        ("answers", "550 5.7.26 this sender is not who it says"),
    ],
)
async def test_a_server_that_takes_nothing_from_us_is_away_and_no_mail_is_blamed(
    node: Node, stage: str, answer: str
) -> None:
    def reached() -> float | None:
        labels = {"service": "notify", "dependency": "mail"}
        return metrics.REGISTRY.get_sample_value("relais_dependency_available", labels)

    refusing = [answer] * 1000
    setattr(node.mailbox, stage, refusing)
    await node.tell(*(a_fact(assignee=staff) for staff in ("ana", "bruno")))
    await node.told(2)
    await until(lambda: len(refusing) < 999, what="a second try")
    await until(lambda: reached() == 0, what="the alarm")
    refusing.clear()
    await until(lambda: tried_to_its_end(node), what="the end of a try that was refused")
    node.pass_time(60)
    rows = await node.mails("sent", 2)
    assert {row["attempts"] for row in rows} == {1}, "a try that the server did not begin is none"
    assert await until(lambda: reached() == 1, what="the end of the alarm")
    await parked(node, 0)
    assert await audit_codes(node) == {"notification.made": 2, "notification.sent": 2}


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("answer", ["451 later", cut])
async def test_what_was_handed_over_and_not_accepted_comes_again_the_same_to_the_last_byte(
    node: Node, answer: object
) -> None:
    node.mailbox.answers = [answer]  # type: ignore[list-item]  # one or the other kind of answer
    await node.tell(a_fact(assignee="ana"))
    await held_off(node, 1)
    node.pass_time(120)
    await node.mails("sent", 1)
    first, second = node.mailbox.received
    assert first.raw == second.raw
    assert first.message_id == second.message_id


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("stage", ["recipients", "answers"])
async def test_what_the_server_refuses_is_parked_and_an_operator_may_replay_it(node: Node, stage: str) -> None:
    setattr(node.mailbox, stage, ["550 no such mailbox of Canary Name"])
    await node.tell(a_fact(assignee="ana"))
    [lot] = await parked(node)
    assert (lot.reason, lot.consumer, lot.size) == ("mail-refused", "mail", 0)
    [_, rung] = await node.told(2)
    assert (rung["staff"], rung["matter"], rung["subject"]) == ("dalia", "parked", lot.id)
    assert await node.count("mail") == 1, "a mail about a mail would not end"
    await replay(node, lot)
    await node.mails("sent", 1)
    await parked(node, 0)
    assert len({mail.message_id for mail in node.mailbox.received}) == 1
    assert await audit_codes(node) == {"notification.made": 1, "notification.parked": 1, "notification.sent": 1}
    leaves = await node.fetch("SELECT content FROM audit_leaf")
    assert not [leaf for leaf in leaves if b"Canary" in leaf["content"]]


@pytest.mark.usefixtures("service")
async def test_what_is_refused_while_others_are_taken_is_not_refused_for_our_sake(node: Node) -> None:
    node.mailbox.recipients = ["554 5.7.1 not to this one"]
    await node.tell(a_fact(assignee="ana"))
    await until(lambda: not node.mailbox.recipients, what="a try")
    await node.tell(a_fact(assignee="bruno"))
    await node.mails("sent", 1)
    await parked(node, 0)
    node.mailbox.recipients = ["554 5.7.1 not to this one"]
    node.pass_time(60)
    [lot] = await parked(node)
    assert (lot.reason, lot.consumer) == ("mail-refused", "mail")
    await node.tell(a_fact(assignee="bruno"))
    await node.mails("sent", 2)


@pytest.mark.usefixtures("service")
async def test_a_mail_that_is_replayed_and_refused_again_rings_again(node: Node) -> None:
    node.mailbox.recipients = ["550 no such mailbox"] * 2
    await node.tell(a_fact(assignee="ana"))
    [lot] = await parked(node)
    await node.told(1, "dalia")
    await replay(node, lot)
    assert {row["subject"] for row in await node.told(2, "dalia")} == {lot.id}


@pytest.mark.usefixtures("service")
async def test_after_a_day_of_tries_a_mail_is_parked(node: Node) -> None:
    node.mailbox.recipients = ["451 later"] * 10
    await node.tell(a_fact(assignee="ana"))
    await held_off(node, 1)
    node.pass_time(DAY - 60)
    await held_off(node, 2)
    node.pass_time(DAY + 3600)
    [lot] = await parked(node)
    assert (lot.reason, lot.attempts) == ("mail-undeliverable", 3)


async def test_a_day_without_a_server_is_not_a_day_of_tries(node: Node) -> None:
    await node.mailbox.stop()
    await node.start()
    await node.tell(a_fact(assignee="ana"))
    await node.mails("waiting", 1)
    node.pass_time(2 * DAY)
    node.mailbox.recipients = ["451 you are new here"]
    await node.mailbox.start()
    await held_off(node, 1)
    node.pass_time(2 * DAY + 120)
    await node.mails("sent", 1)


async def test_a_clock_that_jumps_takes_no_mail_and_nothing_unread_along(
    node: Node, monkeypatch: pytest.MonkeyPatch, lines: StringIO
) -> None:
    monkeypatch.setattr(app, "FORGET_SECONDS", 0.1)
    await node.mailbox.stop()
    running = await node.start()
    await node.tell(a_fact(assignee="ana"), a_fact(FactCode.REFERRAL_OPENED, assignee="ana"))
    await node.tell(*(a_fact(FactCode.REFERRAL_OPENED, assignee="bruno") for _ in range(2)))
    await node.told(4)
    assert (await node.ask(running, "POST", "/notifications/1/read", "bruno")).status_code == 204
    node.pass_time(200 * DAY)
    await node.fetch("UPDATE notification SET read_at = now() - interval '31 days' WHERE staff = 'bruno' AND place = 2")
    await node.told(1, "bruno")
    assert len(await node.told(2, "ana")) == 2
    await node.mailbox.start()
    await node.mails("sent", 1)
    [line] = [json.loads(line) for line in lines.getvalue().splitlines() if "notifications.forgotten" in line]
    assert line["count"] == 1


async def test_a_process_whose_clock_is_ahead_delays_no_mail(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.mailbox.stop()
    await node.start()
    with monkeypatch.context() as ahead:
        ahead.setattr(Clock, "now", lambda _clock: datetime.now(UTC) + timedelta(hours=3))
        await node.tell(a_fact(assignee="ana"))
        await node.mails("waiting", 1)
    await node.mailbox.start()
    await node.mails("sent", 1)


@pytest.mark.usefixtures("service")
async def test_a_parked_mail_that_is_dropped_stays_unsent(node: Node) -> None:
    node.mailbox.recipients = ["550 no"]
    await node.tell(a_fact(assignee="ana"))
    [lot] = await parked(node)
    async with node.pool.acquire() as connection:
        assert await held.drop(connection, lot.id)
    await node.tell(a_fact(assignee="bruno"))
    await node.mails("sent", 1)
    assert [mail.recipient for mail in node.mailbox.received] == ["bruno@ccem.example.org"]


async def test_the_most_urgent_mail_goes_first(node: Node) -> None:
    await node.mailbox.stop()
    await node.start()
    urgent = [a_fact(assignee="ana", urgency=Urgency.URGENT) for _ in range(3)]
    immediate = a_fact(assignee="bruno", urgency=Urgency.IMMEDIATE)
    await node.tell(*urgent)
    await node.told(3)
    await node.tell(immediate)
    await node.told(4)
    await node.mailbox.start()
    await node.mails("sent", 4)
    assert node.mailbox.received[0].recipient == "bruno@ccem.example.org"
    for fact, mail in zip(urgent, node.mailbox.received[1:], strict=True):
        assert f"{SITE}/referrals/{fact.subject}" in mail.text


async def test_a_standard_matter_is_mailed_when_nobody_looked_for_an_hour(node: Node, service: Running) -> None:
    await node.tell(*(a_fact(assignee=staff, urgency=Urgency.STANDARD) for staff in ("ana", "bruno")))
    await node.told(2)
    await node.tell(a_fact(assignee="chloe"))
    await node.mails("sent", 1)
    assert (await node.ask(service, "POST", "/notifications/1/read", "bruno")).status_code == 204
    node.pass_time(3600 + 60)
    await node.mails("sent", 2)
    await node.mails("skipped", 1)
    assert [mail.recipient for mail in node.mailbox.received] == ["chloe@ccem.example.org", "ana@ccem.example.org"]


async def test_however_much_is_parked_it_is_mailed_once_until_somebody_looks_or_a_day_has_gone(
    node: Node, service: Running
) -> None:
    await node.tell(*(a_parked_fact() for _ in range(20)))
    await node.told(20, "dalia")
    node.pass_time(3700)
    [sent] = await node.mails("sent", 1)
    await node.mails("skipped", 19)
    await node.tell(a_fact(audience=Audience.OPERATOR))
    await node.mails("sent", 2)
    await node.tell(a_parked_fact())
    await node.told(22, "dalia")
    node.pass_time(2 * 3700)
    await node.mails("skipped", 20)
    assert (await node.ask(service, "POST", f"/notifications/{sent['place']}/read", "dalia")).status_code == 204
    for waited in (3 * 3700, 4 * 3700 + DAY):
        await node.tell(a_parked_fact())
        await node.mails("waiting", 1)
        node.pass_time(waited)
        await node.mails("waiting", 0)
    await node.mails("sent", 4)
    assert (await node.ask(service, "GET", "/notifications", "dalia")).json()["unread"] == 23


async def test_a_parked_message_that_was_looked_at_leaves_the_mail_to_the_next(node: Node, service: Running) -> None:
    await node.tell(a_parked_fact(), a_parked_fact())
    await node.told(2, "dalia")
    assert (await node.ask(service, "POST", "/notifications/1/read", "dalia")).status_code == 204
    node.pass_time(3700)
    [sent] = await node.mails("sent", 1)
    assert sent["place"] == 2


@pytest.mark.usefixtures("service")
async def test_what_was_accepted_while_the_database_is_away_is_written_down_and_not_sent_again(node: Node) -> None:
    async def take_the_database() -> str:
        await node.let_connect(False)
        await node.cut_database()
        return OK

    node.mailbox.answers = [take_the_database]
    stream = StringIO()
    logs.configure("info", "json", stream)
    try:
        await node.tell(a_fact(assignee="ana"))
        await until(lambda: '"component": "mail"' in stream.getvalue(), what="the mail cannot be written down")
    finally:
        logs.restore()
        await node.let_connect(True)
    await node.mails("sent", 1)
    await node.tell(a_fact(assignee="ana"))
    await node.mails("sent", 2)
    assert len({mail.message_id for mail in node.mailbox.received}) == len(node.mailbox.received) == 2
    assert (await audit_codes(node))["notification.sent"] == 2


def mail_is_stopped() -> bool:
    """Say whether the work that comes round, mail among it, has been told to stop."""
    rounds = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == come_round.__name__]
    return any(task.cancelling() for task in rounds)


async def test_a_stop_waits_for_the_answer_and_sends_nothing_twice(node: Node) -> None:
    running = await node.start()
    handed_over = asyncio.Event()

    async def slow() -> str:
        handed_over.set()
        await until(mail_is_stopped, what="the round of mail to be cancelled")
        return OK

    node.mailbox.answers = [slow]
    await node.tell(a_fact(assignee="ana"))
    await handed_over.wait()
    await running.stop()
    await node.mails("sent", 1)
    await node.start()
    await node.tell(a_fact(assignee="bruno"))
    await node.mails("sent", 2)
    assert len(node.mailbox.to("ana@ccem.example.org")) == 1


async def test_where_a_process_dies_its_mail_is_sent_when_the_lease_ends(node: Node) -> None:
    await node.start()
    await node.mailbox.stop()
    await node.tell(a_fact(assignee="ana"))
    await node.mails("waiting", 1)
    await node.fetch("UPDATE mail SET attempts = 1, leased_until = now() + interval '1 hour' RETURNING id")
    await node.mailbox.start()
    await node.tell(a_fact(assignee="bruno"))
    await node.mails("sent", 1)
    assert not node.mailbox.to("ana@ccem.example.org"), "another process has it"
    await node.fetch("UPDATE mail SET leased_until = now() WHERE state = 'waiting' RETURNING id")
    await node.mails("sent", 2)
    assert len(node.mailbox.to("ana@ccem.example.org")) == 1


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_what_must_be_encrypted_is_never_sent_in_clear(scheme: str) -> None:
    mailbox = Mailbox()
    await mailbox.start()
    server = MailServer.at(mailbox.address.replace("smtp", scheme, 1), SENDER)
    with pytest.raises(MailServerAwayError):
        async with replace(server, limits=Limits(connect=1, command=1)).session():
            pytest.fail("it offers no encryption")
    await mailbox.stop()
    assert mailbox.received == []


async def test_an_answer_that_does_not_come_is_unknown_and_ends_the_connection() -> None:
    async def never() -> str:
        await until(lambda: not session.open, what="the sender to give up")
        return OK

    mailbox = Mailbox(answers=[never])
    await mailbox.start()
    server = replace(MailServer.at(mailbox.address, SENDER), limits=Limits(connect=1, command=0.2, answer=0.2))
    async with server.session() as session:
        answer = await session.hand_over(SENDER, "ana@ccem.example.org", b"Subject: late\r\n\r\nlate\r\n")
        assert (answer, session.open) == (Answer.UNKNOWN, False)
    await mailbox.stop()
    assert len(mailbox.received) == 1
