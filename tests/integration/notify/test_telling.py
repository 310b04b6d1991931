"""A fact becomes notifications and mails: for whom it must, once, and with nothing in them."""

import json
from collections import Counter
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest

from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import ReferralId, public_number
from shared.messaging import held, places
from shared.telemetry import metrics
from tests.integration.notify.conftest import (
    ANA,
    DALIA,
    SENDER,
    SITE,
    Node,
    Running,
    a_fact,
    make_node,
    make_staff,
)
from tests.support.servers import BrokerPair, FreshDatabase
from tests.support.wait import until

CANARIES = ("Aïcha Canari", "Canaryland", "domestic_servitude", "12 rue du Canari", "+33 6 12 34 56 78")


async def parked(node: Node, count: int = 1) -> list[held.Parked]:
    """Wait until ``count`` messages are parked, and return them."""

    async def look() -> tuple[bool, list[held.Parked]] | None:
        async with node.pool.acquire() as connection:
            found = await held.parked(connection)
        return (True, found) if len(found) == count else None

    return (await until(look, seconds=10, what=f"{count} parked"))[1]


async def replay(node: Node, lot: held.Parked) -> None:
    """Do what an operator does."""
    async with node.pool.acquire() as connection:
        assert await held.replay(connection, lot.id, node.settings.clock().now())


async def audit_codes(node: Node) -> Counter[str]:
    """Return how often each code stands in the audit log."""
    rows = await node.fetch("SELECT content FROM audit_leaf")
    return Counter(json.loads(row["content"][32:])["code"] for row in rows)


async def test_a_fact_reaches_its_reader_at_the_bell_and_by_mail(node: Node, service: Running) -> None:
    fact = a_fact(urgency=Urgency.IMMEDIATE, assignee="ana")
    number = public_number(ReferralId(fact.subject))
    async with node.feed(service, "ana") as feed:
        await node.tell(fact)
        event = await feed.next()
    assert (event.type, event.id) == ("notification", "1")
    assert event.data == {
        "id": 1,
        "number": number,
        "urgency": "immediate",
        "link": f"{SITE}/referrals/{fact.subject}",
        "title": f"{number} vous attend",
        "urgency_title": "immédiat",
        "at": event.data["at"],
        "when": event.data["when"],
        "read": False,
    }
    await node.mails("sent", 1)
    [mail] = node.mailbox.received
    assert (mail.sender, mail.recipient) == (SENDER, "ana@ccem.example.org")
    assert f"{SITE}/referrals/{fact.subject}" in mail.text
    assert mail.message["Content-Language"] == "fr"
    assert await audit_codes(node) == {"notification.made": 1, "notification.sent": 1}


async def test_each_is_told_in_their_own_language(node: Node, service: Running) -> None:
    fact = a_fact(audience=Audience.CASEWORKERS)
    await node.tell(fact)
    await node.mails("sent", 2)
    assert {mail.recipient: mail.message["Content-Language"] for mail in node.mailbox.received} == {
        "ana@ccem.example.org": "fr",
        "bruno@ccem.example.org": "en",
    }
    for staff, title in (("ana", "vous attend"), ("bruno", "waits for you")):
        page = (await node.ask(service, "GET", "/notifications", staff)).json()
        assert page["notifications"][0]["title"].endswith(title)


async def test_a_fact_is_told_once_however_often_it_comes_and_across_a_restart(node: Node) -> None:
    facts = [a_fact(audience=Audience.CASEWORKERS) for _ in range(30)]
    running = await node.start()
    await node.tell(*facts, *facts[::2])
    await node.told(60)
    await running.stop()
    await node.tell(*facts, *facts[::3])
    await node.start()
    last = a_fact(assignee="chloe")
    await node.tell(last)
    await node.told(61)
    await node.mails("sent", 61)
    assert Counter(mail.recipient for mail in node.mailbox.received) == {
        "ana@ccem.example.org": 30,
        "bruno@ccem.example.org": 30,
        "chloe@ccem.example.org": 1,
    }
    assert len({mail.message_id for mail in node.mailbox.received}) == 61
    assert await audit_codes(node) == {"notification.made": 61, "notification.sent": 61}


async def test_two_processes_tell_and_mail_each_fact_once(node: Node) -> None:
    await node.start()
    await node.start()
    facts = [a_fact(audience=Audience.CASEWORKERS) for _ in range(100)]
    for start in range(0, 100, 10):
        await node.tell(*facts[start : start + 10])
    rows = await node.told(200)
    await node.mails("sent", 200)
    assert Counter(row["fact"] for row in rows) == {fact.id: 2 for fact in facts}
    for staff in ("ana", "bruno"):
        assert sorted(row["place"] for row in rows if row["staff"] == staff) == list(range(1, 101))
    assert len({mail.message_id for mail in node.mailbox.received}) == len(node.mailbox.received) == 200


async def test_what_merely_informs_rings_and_is_not_mailed(node: Node, service: Running) -> None:
    await node.tell(a_fact(FactCode.REFERRAL_OPENED, assignee="ana"), a_fact(assignee="bruno"))
    await node.told(2)
    await node.mails("sent", 1)
    assert [mail.recipient for mail in node.mailbox.received] == ["bruno@ccem.example.org"]
    assert (await node.ask(service, "GET", "/notifications", "ana")).json()["unread"] == 1


@pytest.mark.usefixtures("service")
async def test_a_parked_message_of_another_service_sends_operators_to_the_parking_lot(node: Node) -> None:
    fact = a_fact(FactCode.MESSAGE_PARKED, audience=Audience.OPERATOR)
    await node.tell(fact)
    await node.mails("sent", 1)
    [mail] = node.mailbox.to("dalia@ccem.example.org")
    assert f"{SITE}/parked/{fact.subject}" in mail.text
    assert "was set aside" in mail.text


async def test_a_fact_that_says_too_much_is_parked_and_said_nowhere(
    node: Node, service: Running, lines: StringIO
) -> None:
    said = json.loads(a_fact().model_dump_json())
    spoilt = [
        {**said, "id": str(uuid4()), "name": CANARIES[0]},
        {**said, "id": str(uuid4()), "code": CANARIES[2]},
        {**said, "id": str(uuid4()), "assignee": CANARIES[0]},
        {**said, "id": str(uuid4()), "subject": CANARIES[3]},
        {**said, "id": str(uuid4()), "urgency": CANARIES[1], "audience": CANARIES[4]},
    ]
    good = a_fact(assignee="ana", urgency=Urgency.IMMEDIATE)
    async with node.feed(service, "dalia") as feed:
        bodies = [json.dumps(each, ensure_ascii=False).encode() for each in spoilt]
        await node.publish(*bodies[:3], good.model_dump_json().encode(), *bodies[3:], "Aïcha Canari".encode())
        events = await feed.take(6)
    lot = await parked(node, 6)
    assert {each.reason for each in lot} == {"fact-malformed"}
    assert {event.data["link"] for event in events} == {f"{SITE}/parked/{each.id}" for each in lot}
    await node.mails("sent", 1)
    pages = [(await node.ask(service, "GET", "/notifications", staff)).text for staff in ("ana", "dalia")]
    rows = [
        await node.fetch(f"SELECT * FROM {table}")  # noqa: S608 - names from this test
        for table in ("notification", "mail", "reader", "audit_leaf", "outbox", "inbox")
    ]
    everything = [
        *pages,
        *(json.dumps(event.data, ensure_ascii=False) for event in events),
        *(mail.raw.decode() for mail in node.mailbox.received),
        *map(str, rows),
        lines.getvalue(),
        metrics.render().decode(),
    ]
    assert len(node.mailbox.received) == 1
    assert "message.parked" in lines.getvalue()
    for canary in (*CANARIES, "Canari"):
        assert not [text for text in everything if canary in text], canary
    for name in ("ana", "dalia", "bruno"):
        assert name not in lines.getvalue().replace("canary", "")


async def test_intake_cannot_speak_to_staff_as_referral_does(node: Node, service: Running) -> None:
    forged = a_fact(FactCode.CONSENT_WITHDRAWN, Urgency.IMMEDIATE, assignee="ana")
    own = a_fact(FactCode.MESSAGE_PARKED, audience=Audience.OPERATOR)
    bodies = [fact.model_dump_json().encode() for fact in (forged, own)]
    async with node.feed(service, "dalia") as feed:
        await node.publish(*bodies, speaker=places.INTAKE)
        events = await feed.take(2)
    [lot] = await parked(node)
    assert (lot.reason, lot.origin) == ("fact-not-theirs", "from.intake")
    assert {event.data["link"] for event in events} == {f"{SITE}/parked/{each}" for each in (lot.id, own.subject)}
    assert {row["staff"] for row in await node.told(2)} == {"dalia"}
    await replay(node, lot)
    assert [(each.reason, each.attempts) for each in await parked(node)] == [("fact-not-theirs", 2)]


@pytest.mark.usefixtures("service")
async def test_the_rows_of_two_facts_differ_in_ids_and_times_alone(node: Node) -> None:
    facts = [
        a_fact(code, assignee="ana", urgency=Urgency.URGENT)
        for code in (FactCode.REFERRAL_ACCEPTED, FactCode.REFERRAL_DECLINED)
    ]
    await node.tell(*facts)
    rows = await node.told(2)
    opaque = {"place", "fact", "subject", "at", "made_at"}
    assert len({json.dumps({k: v for k, v in row.items() if k not in opaque}) for row in rows}) == 1


async def test_where_there_is_nobody_a_fact_waits_in_the_parking_lot_for_somebody(
    broker_pair: BrokerPair, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    node = await make_node(broker_pair, fresh_database, tmp_path, staff=())
    try:
        running = await node.start()
        await node.tell(a_fact(assignee="ana"))
        [lot] = await parked(node)
        assert lot.reason == "nobody-to-tell"
        await running.stop()
        node.tokens.update(make_staff(node.settings.folder, (ANA, DALIA)))
        await node.start()
        await replay(node, lot)
        [row] = await node.told(1)
        assert row["staff"] == "ana"
        await parked(node, 0)
    finally:
        await node.close()


@pytest.mark.usefixtures("service")
async def test_a_fact_that_is_replayed_and_cannot_be_read_again_rings_again(node: Node) -> None:
    await node.publish(b"no fact")
    [lot] = await parked(node)
    await node.told(1, "dalia")
    await replay(node, lot)
    assert {row["subject"] for row in await node.told(2, "dalia")} == {lot.id}


async def test_the_same_id_with_other_bytes_is_parked(node: Node, service: Running) -> None:
    fact = a_fact(assignee="ana")
    await node.tell(fact)
    await node.told(1)
    async with node.feed(service, "dalia") as feed:
        await node.tell(Fact.model_validate({**fact.model_dump(), "assignee": "bruno"}))
        await feed.next()
    [lot] = await parked(node)
    assert lot.reason == "message-id-reused"
    assert [row["staff"] for row in await node.told(2)] == ["ana", "dalia"]


@pytest.mark.usefixtures("service")
async def test_a_mail_goes_on_in_the_trace_of_its_fact(node: Node) -> None:
    trace = f"{uuid4().hex}"
    traced = a_fact(assignee="ana").model_copy(update={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    await node.publish(b"\n".join(fact.model_dump_json().encode() for fact in (traced, a_fact(assignee="bruno"))))
    rows = await node.mails("sent", 2)
    found = {row["staff"]: row["traceparent"] for row in rows}
    assert found["ana"].split("-")[1] == trace
    assert found["bruno"] is None


@pytest.mark.usefixtures("service")
async def test_what_goes_out_is_counted_by_channel_and_by_where_to_look(node: Node) -> None:
    def counted(channel: str) -> float:
        said = metrics.REGISTRY.get_sample_value("relais_notifications_total", {"channel": channel, "code": "referral"})
        return said or 0.0

    before = counted("bell"), counted("mail")
    await node.tell(a_fact(audience=Audience.CASEWORKERS), a_fact(FactCode.REFERRAL_OPENED))
    await node.mails("sent", 2)
    await until(lambda: (counted("bell"), counted("mail")) == (before[0] + 3, before[1] + 2), what="the counts")
