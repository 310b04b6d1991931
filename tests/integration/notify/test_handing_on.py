"""Whoever leaves, or cannot be told any more: what they have not read is told to others, once."""

from io import StringIO

import pytest

from shared.contracts.facts import Audience, Fact, FactCode
from shared.staff import Role, StaffBook
from tests.integration.notify.conftest import SITE, Node, a_fact
from tests.integration.notify.test_telling import audit_codes, parked, replay


def change_staff(node: Node, **changes: dict[str, object] | None) -> None:
    """Change what ``staff.json`` says of members, or take them out of it."""
    path = node.settings.folder / "staff.json"
    StaffBook(
        member.model_copy(update=changes.get(member.id) or {})
        for member in StaffBook.load(path).members
        if changes.get(member.id, {}) is not None
    ).save(path)


async def wait_for_the_server(node: Node, *facts: Fact) -> None:
    """Tell of ``facts`` while the mail server is away, and stop the service."""
    await node.mailbox.stop()
    running = await node.start()
    await node.tell(*facts)
    await node.mails("waiting", len(facts))
    await running.stop()
    await node.mailbox.start()


@pytest.mark.parametrize("change", [None, {"email": None}, {"roles": frozenset({Role.VOLUNTEER})}])
async def test_whoever_cannot_be_mailed_any_more_has_others_told_in_their_place(
    node: Node, change: dict[str, object] | None, lines: StringIO
) -> None:
    fact = a_fact(assignee="ana")
    await wait_for_the_server(node, fact)
    change_staff(node, ana=change)
    await node.start()
    await node.mails("sent", 1)
    await node.mails("skipped", 1)
    [mail] = node.mailbox.received
    assert mail.recipient == "bruno@ccem.example.org"
    assert f"{SITE}/referrals/{fact.subject}" in mail.text
    assert {row["staff"]: row["fact"] for row in await node.told(2)} == {"ana": fact.id, "bruno": fact.id}
    assert await audit_codes(node) == {"notification.made": 2, "notification.sent": 1}
    assert "mail.handed-on" in lines.getvalue()


async def test_what_a_leaver_has_not_read_at_the_bell_is_told_to_the_coordinator(node: Node) -> None:
    running = await node.start()
    asked, informed = a_fact(assignee="ana"), a_fact(FactCode.REFERRAL_OPENED, assignee="ana")
    known, read = a_fact(audience=Audience.CASEWORKERS), a_fact(assignee="ana")
    await node.tell(read)
    await node.mails("sent", 1)
    assert (await node.ask(running, "POST", "/notifications/1/read", "ana")).status_code == 204
    await node.tell(asked, informed, known)
    await node.told(4, "ana")
    await node.mails("sent", 4)
    await running.stop()
    change_staff(node, ana=None)
    await node.start()
    assert {row["fact"] for row in await node.told(2, "chloe")} == {asked.id, informed.id}
    node.pass_time(3700)
    await node.mails("sent", 5)
    [mail] = node.mailbox.to("chloe@ccem.example.org")
    assert f"{SITE}/referrals/{asked.subject}" in mail.text
    assert (await audit_codes(node))["notification.made"] == 7


async def test_who_was_told_is_not_told_again_in_somebody_elses_place(node: Node) -> None:
    await node.mailbox.stop()
    running = await node.start()
    await node.tell(a_fact(audience=Audience.CASEWORKERS))
    await node.mails("waiting", 2)
    await running.stop()
    change_staff(node, ana=None)
    await node.mailbox.start()
    await node.start()
    await node.mails("skipped", 1)
    await node.mails("sent", 1)
    assert [row["staff"] for row in await node.told(2)] == ["ana", "bruno"]
    assert await audit_codes(node) == {"notification.made": 2, "notification.sent": 1}


async def test_where_nobody_is_left_the_mail_is_parked_for_whoever_comes(node: Node) -> None:
    await wait_for_the_server(node, a_fact(assignee="ana"))
    before = (node.settings.folder / "staff.json").read_bytes()
    change_staff(node, ana=None, bruno=None, chloe=None, dalia={"roles": frozenset({Role.VOLUNTEER})})
    running = await node.start()
    [lot] = await parked(node)
    assert (lot.reason, lot.consumer) == ("nobody-to-tell", "mail")
    assert (await audit_codes(node))["notification.parked"] == 1
    await running.stop()
    (node.settings.folder / "staff.json").write_bytes(before)
    change_staff(node, ana=None, bruno=None)
    await node.start()
    await replay(node, lot)
    await node.mails("sent", 1)
    assert [mail.recipient for mail in node.mailbox.received] == ["chloe@ccem.example.org"]
    await parked(node, 0)
