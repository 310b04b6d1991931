"""What is kept and cannot be opened: it holds up nothing, nothing of it leaves, and whoever runs the node is told."""

import json
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest

from shared.contracts.codes import Step
from shared.messaging import places
from shared.telemetry import metrics
from tests.integration.referral.test_leaving import accepted, brokers_away, disclosed, has_words
from tests.support.desk import DeskAtWork
from tests.support.wait import until

pytestmark = pytest.mark.usefixtures("own_clock")

IDENTITY = {"categories": ["identity", "safe_contact"]}


def alarms() -> float:
    return metrics.REGISTRY.get_sample_value("relais_unreadable_documents_total", {"service": places.REFERRAL}) or 0


async def damage(desk: DeskAtWork, about: UUID, name: str) -> None:
    """Alter the paper of this name about something, as a failing disk does."""
    altered = "UPDATE paper SET body = 'x' WHERE about = $1 AND name = $2"
    assert await desk.owner.execute(altered, about, name) == "UPDATE 1"


async def test_consent_is_taken_back_and_leaves_beside_documents_that_cannot_be_opened(
    desk: DeskAtWork, lines: StringIO
) -> None:
    case, given, referral = await accepted(desk)
    other = await desk.grant(case)
    for part in ("summary", "health"):
        await damage(desk, case, part)
    await desk.owner.execute("UPDATE consent SET body = 'x' WHERE id = $1", other)
    with brokers_away():
        assert (await desk.post(f"/cases/{case}/grants/{given}/withdraw")).status_code == 204
    desk.move_clock(timedelta(minutes=1))
    await desk.partner.told(referral, Step.CONSENT_WITHDRAWN)
    said = [json.loads(line) for line in lines.getvalue().splitlines()]
    named = {line["subject"]: line["code"] for line in said if line["event"] == "document.unreadable"}
    parts = await desk.owner.fetch("SELECT id FROM paper WHERE folder = $1", case)
    assert named[str(other)] == "vault-altered"
    assert named.keys().isdisjoint(str(part["id"]) for part in parts), "no document is opened for it"


async def test_what_is_said_again_goes_without_its_words_where_one_of_its_papers_cannot_be_opened(
    desk: DeskAtWork,
) -> None:
    _, _, referral = await accepted(desk)
    await desk.do(referral, "disclose", IDENTITY)
    await desk.partner.told(referral, Step.DISCLOSED)
    before = alarms()
    await damage(desk, referral, "safe_contact")
    desk.move_clock(timedelta(minutes=3))
    await until(lambda: len(disclosed(desk, referral)) > 1, seconds=10, what="it said again")
    assert [has_words(event) for _, event in disclosed(desk, referral)] == [True, False]
    await desk.told_staff(referral, "referral.emptied")
    assert alarms() > before


async def test_what_lies_in_the_outbox_goes_without_its_words_where_one_of_its_papers_cannot_be_opened(
    desk: DeskAtWork,
) -> None:
    """The gate cannot be asked about it, though the envelope still holds it whole."""
    _, _, referral = await accepted(desk)
    with brokers_away():
        await desk.do(referral, "disclose", IDENTITY)
    for part in IDENTITY["categories"]:
        await damage(desk, referral, part)
    desk.move_clock(timedelta(minutes=1))
    assert not has_words((await desk.partner.told(referral, Step.DISCLOSED))[1])
