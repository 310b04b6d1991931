"""Reports over HTTP: screened, sealed for referral, and never kept or repeated."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from deploy.local.databases import DatabaseRole, role_name
from services.intake.app import forget
from services.intake.domain.retention import KEEP_REPORT_KEYS
from services.intake.routes import events, reports
from shared.contracts.report import ReportTaken
from shared.sealing.envelope import open_body, parse
from shared.sealing.keyring import Holder
from shared.sealing.keys import KeyPurpose
from shared.telemetry import metrics
from tests.integration.intake.conftest import AtWork, Knocking, is_problem
from tests.support.partners import Sender, verifier
from tests.support.reports import SILENT, report_json
from tests.support.wait import until

CANARY = "Canary Name"


@pytest.fixture(scope="module")
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service."""
    return Sender.of(knocking.partner, knocking.us)


TOLD = report_json(
    reporter={"kind": "neighbour", "name": CANARY, "telephone": "+33612345678"},
    person={"name": CANARY, "nationality": "MA", "age_band": "12_14"},
    situation={"forms": ["domestic_servitude"], "account": f"{CANARY} never leaves the house.", "ongoing": "yes"},
    criteria={"exorbitant_workload": "yes", "confiscated_papers": "yes"},
)
"""A report that is urgent, and full of what must never be seen."""


async def taken(door: AtWork, knocking: Knocking, report: str) -> ReportTaken:
    """Wait for a report at referral, and read it as our own referral service does."""

    def look() -> ReportTaken | None:
        found = (read_own(message.body, knocking) for message in door.forwarded)
        return next((each for each in found if each and str(each.report) == report), None)

    return await until(look, what="the report at referral")


def read_own(envelope: bytes, knocking: Knocking) -> ReportTaken | None:
    """Return what our own intake said in an envelope; ``None`` for what came from elsewhere."""
    read = parse(envelope)
    us = knocking.us
    if (read.header.source, read.header.recipient) != (us.id, us.id):
        return None
    read.verify(verifier(us.directory.book, us.id, read.header.key_id, KeyPurpose.RECEIPT))
    key = us.keyring(Holder.REFERRAL).inbox_key(read.header.inbox_keys, read.suite)
    return ReportTaken.model_validate_json(open_body(read, key))


async def test_a_report_is_screened_and_sealed_for_referral(door: AtWork, knocking: Knocking) -> None:
    answer = await door.report(TOLD, **{"accept-language": "fr"})
    assert answer.status_code == 201
    said = answer.json()
    assert (said["verdict"], said["criteria_met"], said["indicators_met"]) == ("urgent", 2, 0)
    assert said["reasons"][0] == "child_still_exploited"
    assert [(each["to"], each["lines"][0]["number"]) for each in said["turn_to"]] == [("child_protection", "119")]
    assert said["title"].startswith("Merci")
    event = await taken(door, knocking, said["report"])
    assert event.by == knocking.us.id
    assert event.data.report.person.name == CANARY
    assert event.data.screening.verdict.value == "urgent"
    (entry,) = [each for each in await door.entries("report.taken") if said["report"] in each]
    assert json.loads(entry)["detail"] == {"verdict": "urgent"}


async def test_whoever_is_sent_elsewhere_is_told_where(door: AtWork, knocking: Knocking) -> None:
    answer = await door.report(report_json(criteria={"no_or_insufficient_pay": "yes"}), **{"accept-language": "en"})
    said = answer.json()
    assert said["verdict"] == "out_of_scope"
    assert [each["to"] for each in said["turn_to"]] == ["labour_inspectorate", "trade_union"]
    assert said["turn_to"][0]["title"].startswith("Rights at work")
    event = await taken(door, knocking, said["report"])
    assert str(event.data.screening.reorientation) == "labour_inspectorate"


async def test_nothing_of_a_report_is_kept_or_logged_in_clear(
    door: AtWork, knocking: Knocking, lines: StringIO
) -> None:
    answer = await door.report(TOLD, **{"idempotency-key": str(uuid4())})
    assert answer.status_code == 201
    await taken(door, knocking, answer.json()["report"])
    assert CANARY not in answer.text
    assert CANARY not in lines.getvalue()
    tables = await door.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    assert len(tables) >= 10
    for table in tables:
        rows = await door.owner.fetch(f"SELECT * FROM {table['tablename']}")  # noqa: S608 - the schema's own names
        kept = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
        assert CANARY.encode() not in kept
        assert b"+33612345678" not in kept


WRONG: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "a person without an age": (
        {**TOLD, "person": {"sex": "female"}},
        {("/person/age_band", "missing")},
    ),
    "an answer that is none": (
        report_json(criteria={"confiscated_papers": CANARY}),
        {("/criteria/confiscated_papers", "not-in-list")},
    ),
    "a field of somebody's own": (report_json(person={CANARY: CANARY}), {("/person", "unknown-field")}),
    "a contradiction": (
        report_json(reporter={"kind": "anonymous", "name": CANARY}),
        {
            ("/reporter/kind", "anonymous-with-contact"),
            ("/reporter/name", "anonymous-with-contact"),
            ("/reporter/telephone", "anonymous-with-contact"),
            ("/reporter/email", "anonymous-with-contact"),
        },
    ),
    "danger that may wait": (
        report_json(immediate_danger="yes"),
        {("/immediate_danger", "danger-without-urgency"), ("/urgency", "danger-without-urgency")},
    ),
    "several at once": (
        {**report_json(situation={"country": "XX"}), "consents_to_record": False, "urgency": None},
        {
            ("/situation/country", "country-unknown"),
            ("/consents_to_record", "not-in-list"),
            ("/urgency", "not-in-list"),
        },
    ),
}
"""What is wrong with a report, and every field that must be named."""


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("language", ["fr", "en"])
async def test_every_field_that_is_wrong_is_named(kind: str, language: str, door: AtWork) -> None:
    said, named = WRONG[kind]
    answer = await door.report(said, **{"accept-language": language})
    assert is_problem(answer, 422, "fields-invalid")
    fields = answer.json()["fields"]
    assert {(field["pointer"], field["code"]) for field in fields} == named
    assert all(field["title"] != field["code"] for field in fields)
    assert CANARY not in answer.text
    assert answer.headers["content-language"] == language


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 50_000, b'{"person":' * 5_000, b"\xff\xfe", b"null", b'"text"', b"NaN"]
)
async def test_what_is_no_report_at_all_is_refused(body: bytes, door: AtWork) -> None:
    answer = await door.client.post("/reports", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("request-malformed", "fields-invalid")


async def test_a_report_that_is_too_large_is_refused(door: AtWork) -> None:
    answer = await door.report({**TOLD, "more": "x" * reports.LARGEST_BYTES})
    assert is_problem(answer, 413, "request-too-large")


async def test_a_report_of_another_type_is_refused(door: AtWork) -> None:
    answer = await door.client.post("/reports", content=b"<a/>", headers={"content-type": "text/xml"})
    assert is_problem(answer, 415, "media-type-unsupported")


def urgent_reports() -> float:
    """Return how many reports were taken as urgent, as the metrics have it."""
    labels = {"service": "intake", "verdict": "urgent"}
    return metrics.REGISTRY.get_sample_value("relais_reports_total", labels) or 0.0


async def test_a_report_that_is_made_twice_is_taken_once(door: AtWork, knocking: Knocking) -> None:
    key, before = {"idempotency-key": str(uuid4())}, urgent_reports()
    first, again = await door.report(TOLD, **key), await door.report(TOLD, **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert urgent_reports() == before + 1
    assert again.json() == first.json()
    other = await door.report(SILENT, **key)
    assert is_problem(other, 409, "idempotency-key-reused")
    apart = await door.report(TOLD)
    await taken(door, knocking, apart.json()["report"])
    events_taken = [read_own(message.body, knocking) for message in door.forwarded]
    assert [str(each.report) for each in events_taken if each].count(first.json()["report"]) == 1


async def test_the_key_of_a_report_is_kept_for_a_month_and_is_then_refused(door: AtWork, knocking: Knocking) -> None:
    young, old = ({"idempotency-key": str(uuid4())} for _ in range(2))
    first, other = await door.report(TOLD, **young), await door.report(TOLD, **old)
    aged = "UPDATE report SET at = now() - $2::interval WHERE report = $1"
    await door.owner.execute(aged, UUID(first.json()["report"]), KEEP_REPORT_KEYS - timedelta(minutes=1))
    await door.owner.execute(aged, UUID(other.json()["report"]), KEEP_REPORT_KEYS + timedelta(minutes=1))
    await forget(door.app.state.entrance.pool)
    assert (await door.report(TOLD, **young)).json() == first.json()
    assert is_problem(await door.report(TOLD, **old), 409, "idempotency-key-reused")
    await taken(door, knocking, (await door.report(TOLD)).json()["report"])
    events_taken = [read_own(message.body, knocking) for message in door.forwarded]
    assert [str(each.report) for each in events_taken if each].count(other.json()["report"]) == 1


async def test_what_is_kept_of_a_report_is_its_key_and_of_one_without_a_key_nothing(door: AtWork) -> None:
    before = await door.count("report")
    assert (await door.report(TOLD)).status_code == 201
    assert await door.count("report") == before
    assert (await door.report(TOLD, **{"idempotency-key": str(uuid4())})).status_code == 201
    assert await door.count("report") == before + 1


@asynccontextmanager
async def without_database(door: AtWork) -> AsyncIterator[None]:
    """Take the database away from the service, and give it back."""
    admin = await asyncpg.connect(door.database.admin_dsn)
    role = role_name(door.database.organisation, DatabaseRole.INTAKE)
    try:
        await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
        yield
    finally:
        await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        await admin.close()


async def test_while_the_database_is_away_callers_come_again_and_nothing_is_lost(
    door: AtWork, knocking: Knocking, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for route in (events, reports):
        monkeypatch.setattr(route, "PATIENCE_SECONDS", 0.3)
    posted, brought = sender.seal(), sender.seal()
    async with without_database(door):
        for answer in (await door.post(posted), await door.report(TOLD)):
            assert is_problem(answer, 503, "try-again")
            assert int(answer.headers["retry-after"]) >= 1
        await door.bring(brought)
        assert door.handed_on(brought) == []
    await door.went_through(brought)
    monkeypatch.undo()
    assert (await door.post(posted)).status_code in (200, 202)
    await door.went_through(posted)
    answer = await door.report(TOLD)
    await taken(door, knocking, answer.json()["report"])


async def test_reports_come_side_by_side(door: AtWork, knocking: Knocking) -> None:
    answers = await asyncio.gather(*(door.report(TOLD) for _ in range(8)))
    numbers = {UUID(answer.json()["report"]) for answer in answers}
    assert len(numbers) == 8
    for number in numbers:
        await taken(door, knocking, str(number))
